"""Reading profiles and their merges by id."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from audience.errors import NotFound
from audience.profiles import storage
from audience.profiles.ledger import storage as ledger
from audience.profiles.profile import profile_document, timestamp_text
from audience.profiles.profile_set import Merge
from audience.server.database import raw
from audience.server.json_api import resource

PROFILE_KIND = "Profile"
MERGE_KIND = "ProfileMerge"
_MAX_REFUSALS = 100


class FoundMerges(NamedTuple):
    """Merges of a profile as resources, how many there are, and merges into it refused of late."""

    merges: list[dict[str, Any]]
    total: int
    refusals: list[dict[str, Any]]


async def get_profile_document(
    conn: AsyncConnection, app_id: str, profile_id: str
) -> dict[str, Any]:
    """The document (contract B) of the profile, or of the one that absorbed it.

    Errors: NotFound.
    """
    driver = await raw(conn)
    found = await ledger.resolve_profile_id(driver, app_id, profile_id)
    profiles = [] if found is None else await storage.get_profiles(driver, app_id, [found])
    if not profiles:
        raise no_profile(profile_id)
    return profile_document(app_id, profiles[0])


async def find_merges(
    conn: AsyncConnection, app_id: str, profile_id: str, limit: int, offset: int
) -> FoundMerges:
    """The merges that made the profile what it is, oldest first, undone ones among them.

    Those of profiles it absorbed are its own too. At most 100 refusals, newest first.
    Errors: NotFound.
    """
    driver = await raw(conn)
    found = await ledger.resolve_profile_id(driver, app_id, profile_id)
    if found is None:
        raise no_profile(profile_id)
    rows, total = await ledger.list_lineage_merges(driver, app_id, found, limit, offset)
    refusals = await ledger.list_refusals(driver, app_id, found, _MAX_REFUSALS)
    return FoundMerges(
        [_merge_resource(app_id, *row) for row in rows],
        total,
        [
            {
                "profile_id": row["other_profile_id"],
                "reason": row["reason"],
                "refused_count": row["refused_count"],
                "first_refused_at": timestamp_text(row["first_refused_at"]),
                "last_refused_at": timestamp_text(row["last_refused_at"]),
            }
            for row in refusals
        ],
    )


def profile_resource(document: dict[str, Any]) -> dict[str, Any]:
    """The profile's document as a JSON:API resource."""
    attributes = {name: value for name, value in document.items() if name != "id"}
    return resource(PROFILE_KIND, document["id"], attributes)


def no_profile(profile_id: str) -> NotFound:
    """The refusal for an id that is no profile's and was none's."""
    return NotFound(f"there is no profile {profile_id}", path="profile_id")


def _merge_resource(
    app_id: str, merge_id: str, merge: Merge, undone_at: datetime | None
) -> dict[str, Any]:
    attributes = {
        "survivor_profile_id": merge.survivor_before.profile_id,
        "absorbed_profile_id": merge.absorbed_before.profile_id,
        "identifiers": [{"identifier": name, "value": value} for name, value in merge.identifiers],
        "merged_at": timestamp_text(merge.merged_at),
        "survivor_before": profile_document(app_id, merge.survivor_before),
        "absorbed_before": profile_document(app_id, merge.absorbed_before),
    }
    if undone_at is not None:
        attributes["undone_at"] = timestamp_text(undone_at)
    return resource(MERGE_KIND, merge_id, attributes)
