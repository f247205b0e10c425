"""What an app has set about consent. Pure: standard library only.

Two places hold it: the app itself has what its own API shows (contract H8), the rest is ours.

Source: contract H8 (names on the wire), L8-L10.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

POPUP = "popup"
BAR = "bar"
POSITIONS = (POPUP, BAR)

#: Twelve months, contract E3.22.
DEFAULT_COOKIE_PERIOD_SECONDS = 31_536_000
#: A stale period that never comes (contract L8).
NEVER = -1


@dataclass(frozen=True, slots=True)
class ConsentSettings:
    """One app's consent settings; the defaults ask nobody anything, as no type is asked for.

    consent_types: the types asked for, in the order of the form.
    position: of the built-in form: a dialog, or a bar at the bottom.
    has_reminder: a bar reminds of what is undecided; is_reminder_kept: it stays afterwards, so that
    withdrawing takes one click.
    cookie_domains: empty: the cookie is the host's; else patterns like `*.example.com`.
    cookie_period_seconds: life of the privacy cookie, renewed on each visit.
    stale_period_seconds: after it the form comes again with what was not agreed to; -1 never.
    decision_period_seconds: an older decision counts as none; 0: never.
    ask_again_at: {type: moment}; a decision of the type made before counts as not yet asked.
    is_gpc_honoured: Global Privacy Control rejects remarketing and conversion tracking.
    has_consent_mode: the container tells Google Consent Mode v2 what was decided.
    origins: host names that may collect, `*.example.com` for all below one; empty: any.
    gate_consent_type: attributes of a visitor without an approval of it are refused; None: never.
    is_erased_on_withdrawal: rejecting it afterwards erases what was collected.
    controller: {"name", "address", "email", "phone", "url"}, any of them, for receipts.
    """

    app_id: str
    is_enabled: bool = True
    consent_types: Sequence[str] = ()
    is_custom_form: bool = False
    position: str = POPUP
    has_reminder: bool = True
    is_reminder_kept: bool = True
    cookie_domains: Sequence[str] = ()
    cookie_period_seconds: int = DEFAULT_COOKIE_PERIOD_SECONDS
    stale_period_seconds: int = NEVER
    decision_period_seconds: int = DEFAULT_COOKIE_PERIOD_SECONDS
    ask_again_at: Mapping[str, datetime] = field(default_factory=dict)
    is_gpc_honoured: bool = True
    has_consent_mode: bool = False
    languages: Sequence[str] = ("en",)
    default_language: str = "en"
    privacy_policy_url: str | None = None
    origins: Sequence[str] = ()
    gate_consent_type: str | None = None
    is_erased_on_withdrawal: bool = False
    controller: Mapping[str, str] = field(default_factory=dict)
    gpc_changed_at: datetime | None = None

    @property
    def valid_for(self) -> timedelta | None:
        """How long a decision counts; None: for ever."""
        seconds = self.decision_period_seconds
        return timedelta(seconds=seconds) if seconds else None


#: Columns of the table consent_settings that are members here by the same name.
_OWN = (
    "consent_types",
    "position",
    "has_reminder",
    "is_reminder_kept",
    "stale_period_seconds",
    "decision_period_seconds",
    "is_gpc_honoured",
    "has_consent_mode",
    "languages",
    "default_language",
    "privacy_policy_url",
    "origins",
    "is_erased_on_withdrawal",
    "controller",
)


def consent_settings_of(
    app_id: str,
    app_settings: Mapping[str, Any],
    own: Mapping[str, Any] | None,
    gate_consent_type: str | None = None,
) -> ConsentSettings:
    """The settings of an app.

    app_settings: its settings of contract H8, complete; own: its row of consent_settings as JSON,
    None when it has none.
    """
    row = own or {}
    has_domains = app_settings["privacyCookieDomainsEnabled"]
    changed_at = row.get("gpc_changed_at")
    return ConsentSettings(
        app_id,
        is_enabled=app_settings["gdpr"],
        is_custom_form=app_settings["customConsentForm"],
        cookie_domains=tuple(app_settings["privacyCookieDomains"]) if has_domains else (),
        cookie_period_seconds=app_settings["privacyCookieExpirationPeriod"],
        gate_consent_type=gate_consent_type,
        gpc_changed_at=None if changed_at is None else datetime.fromisoformat(changed_at),
        **{name: row[name] for name in _OWN if name in row},
    )


def may_collect(origins: Sequence[str], hostname: str) -> bool:
    """Whether a host name is in the app's list; an empty list allows all.

    `*.example.com` matches a.b.example.com, neither example.com nor evilexample.com.
    """
    return not origins or any(_matches(pattern, hostname) for pattern in origins)


def _matches(pattern: str, hostname: str) -> bool:
    if pattern.startswith("*."):
        return hostname.endswith(pattern[1:]) and len(hostname) >= len(pattern)
    return hostname == pattern
