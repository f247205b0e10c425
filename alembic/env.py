"""Runs migrations against the database that `audience.server.migrations` names."""

import asyncio

from sqlalchemy import Connection, text

from alembic import context
from audience.server.database import make_engine
from audience.tables import metadata
from consent import tables as _tables  # noqa: F401 - its tables
from consent import tables_requests as _tables_requests  # noqa: F401 - its tables

#: Two processes that migrate at once wait for each other on this advisory lock.
MIGRATION_LOCK = 4_707_113


def run(connection: Connection) -> None:
    """Run every pending revision in one transaction, with bounded waits.

    A migration must work with the service running: it waits for a lock at most five seconds and
    then fails whole, instead of stopping every request behind it.
    """
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
    connection.commit()
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.execute(text("SET statement_timeout = '10min'"))
    connection.commit()
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run() -> None:
    """Open one connection for the migration; closing it releases the lock."""
    engine = make_engine(context.config.attributes["url"])
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
            await connection.commit()
    finally:
        await engine.dispose()


asyncio.run(connect_and_run())
