"""Migrations: the folder `alembic/` of a checkout, `consent/alembic` of an installed wheel."""

import asyncio
from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from alembic import command
from audience.server.database import make_engine

_PACKAGE = Path(__file__).resolve().parents[2]
_VERSION_TABLE = "alembic_version"


def migrations_folder() -> Path:
    """Where the revisions are: inside the wheel, or at the top of a checkout."""
    installed = _PACKAGE / "consent" / "alembic"
    return installed if installed.is_dir() else _PACKAGE / "alembic"


def alembic_config(url: str) -> Config:
    """Alembic's configuration for one database; there is no alembic.ini."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["url"] = url
    return config


@cache
def head_revision() -> str | None:
    """The newest revision this version of the service knows."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    return ScriptDirectory.from_config(config).get_current_head()


async def stored_revision(conn: AsyncConnection) -> str | None:
    """The revision the database is at, None when it was never migrated."""
    tables = await conn.run_sync(lambda sync: inspect(sync).has_table(_VERSION_TABLE))
    if not tables:
        return None
    found = await conn.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}"))  # noqa: S608
    revision: str | None = found.scalar_one_or_none()
    return revision


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database up to the revision.  On repeat: changes nothing.

    Two processes that migrate at once wait for each other. Errors: those of the database.
    """
    command.upgrade(alembic_config(url), revision)


def is_empty(url: str) -> bool:
    """True when the database was never migrated.  Errors: those of the connection."""

    async def ask() -> bool:
        engine = make_engine(url)
        try:
            async with engine.connect() as conn:
                return await stored_revision(conn) is None
        finally:
            await engine.dispose()

    return asyncio.run(ask())
