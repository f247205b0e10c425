"""Finding a person's profiles and exporting everything they hold.

Source: issue "Data subject requests", item 4, access.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.profile_changes.persons import storage
from audience.profiles import storage as profile_storage
from audience.profiles.identifiers import Identifier
from audience.profiles.ledger import storage as ledger
from audience.profiles.profile import Profile, from_record, profile_document, timestamp_text
from audience.server.database import raw

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_REFUSALS = 100
_MERGES_AT_ONCE = 100
#: As stored, which is compressed.
_MERGE_BYTES_AT_ONCE = 1024 * 1024
BEFORE_ALL_MERGES = "00000000-0000-0000-0000-000000000000"


class PersonProfile(NamedTuple):
    """A profile of the person; identifiers: all of them, strongest first."""

    profile_id: str
    identifiers: tuple[Identifier, ...]


async def find_person_profiles(
    conn: AsyncConnection, app_id: str, identifiers: Collection[Identifier]
) -> list[PersonProfile]:
    """The profiles that hold any of the identifiers (in normal form), in the order of their ids."""
    found = await profile_storage.find_profiles(await raw(conn), app_id, identifiers)
    return [
        PersonProfile(profile.profile_id, tuple(profile.identifiers()))
        for profile in sorted(found, key=lambda one: one.profile_id)
    ]


async def export_profile(
    conn: AsyncConnection, app_id: str, profile_id: str
) -> dict[str, Any] | None:
    """Everything the profile holds, or None when it is gone; an absorbed id finds its survivor.

    {"profile": contract B, "created_at", "identifiers": [{"name", "value", "first_seen_at"}],
    "attributes": [{"name", "value", "written_at"}], "consents", "consents_at",
    "audiences": [{"id", "name", "description", "member_since"}],
    "refused_merges": [{"reason", "count", "first_at", "last_at"}]}. Of refused merges only what
    concerns this profile: the other one may be somebody else's.
    """
    driver = await raw(conn)
    found = await ledger.resolve_profile_id(driver, app_id, profile_id)
    profiles = [] if found is None else await profile_storage.get_profiles(driver, app_id, [found])
    if not profiles:
        return None
    profile = profiles[0]
    return {
        "profile": profile_document(app_id, profile),
        "created_at": timestamp_text(profile.created_at),
        "identifiers": await _identifiers(driver, app_id, profile),
        "attributes": _attributes(profile),
        "consents": dict(profile.consents),
        "consents_at": None if profile.consents_at is None else timestamp_text(profile.consents_at),
        "audiences": await _audiences(driver, app_id, profile),
        "refused_merges": await _refused_merges(driver, app_id, profile),
    }


async def export_merges(
    conn: AsyncConnection, app_id: str, profile_id: str, after: str = BEFORE_ALL_MERGES
) -> list[dict[str, Any]]:
    """The next merges that made the profile what it is, oldest first, with the documents before.

    [{"merge_id", "merged_at", "undone_at", "identifiers": [{"name", "value"}], "documents": [...]}]
    At most a hundred and about a megabyte; none after the last one.  after: the last merge_id.
    Of an undone merge only the person's own side is shown: the other one belongs to somebody else.
    Nothing for a profile that is gone; an absorbed id finds its survivor.
    """
    driver = await raw(conn)
    found = await ledger.resolve_profile_id(driver, app_id, profile_id)
    if found is None:
        return []
    limits = (_MERGES_AT_ONCE, _MERGE_BYTES_AT_ONCE)
    rows = await storage.list_merges_after(driver, app_id, found, after, limits)
    return [_merge(app_id, row) for row in rows]


async def _identifiers(
    conn: asyncpg.Connection, app_id: str, profile: Profile
) -> list[dict[str, Any]]:
    return [
        {
            "name": row["identifier_name"],
            "value": row["identifier_value"],
            "first_seen_at": timestamp_text(row["first_seen_at"]),
        }
        for row in await storage.list_identifiers(conn, app_id, profile.profile_id)
    ]


async def _audiences(
    conn: asyncpg.Connection, app_id: str, profile: Profile
) -> list[dict[str, Any]]:
    return [
        {
            "id": row["audience_id"],
            "name": row["name"],
            "description": row["description"],
            "member_since": timestamp_text(row["member_since"]),
        }
        for row in await storage.list_audiences(conn, app_id, profile.profile_id)
    ]


async def _refused_merges(
    conn: asyncpg.Connection, app_id: str, profile: Profile
) -> list[dict[str, Any]]:
    return [
        {
            "reason": row["reason"],
            "count": row["refused_count"],
            "first_at": timestamp_text(row["first_refused_at"]),
            "last_at": timestamp_text(row["last_refused_at"]),
        }
        for row in await ledger.list_refusals(conn, app_id, profile.profile_id, _MAX_REFUSALS)
    ]


def _attributes(profile: Profile) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "value": value,
            "written_at": timestamp_text(
                _EPOCH + timedelta(microseconds=profile.attribute_written_at[name])
            ),
        }
        for name, value in sorted(profile.attributes.items())
    ]


def _merge(app_id: str, row: Mapping[str, Any]) -> dict[str, Any]:
    own = [
        from_record(orjson.loads(row[f"{side}_before"]))
        for side in ("survivor", "absorbed")
        if row[f"is_{side}_own"]
    ]
    identifiers = [Identifier(*pair) for pair in orjson.loads(row["identifiers"])]
    undone_at = row["undone_at"]
    return {
        "merge_id": row["merge_id"],
        "merged_at": timestamp_text(row["merged_at"]),
        "undone_at": None if undone_at is None else timestamp_text(undone_at),
        "identifiers": _named(_of(own, identifiers)),
        "documents": [profile_document(app_id, side) for side in own],
    }


def _of(sides: Sequence[Profile], identifiers: Sequence[Identifier]) -> list[Identifier]:
    """The identifiers that one of the sides had."""
    held = {identifier for side in sides for identifier in side.identifiers()}
    return [identifier for identifier in identifiers if identifier in held]


def _named(identifiers: Sequence[Identifier]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in identifiers]
