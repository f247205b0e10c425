// What the widgets touch beyond the standard library.
interface Window {
    ppms: any;
    XDomainRequest: any;
    AnalyticsTracker: any;
    Piwik: any;
}

/** The configuration of a consent container, see consent_templates/README.md. */
declare const ppmsConfig: any;
