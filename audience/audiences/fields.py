"""What a condition may look at: the fields of a profile, their kinds and where they are stored.

Pure: standard library only. Both evaluators read fields through `find_field`. Source: issue
"Audiences", Definitions; contract B.
"""

from dataclasses import dataclass

from audience.audiences.operators import Kind
from audience.profiles.identifiers import normalise_email

FIELD_TYPES = (
    "attributes",
    "analytics",
    "profile",
    "forms",
    "visits",
    "goals",
    "ecommerce",
    "generic",
    "consents",
    "audiences",
)

#: Field types with fixed names: {name: kind}; forms and goals have them after `<id>.`.
_MEMBERS: dict[str, dict[str, Kind]] = {
    "profile": {
        "user_id": "text",
        "email": "text",
        "analytics_visitor_ids": "texts",
        "device_ids": "texts",
        "created_at": "time",
        "updated_at": "time",
    },
    "forms": {"timestamp": "time", "url": "text"},
    "visits": {"first_visit": "time", "last_visit": "time"},
    "goals": {
        "conversion_count": "number",
        "revenue": "number",
        "last_conversion": "time",
        "last_revenue": "number",
    },
    "ecommerce": {
        "number_of_orders": "number",
        "last_conversion": "time",
        "last_revenue": "number",
        "total_revenue": "number",
    },
    "generic": {"total_revenue": "number"},
}
_WITH_ID = {"forms": "form id", "goals": "goal id or all"}
_FREE: dict[str, Kind] = {
    "attributes": "any",
    "analytics": "any",
    "consents": "number",
    "audiences": "membership",
}


@dataclass(frozen=True, slots=True)
class Field:
    """Where a value is: `column` of the profile, then `keys` into that column's JSON."""

    field_type: str
    kind: Kind
    column: str
    keys: tuple[str, ...]

    @property
    def may_be_list(self) -> bool:
        """True when the stored value may hold several texts."""
        return self.kind == "texts" or self.field_type == "attributes"


def find_field(field_type: str, name: str) -> Field | None:
    """The field of that name; None when the field type has no such name.

    Any name of `attributes`, `analytics` and `consents` is a field, seen before or not.
    """
    if field_type in _FREE:
        return Field(field_type, _FREE[field_type], field_type, (name,))
    members = _MEMBERS[field_type]
    if field_type in _WITH_ID:
        item_id, _, member = name.rpartition(".")
        if not item_id or member not in members:
            return None
        return Field(field_type, members[member], field_type, (item_id, member))
    if name not in members:
        return None
    if field_type == "profile":
        return Field(field_type, members[name], name, ())
    return Field(field_type, members[name], field_type, (name,))


def has_fixed_names(field_type: str) -> bool:
    """Whether a field type has only the names of `expected_names`."""
    return field_type in _MEMBERS


def expected_names(field_type: str) -> str:
    """The names a field type has, for messages."""
    members = ", ".join(_MEMBERS[field_type])
    what = _WITH_ID.get(field_type)
    return members if what is None else f"<{what}>.<member>, where member is one of {members}"


def comparable_text(field: Field, operator: str, text: str) -> str:
    """The text of a condition in the form in which the field is stored.

    E-mails and visitor IDs are stored lower-cased (contract A1.13), so they are compared so;
    a pattern stays as it is.
    """
    if operator in ("matches", "not_matches"):
        return text
    if field.column == "email":
        whole = operator in ("eq", "neq", "ieq", "in", "not_in")
        return normalise_email(text) if whole else text.lower()
    return text.lower() if field.column == "analytics_visitor_ids" else text
