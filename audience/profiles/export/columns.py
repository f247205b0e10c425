"""The columns of an export: which there are, what they are called, the header row.

Pure: standard library only. Source: contract D3.2, D3.2a; the names of clashing columns and the
guard against formulas are this project's (ARCHITECTURE.md, decision 32).
"""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from audience.errors import Invalid

PROFILE, ATTRIBUTES, ANALYTICS = "profile", "attributes", "analytics"
FIELD_TYPES = (PROFILE, ATTRIBUTES, ANALYTICS)
#: The columns of the field type `profile` (contract D3.2).
PROFILE_COLUMN_NAMES = (
    "analytics_visitor_id",
    "analytics_visitor_ids",
    "email",
    "user_id",
    "device_ids",
)
MAX_COLUMNS = 1000
#: What a spreadsheet takes for the beginning of a formula, also in full width.
FORMULA_STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"


class Column(NamedTuple):
    """One column: a member of the profile, a custom attribute or an analytics attribute."""

    field_type: str
    name: str


def check_columns(columns: Sequence[Column]) -> None:
    """Errors: Invalid naming the first column that does not exist or is asked for twice."""
    for position, column in enumerate(columns):
        path = f"columns[{position}]"
        if column.field_type == PROFILE and column.name not in PROFILE_COLUMN_NAMES:
            message = f"{path}.name must be one of {', '.join(PROFILE_COLUMN_NAMES)}"
            raise Invalid(message, path=f"{path}.name")
        if column in columns[:position]:
            message = f"{path} is asked for twice"
            raise Invalid(message, path=path)


def labels_of(columns: Sequence[Column]) -> list[str]:
    """What the columns are called in the export: their names, `<field type>.<name>` on a clash."""
    uses = Counter(column.name for column in columns)
    return [
        column.name if uses[column.name] == 1 else f"{column.field_type}.{column.name}"
        for column in columns
    ]


def csv_header(labels: Sequence[str], *, is_guarded: bool) -> bytes:
    """The header row, every name in quotes as the cells are."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow([guarded(label) if is_guarded else label for label in labels])
    return text.getvalue().encode()


def guarded(cell: str) -> str:
    """The cell with an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{cell}" if cell[:1] and cell[0] in FORMULA_STARTS else cell


def unguarded(cell: str) -> str:
    """The cell that `guarded` was given, for the way back in."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] and cell[1] in FORMULA_STARTS else cell
