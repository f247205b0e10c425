"""Making, changing and deleting audiences, under the lock of the app's profiles.

So no write of a profile can see half of it: the next write finds another revision and loads the
audiences anew (`memberships/cache.py`), and the members of everybody else are worked out by
`upkeep/`, beginning here.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from audience.audiences.catalogue import storage
from audience.audiences.catalogue.audience import (
    MAX_AUDIENCES_PER_APP,
    Audience,
    AudienceFields,
)
from audience.audiences.catalogue.storage import AudiencePage
from audience.audiences.definition import Definition, parse_definition
from audience.audiences.memberships.audience_set import dependency_order
from audience.audiences.patterns import compile_pattern
from audience.audiences.references import audience_ids, find_cycle, leaf_paths, users_of
from audience.audiences.upkeep.fill import fill_next_part
from audience.errors import Conflict, Invalid, NotFound
from audience.profiles.storage import lock_apps
from audience.server.clock import new_id
from audience.server.database import raw

#: A small app is filled in the request that changes the definition.
_PROFILES_FILLED_AT_ONCE = 2_000
_AUDIENCES_FILLED_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class CountedAudience:
    """An audience with its members counted: now, and {day: at the beginning of that UTC day}."""

    audience: Audience
    count: int
    snapshots: Mapping[date, int]


@dataclass(frozen=True, slots=True)
class Warned:
    """An attribute nobody has had yet. path: of its name, in the definition."""

    path: str
    message: str

    def as_document(self) -> dict[str, str]:
        """As it stands in `meta.warnings`."""
        return {"code": "unknown_attribute", "path": self.path, "detail": self.message}


async def create_audience(
    conn: AsyncConnection, app_id: str, fields: AudienceFields, author: str, now: datetime
) -> str:
    """Store a new audience and begin to fill it; its id.

    Errors: Invalid with the path into the definition; Conflict for too many audiences.
    """
    definition = parse_definition(fields.definition, compile_pattern)
    await lock_apps(await raw(conn), [app_id])
    audience_id = new_id()
    others = await _definitions(conn, app_id)
    if len(others) >= MAX_AUDIENCES_PER_APP:
        message = f"an app has at most {MAX_AUDIENCES_PER_APP} audiences"
        raise Conflict(message, code="too_many_audiences")
    _check_references(audience_id, definition, others)
    audience = Audience(
        audience_id, **asdict(fields), version=1, author=author, created_at=now, updated_at=now
    )
    await storage.insert_audience(conn, app_id, audience)
    await _begin(conn, app_id, {**others, audience_id: definition}, audience_id, now)
    return audience_id


async def update_audience(
    conn: AsyncConnection, app_id: str, audience_id: str, fields: AudienceFields, now: datetime
) -> None:
    """Replace what a user may write; the version grows with the definition or the duration.

    Errors: NotFound, also for a deleted one; Invalid with the path into the definition.
    """
    definition = parse_definition(fields.definition, compile_pattern)
    await lock_apps(await raw(conn), [app_id])
    stored = await get_audience(conn, app_id, audience_id)
    others = await _definitions(conn, app_id)
    others.pop(audience_id, None)
    _check_references(audience_id, definition, others)
    is_changed = (fields.definition, fields.membership_duration_days) != (
        stored.definition,
        stored.membership_duration_days,
    )
    version = stored.version + is_changed
    changed = replace(stored, **asdict(fields), version=version, updated_at=now)
    await storage.save_audience(conn, app_id, changed)
    if is_changed:
        await _begin(conn, app_id, {**others, audience_id: definition}, audience_id, now)


async def delete_audience(
    conn: AsyncConnection, app_id: str, audience_id: str, now: datetime
) -> None:
    """Delete an audience softly; at once nobody is a member of it.

    Errors: NotFound, also for one that is deleted already; Conflict naming the audiences that ask
    about it.
    """
    await lock_apps(await raw(conn), [app_id])
    await get_audience(conn, app_id, audience_id)
    names = await storage.list_definitions(conn, app_id)
    users = [
        f"{names[user][0]!r} ({user})"
        for user, definition in (await _definitions(conn, app_id)).items()
        if user != audience_id and audience_id in audience_ids(definition)
    ]
    if users:
        message = f"the audience is used by {', '.join(users)}; change or delete these first"
        raise Conflict(message, code="audience_in_use")
    await storage.mark_deleted(conn, app_id, audience_id, now)
    await storage.set_revision(conn, app_id, new_id())


async def get_audience(
    conn: AsyncConnection, app_id: str, audience_id: str, *, may_be_deleted: bool = False
) -> Audience:
    """The audience.  Errors: NotFound, for a deleted one unless it may be."""
    found = await storage.find_audience(conn, app_id, audience_id)
    if found is None or (found.is_deleted and not may_be_deleted):
        message = f"there is no audience with the id {audience_id}"
        raise NotFound(message, path="audience_id")
    return found


async def find_audience_id(conn: AsyncConnection, app_id: str, name: str) -> str | None:
    """The audience of that name that was made first, or None; deleted ones have no name."""
    known = await storage.list_definitions(conn, app_id)
    return next((key for key, (its_name, _) in known.items() if its_name == name), None)


async def list_audiences(
    conn: AsyncConnection, app_id: str, page: AudiencePage
) -> list[CountedAudience]:
    """The page of the app's audiences, with their counts."""
    return await count_audiences(conn, app_id, await storage.list_audiences(conn, app_id, page))


async def count_audiences(
    conn: AsyncConnection, app_id: str, found: list[Audience]
) -> list[CountedAudience]:
    """The audiences with their members counted; a deleted one has none."""
    alive = [audience.audience_id for audience in found if not audience.is_deleted]
    counts = await storage.count_members(conn, app_id, alive)
    ids = [audience.audience_id for audience in found]
    snapshots = await storage.list_snapshots(conn, app_id, ids)
    return [
        CountedAudience(
            audience, counts.get(audience.audience_id, 0), snapshots.get(audience.audience_id, {})
        )
        for audience in found
    ]


async def warnings_of(conn: AsyncConnection, app_id: str, definition: Any) -> list[Warned]:
    """What may be a mistake in a checked definition: names that no profile has had yet."""
    parsed = parse_definition(definition, compile_pattern)
    places = [
        (leaf.field.field_type, leaf.name, path)
        for leaf, path in leaf_paths(parsed)
        if leaf.field.field_type in ("attributes", "analytics")
    ]
    known = await storage.known_attributes(conn, app_id, {place[:2] for place in places})
    return [
        Warned(f"{path}.name", f"no profile has had {name!r} in {field_type} yet")
        for field_type, name, path in places
        if (field_type, name) not in known
    ]


async def _definitions(conn: AsyncConnection, app_id: str) -> dict[str, Definition]:
    found = await storage.list_definitions(conn, app_id)
    return {
        audience_id: parse_definition(raw_definition, compile_pattern)
        for audience_id, (_, raw_definition) in found.items()
    }


def _check_references(
    audience_id: str, definition: Definition, others: Mapping[str, Definition]
) -> None:
    """Audiences it asks about exist and do not ask back."""
    references = {other: audience_ids(known) for other, known in others.items()}
    for leaf, path in leaf_paths(definition):
        if leaf.audience_id is not None and leaf.audience_id not in {*others, audience_id}:
            message = f"{path}.name: there is no audience with the id {leaf.audience_id}"
            raise Invalid(message, path=f"{path}.name")
    cycle = find_cycle({audience_id: audience_ids(definition), **references})
    if cycle is not None:
        message = f"definition: the audiences ask about each other in a circle: {' > '.join(cycle)}"
        raise Invalid(message, path="definition", code="circular_definition")


async def _begin(
    conn: AsyncConnection,
    app_id: str,
    known: Mapping[str, Definition],
    audience_id: str,
    now: datetime,
) -> None:
    """A new revision; members are worked out anew, those of audiences that ask about it too.

    One that asks about an audience still being filled is left to the job: that one comes first.
    """
    references = {other: audience_ids(definition) for other, definition in known.items()}
    users = users_of(audience_id, references)
    await storage.start_filling(conn, app_id, [audience_id], keeps_stays=False)
    await storage.start_filling(conn, app_id, users, keeps_stays=True)
    await storage.set_revision(conn, app_id, new_id())
    affected = {one: references[one] for one in [audience_id, *users]}
    for one in dependency_order(affected)[:_AUDIENCES_FILLED_AT_ONCE]:
        await fill_next_part(await raw(conn), app_id, one, now, _PROFILES_FILLED_AT_ONCE)
