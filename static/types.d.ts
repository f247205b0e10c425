// What the widgets touch beyond the standard library.
interface Window {
    ppms: any;
    XDomainRequest: any;
    AnalyticsTracker: any;
    Piwik: any;
}
