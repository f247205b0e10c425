"""All SQL of settings and texts (SQLAlchemy Core)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.tables import apps
from consent.forms.texts import TextVersion
from consent.tables import consent_current_texts, consent_settings, consent_texts

PUBLISHED, READY_MADE = "published", "ready_made"


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version of a text as it is stored. asks_again_at: only of the one that is shown now."""

    version: TextVersion
    origin: str
    published_at: datetime
    asks_again_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredSettings:
    """What is stored of an app's settings, see `settings.consent_settings_of`."""

    app_settings: Mapping[str, Any]
    own: Mapping[str, Any] | None
    gate_consent_type: str | None
    timezone: str


async def find_settings(conn: AsyncConnection, app_id: str) -> StoredSettings | None:
    """The app's settings, or None when there is no such app."""
    # By another name: apps has a column of the table's name, which PostgreSQL would take instead.
    row = consent_settings.alias("own_settings")
    own = select(func.to_jsonb(row.table_valued())).where(row.c.app_id == apps.c.app_id)
    found = await conn.execute(
        select(
            apps.c.consent_settings,
            apps.c.attribute_consent_type,
            apps.c.timezone,
            own.scalar_subquery().label("own"),
        ).where(apps.c.app_id == UUID(app_id), apps.c.deleted_at.is_(None))
    )
    app = found.one_or_none()
    if app is None:
        return None
    return StoredSettings(app.consent_settings, app.own, app.attribute_consent_type, app.timezone)


async def save_settings(
    conn: AsyncConnection, app_id: str, values: Mapping[str, Any], now: datetime
) -> None:
    """Write the named columns of the app's settings; others stay, or get their defaults."""
    row = {**values, "updated_at": now}
    await conn.execute(
        insert(consent_settings)
        .values(app_id=UUID(app_id), **row)
        .on_conflict_do_update(index_elements=["app_id"], set_=row)
    )


async def save_gate(
    conn: AsyncConnection, app_id: str, consent_type: str | None, seconds: int
) -> None:
    """Set under which consent attributes are taken; counts from the next batch of writes on."""
    await conn.execute(
        update(apps)
        .where(apps.c.app_id == UUID(app_id))
        .values(attribute_consent_type=consent_type, attribute_consent_seconds=seconds)
    )


async def insert_texts(
    conn: AsyncConnection,
    app_id: str,
    versions: Collection[TextVersion],
    origin: str,
    now: datetime,
) -> None:
    """Store versions; those that are stored already stay as they are."""
    if not versions:
        return
    await conn.execute(
        insert(consent_texts)
        .values(
            [
                {
                    "app_id": UUID(app_id),
                    "history_id": UUID(version.history_id),
                    "language": version.language,
                    "text_key": version.text_key,
                    "content": dict(version.content),
                    "content_sha256": version.sha256,
                    "origin": origin,
                    "published_at": now,
                }
                for version in versions
            ]
        )
        .on_conflict_do_nothing()
    )


async def list_stored_ids(
    conn: AsyncConnection, app_id: str, history_ids: Collection[str]
) -> set[str]:
    """Those of the ids that are versions of the app's texts."""
    found = await conn.execute(
        select(consent_texts.c.history_id).where(
            consent_texts.c.app_id == UUID(app_id),
            consent_texts.c.history_id.in_([UUID(one) for one in history_ids]),
        )
    )
    return {str(row.history_id) for row in found}


async def set_current_text(
    conn: AsyncConnection, app_id: str, version: TextVersion, asks_again_at: datetime | None
) -> None:
    """Show the version from now on; without asks_again_at what was asked for again stays so."""
    values: dict[str, Any] = {"history_id": UUID(version.history_id)}
    if asks_again_at is not None:
        values["asks_again_at"] = asks_again_at
    await conn.execute(
        insert(consent_current_texts)
        .values(
            app_id=UUID(app_id),
            language=version.language,
            text_key=version.text_key,
            **values,
        )
        .on_conflict_do_update(index_elements=["app_id", "language", "text_key"], set_=values)
    )


async def list_current_texts(conn: AsyncConnection, app_id: str) -> list[StoredVersion]:
    """The published versions that the app shows now, by language and key."""
    current = consent_current_texts
    rows = await conn.execute(
        _SELECT.add_columns(current.c.asks_again_at)
        .join(
            current,
            and_(
                current.c.app_id == consent_texts.c.app_id,
                current.c.history_id == consent_texts.c.history_id,
            ),
        )
        .where(current.c.app_id == UUID(app_id))
        .order_by(current.c.language, current.c.text_key)
    )
    return [_stored(row, row.asks_again_at) for row in rows]


async def find_version(conn: AsyncConnection, app_id: str, history_id: str) -> StoredVersion | None:
    """The version of a text, or None."""
    rows = await conn.execute(
        _SELECT.where(
            consent_texts.c.app_id == UUID(app_id), consent_texts.c.history_id == UUID(history_id)
        )
    )
    row = rows.one_or_none()
    return None if row is None else _stored(row)


async def list_versions(
    conn: AsyncConnection,
    app_id: str,
    *,
    language: str | None,
    text_key: str | None,
    limit: int,
    offset: int,
) -> Sequence[StoredVersion]:
    """Versions of the app's texts, newest first."""
    wanted = _SELECT.where(consent_texts.c.app_id == UUID(app_id))
    if language is not None:
        wanted = wanted.where(consent_texts.c.language == language)
    if text_key is not None:
        wanted = wanted.where(consent_texts.c.text_key == text_key)
    order = (consent_texts.c.published_at.desc(), consent_texts.c.history_id)
    rows = await conn.execute(wanted.order_by(*order).limit(limit).offset(offset))
    return [_stored(row) for row in rows]


async def summarize_gpc(conn: AsyncConnection) -> tuple[int, int, datetime | None]:
    """(apps, those of them that honour GPC, when any app's choice last changed)."""
    honours = func.coalesce(consent_settings.c.is_gpc_honoured, True)
    changed = func.coalesce(consent_settings.c.gpc_changed_at, apps.c.created_at)
    row = (
        await conn.execute(
            select(func.count(), func.count().filter(honours), func.max(changed))
            .select_from(apps)
            .outerjoin(consent_settings)
            .where(apps.c.deleted_at.is_(None))
        )
    ).one()
    return row[0], row[1], row[2]


_SELECT: Select[Any] = select(
    consent_texts.c.history_id,
    consent_texts.c.language,
    consent_texts.c.text_key,
    consent_texts.c.content,
    consent_texts.c.content_sha256,
    consent_texts.c.origin,
    consent_texts.c.published_at,
)


def _stored(row: Any, asks_again_at: datetime | None = None) -> StoredVersion:
    version = TextVersion(
        str(row.history_id), row.language, row.text_key, row.content, row.content_sha256
    )
    return StoredVersion(version, row.origin, row.published_at, asks_again_at)
