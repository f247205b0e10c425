"""Attributes as resources of the authorized API."""

from datetime import UTC, datetime
from typing import Any

import asyncpg

from audience.attributes.catalogue import storage
from audience.attributes.operations import FIELD_TYPES
from audience.errors import NotFound
from audience.server.json_api import resource

KIND = "Attribute"


async def get_attribute(conn: asyncpg.Connection, app_id: str, attribute_id: str) -> dict[str, Any]:
    """The attribute of the id `<field_type>:<name>`; members are the columns.

    Errors: NotFound.
    """
    field_type, _, name = attribute_id.partition(":")
    found = None
    if field_type in FIELD_TYPES and "\x00" not in name:
        found = await storage.get_attribute(conn, app_id, field_type, name)
    if found is None:
        message = f"there is no attribute {attribute_id!r}; an id is <field_type>:<name>"
        raise NotFound(message, path="attribute_id")
    return found


def attribute_resource(row: dict[str, Any]) -> dict[str, Any]:
    """The attribute as a JSON:API resource; what is not known of it is left out."""
    attributes = {
        "field_type": row["field_type"],
        "name": row["attribute_name"],
        "value_type": row["value_type"],
        "is_public": row["is_public"],
        "first_seen_at": _text(row["first_seen_at"]),
        "statistics": _statistics(row),
        "conversion": _conversion(row),
    }
    known = {name: value for name, value in attributes.items() if value is not None}
    return resource(KIND, f"{row['field_type']}:{row['attribute_name']}", known)


def _statistics(row: dict[str, Any]) -> dict[str, Any] | None:
    if row["refreshed_at"] is None:
        return None
    everybody = row["all_profiles"]
    return {
        "share": round(row["profile_count"] / everybody, 6) if everybody else 0,
        "profile_count": row["profile_count"],
        "distinct_count": row["distinct_count"],
        "most_common": row["most_common"],
        "refreshed_at": _text(row["refreshed_at"]),
    }


def _conversion(row: dict[str, Any]) -> dict[str, Any] | None:
    if row["converted_to"] is None:
        return None
    members = {
        "value_type": row["converted_to"],
        "converted": row["converted_count"],
        "removed": row["removed_count"],
        "requested_at": _text(row["requested_at"]),
        "finished_at": _text(row["finished_at"]),
    }
    return {name: value for name, value in members.items() if value is not None}


def _text(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
