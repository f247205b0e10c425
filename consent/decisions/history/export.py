"""History as CSV and JSON, piece by piece. Pure but for orjson."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from consent.decisions.chain import Link
from consent.forms.consent_types import CONSENT_TYPES

_COLUMNS = (
    "sequence",
    "decision_id",
    "visitor_hash",
    "decided_at",
    "received_at",
    "hostname",
    "consent_scope",
    "consent_action",
    "consent_source",
    "method",
    "language",
    "is_late",
    "previous_hash",
    "row_hash",
)
_STATUS_COLUMNS = CONSENT_TYPES
_TEXT_COLUMNS = tuple(f"{name}_history_id" for name in ("intro", *CONSENT_TYPES))
#: What a spreadsheet takes for the beginning of a formula.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def csv_head() -> bytes:
    """The header row."""
    return _csv_bytes([(*_COLUMNS, *_STATUS_COLUMNS, *_TEXT_COLUMNS)])


def csv_lines(links: Sequence[Link]) -> bytes:
    """A row for each decision; its consents in one column per type."""
    return _csv_bytes([_csv_row(link) for link in links])


def json_lines(links: Sequence[Link], *, is_first: bool) -> bytes:
    """A piece of one JSON array, without its brackets."""
    texts = [orjson.dumps({**_values(link), "consents": link.row.consents}) for link in links]
    return (b"" if is_first else b",\n") + b",\n".join(texts)


def _values(link: Link) -> dict[str, Any]:
    row = link.row
    return {
        "sequence": link.sequence,
        "decision_id": row.decision_id,
        "visitor_hash": row.visitor_hash.hex(),
        "decided_at": _moment(row.decided_at),
        "received_at": _moment(row.received_at),
        "hostname": row.hostname,
        "consent_scope": row.consent_scope,
        "consent_action": row.consent_action,
        "consent_source": row.consent_source,
        "method": row.method,
        "language": row.language,
        "is_late": row.is_late,
        "previous_hash": link.previous_hash.hex(),
        "row_hash": link.row_hash.hex(),
    }


def _csv_row(link: Link) -> list[Any]:
    consents = link.row.consents
    values = _values(link)
    return [
        *(_guarded(values[name]) for name in _COLUMNS),
        *(consents.get(name, {}).get("status") for name in CONSENT_TYPES),
        *(_guarded(consents.get(name, {}).get("historyId")) for name in ("intro", *CONSENT_TYPES)),
    ]


def _guarded(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _csv_bytes(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
