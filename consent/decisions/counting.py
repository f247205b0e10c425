"""What is counted, and under which hour and day. Pure: standard library only.

Source: contract H4-H6, E3.30-E3.39; decision 7.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from consent.decisions.decide import TypeState
from consent.forms.consent_types import APPROVED, CONSENT_TYPES, REJECTED

#: Event types (contract H5). NO_DECISION is ours: visitors of a whole day.
FORM_SHOWN, FORM_CLICKED, DECISION, NO_DECISION = 12, 13, 14, 15
#: What a counter has in a dimension that does not apply to its event.
NOT_APPLICABLE = 0
NO_TYPES = ""
#: Host names of an app that are counted apart; further ones are counted under "".
MAX_HOSTNAMES = 1000
OTHER_HOSTNAMES = ""
_DIGEST_BYTES = 16
_CHARACTERS = {REJECTED: "0", APPROVED: "1"}


def counted_hour(moment: datetime, zone: ZoneInfo) -> datetime:
    """The beginning of the moment's hour on the app's clocks, as UTC.

    Some zones are half an hour off; the hours of a whole day of theirs make up the day.
    """
    local = moment.astimezone(zone)
    past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return (moment - past).astimezone(UTC)


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """The moment's date on the app's clocks."""
    return moment.astimezone(zone).date()


def types_text(types: Mapping[str, TypeState]) -> str:
    """One character per consent type, in their order: 0, 1, or - for not decided."""
    return "".join(
        [
            _CHARACTERS.get(types[name].status, "-") if name in types else "-"
            for name in CONSENT_TYPES
        ]
    )


def visitor_digest(day_key: bytes, visitor_id: str) -> bytes:
    """What stands for a consent visitor on one day; nothing once the day's key is deleted."""
    return hmac.digest(day_key, visitor_id.encode(), hashlib.sha256)[:_DIGEST_BYTES]
