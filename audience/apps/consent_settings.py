"""The settings of an app that steer consent: their names, forms and defaults (contract H8).

They live with the app because its API shows them; what they mean is the consent service's business.
Pure: standard library only.
"""

from typing import Any, Final

ANONYMIZATION_MODES = ("no_device_storage", "session_cookie_id")
#: A year.
DEFAULT_COOKIE_SECONDS = 31_536_000
MAX_COOKIE_SECONDS = 5 * 31_536_000
MAX_COOKIE_DOMAINS = 50

CONSENT_SETTING_DEFAULTS: Final[dict[str, Any]] = {
    "gdpr": True,
    "gdprUserModeEnabled": False,
    "privacyCookieDomainsEnabled": False,
    "privacyCookieDomains": [],
    "privacyCookieExpirationPeriod": DEFAULT_COOKIE_SECONDS,
    "gdprLocationRecognition": False,
    "gdprDataAnonymization": True,
    "gdprDataAnonymizationMode": "session_cookie_id",
    "customConsentForm": False,
}


def with_defaults(stored: dict[str, Any]) -> dict[str, Any]:
    """Every setting: as stored, else its default."""
    return {name: stored.get(name, value) for name, value in CONSENT_SETTING_DEFAULTS.items()}


def without_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    """Only what differs from the defaults, as it is stored."""
    return {
        name: value for name, value in settings.items() if CONSENT_SETTING_DEFAULTS[name] != value
    }
