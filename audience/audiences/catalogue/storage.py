"""All SQL of the audiences themselves, their counts and snapshots (SQLAlchemy Core)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.audiences.catalogue.audience import Audience
from audience.tables import (
    apps,
    attribute_definitions,
    audience_count_snapshots,
    audience_members,
    audiences,
)

_COLUMN = audiences.c


@dataclass(frozen=True, slots=True)
class AudiencePage:
    """Which audiences of an app, in which order: name, count, created_at or updated_at."""

    limit: int
    offset: int
    order_by: str = "name"
    is_descending: bool = False
    name_contains: str | None = None
    include_deleted: bool = False


async def insert_audience(conn: AsyncConnection, app_id: str, audience: Audience) -> None:
    """Store a new audience that has not been filled yet."""
    await conn.execute(
        insert(audiences).values(
            app_id=UUID(app_id),
            audience_id=UUID(audience.audience_id),
            author=audience.author,
            created_at=audience.created_at,
            **_changing(audience),
        )
    )


async def save_audience(conn: AsyncConnection, app_id: str, audience: Audience) -> None:
    """Write what changes of an audience when a user replaces it."""
    await conn.execute(
        update(audiences).where(_is(app_id, audience.audience_id)).values(**_changing(audience))
    )


async def start_filling(
    conn: AsyncConnection, app_id: str, audience_ids: Collection[str], *, keeps_stays: bool
) -> None:
    """Have the members of these audiences worked out from the first profile on.

    keeps_stays: their definitions have not changed. A fill that is under way for a changed
    definition stays one.
    """
    starts: dict[str, Any] = {
        "is_filling": True,
        "fill_cursor": None,
        "fill_done": 0,
        "fill_total": 0,
        "fill_timezone": select(apps.c.timezone)
        .where(apps.c.app_id == UUID(app_id))
        .scalar_subquery(),
        "fill_keeps_stays": False,
    }
    if keeps_stays:
        starts["fill_keeps_stays"] = ~_COLUMN.is_filling | _COLUMN.fill_keeps_stays
    chosen = [UUID(audience_id) for audience_id in audience_ids]
    await conn.execute(
        update(audiences)
        .where(_COLUMN.app_id == UUID(app_id), _COLUMN.audience_id.in_(chosen))
        .values(**starts)
    )


async def mark_deleted(conn: AsyncConnection, app_id: str, audience_id: str, now: datetime) -> None:
    """Delete softly; from now on no read shows its members, a job removes them."""
    await conn.execute(
        update(audiences)
        .where(_is(app_id, audience_id))
        .values(is_deleted=True, is_filling=False, updated_at=now)
    )
    await conn.execute(
        update(apps)
        .where(apps.c.app_id == UUID(app_id))
        .values(
            purged_audience_ids=func.array_append(apps.c.purged_audience_ids, UUID(audience_id))
        )
    )


async def set_revision(conn: AsyncConnection, app_id: str, revision: str) -> None:
    """Name the new state of the app's audiences; none while there are none. Needs the lock."""
    any_left = select(_COLUMN.audience_id).where(
        _COLUMN.app_id == UUID(app_id), ~_COLUMN.is_deleted
    )
    has_some = await conn.scalar(select(any_left.exists()))
    await conn.execute(
        update(apps)
        .where(apps.c.app_id == UUID(app_id))
        .values(audiences_revision=UUID(revision) if has_some else None)
    )


async def find_audience(conn: AsyncConnection, app_id: str, audience_id: str) -> Audience | None:
    """The audience, deleted ones as well, or None."""
    row = (await conn.execute(select(audiences).where(_is(app_id, audience_id)))).one_or_none()
    return None if row is None else _audience(row)


async def list_definitions(conn: AsyncConnection, app_id: str) -> dict[str, tuple[str, Any]]:
    """{audience_id: (name, definition)} of every audience that is not deleted."""
    rows = await conn.execute(
        select(_COLUMN.audience_id, _COLUMN.name, _COLUMN.definition)
        .where(_COLUMN.app_id == UUID(app_id), ~_COLUMN.is_deleted)
        .order_by(_COLUMN.audience_id)
    )
    return {str(row.audience_id): (row.name, row.definition) for row in rows}


async def list_audiences(conn: AsyncConnection, app_id: str, page: AudiencePage) -> list[Audience]:
    """The page, ties ordered by id."""
    wanted: list[ColumnElement[bool]] = [_COLUMN.app_id == UUID(app_id)]
    if not page.include_deleted:
        wanted.append(~_COLUMN.is_deleted)
    if page.name_contains:
        wanted.append(_COLUMN.name.icontains(page.name_contains, autoescape=True))
    statement = select(audiences).where(*wanted)
    if page.order_by == "count":
        counts = _counts(app_id).subquery()
        statement = statement.outerjoin(
            counts, (counts.c.audience_id == _COLUMN.audience_id) & ~_COLUMN.is_deleted
        )
        order: ColumnElement[Any] = func.coalesce(counts.c.member_count, 0)
    else:
        order = func.lower(_COLUMN.name) if page.order_by == "name" else _COLUMN[page.order_by]
    rows = await conn.execute(
        statement.order_by(order.desc() if page.is_descending else order, _COLUMN.audience_id)
        .limit(page.limit)
        .offset(page.offset)
    )
    return [_audience(row) for row in rows]


async def count_members(
    conn: AsyncConnection, app_id: str, audience_ids: Collection[str]
) -> dict[str, int]:
    """{audience_id: how many members}, exact; audiences without members are left out."""
    chosen = [UUID(audience_id) for audience_id in audience_ids]
    rows = await conn.execute(_counts(app_id).where(audience_members.c.audience_id.in_(chosen)))
    return {str(row.audience_id): row.member_count for row in rows}


async def list_snapshots(
    conn: AsyncConnection, app_id: str, audience_ids: Collection[str]
) -> dict[str, dict[date, int]]:
    """{audience_id: {day: members at its beginning}}."""
    column = audience_count_snapshots.c
    chosen = [UUID(audience_id) for audience_id in audience_ids]
    rows = await conn.execute(
        select(column.audience_id, column.counted_on, column.member_count).where(
            column.app_id == UUID(app_id), column.audience_id.in_(chosen)
        )
    )
    found: dict[str, dict[date, int]] = {}
    for row in rows:
        found.setdefault(str(row.audience_id), {})[row.counted_on] = row.member_count
    return found


async def known_attributes(
    conn: AsyncConnection, app_id: str, names: Collection[tuple[str, str]]
) -> set[tuple[str, str]]:
    """The (field_type, name) pairs that some profile has had or that were declared."""
    column = attribute_definitions.c
    alternatives = [
        (column.field_type == field_type) & (column.attribute_name == name)
        for field_type, name in names
    ]
    if not alternatives:
        return set()
    rows = await conn.execute(
        select(column.field_type, column.attribute_name).where(
            column.app_id == UUID(app_id), or_(*alternatives)
        )
    )
    return {(row.field_type, row.attribute_name) for row in rows}


def _counts(app_id: str) -> Any:
    return (
        select(audience_members.c.audience_id, func.count().label("member_count"))
        .where(audience_members.c.app_id == UUID(app_id))
        .group_by(audience_members.c.audience_id)
    )


def _is(app_id: str, audience_id: str) -> ColumnElement[bool]:
    return (_COLUMN.app_id == UUID(app_id)) & (_COLUMN.audience_id == UUID(audience_id))


def _changing(audience: Audience) -> Mapping[str, Any]:
    return {
        "name": audience.name,
        "description": audience.description,
        "definition": audience.definition,
        "membership_duration_days": audience.membership_duration_days,
        "version": audience.version,
        "updated_at": audience.updated_at,
    }


def _audience(row: Any) -> Audience:
    return Audience(
        audience_id=str(row.audience_id),
        name=row.name,
        description=row.description,
        definition=row.definition,
        membership_duration_days=row.membership_duration_days,
        version=row.version,
        author=row.author,
        is_deleted=row.is_deleted,
        created_at=row.created_at,
        updated_at=row.updated_at,
        is_filling=row.is_filling,
        fill_done=row.fill_done,
        fill_total=row.fill_total,
    )
