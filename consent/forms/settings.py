"""What an app has set about consent. Pure: standard library only.

Source: contract H8 (names on the wire), L8-L10.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

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
    decision_period_seconds: an older decision counts as none; None: never.
    ask_again_at: {type: moment}; a decision of the type made before counts as not yet asked.
    is_gpc_honoured: Global Privacy Control rejects remarketing and conversion tracking.
    has_consent_mode: the container tells Google Consent Mode v2 what was decided.
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
    decision_period_seconds: int | None = DEFAULT_COOKIE_PERIOD_SECONDS
    ask_again_at: Mapping[str, datetime] = field(default_factory=dict)
    is_gpc_honoured: bool = True
    has_consent_mode: bool = False
    languages: Sequence[str] = ("en",)
    default_language: str = "en"
    privacy_policy_url: str | None = None
