"""What every command uses: the database, one-line errors, printing.

Errors: one line on standard error and exit status 1; wrong usage exits 2. Every command works on
the embedded database too, also while the service runs.
"""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import click
import orjson
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.errors import DomainError
from audience.server import migrations
from audience.server.database import CONNECTION_ERRORS, Database
from audience.server.embedded_postgres import EmbeddedPostgresError, join
from audience.server.settings import Settings, SettingsError, settings_from_environment
from consent.serve import ServeError

_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


class AppId(click.ParamType[str]):
    """A UUID in its 36-character form."""

    name = "UUID"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The UUID in lower case; usage error otherwise."""
        if not _UUID.fullmatch(value):
            self.fail(
                f"{value!r} is not a UUID like 01234567-89ab-cdef-0123-456789abcdef", param, ctx
            )
        return str(value).lower()


def one_line(text: object) -> str:
    """The text without line breaks, for an error message."""
    return " ".join(str(text).split())


@contextmanager
def helpful_errors() -> Iterator[None]:
    """Every expected failure becomes one line on standard error and exit status 1."""
    try:
        yield
    except (SettingsError, ServeError, EmbeddedPostgresError) as error:
        raise click.ClickException(one_line(error)) from None
    except DomainError as error:
        raise click.ClickException(one_line(error.message)) from None
    except (SQLAlchemyError, asyncpg.PostgresError, *CONNECTION_ERRORS) as error:
        cause = getattr(error, "orig", None) or error
        raise click.ClickException(f"the database does not answer: {one_line(cause)}") from None


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The URL of the database; the embedded one runs (or is joined) while the context is open.

    A database that was never migrated is set up; the embedded one is always brought up to date.
    """
    if settings.database_url is not None:
        if migrations.is_empty(settings.database_url):
            migrations.migrate(settings.database_url)
        yield settings.database_url
        return
    with join(settings.data_dir) as lease:
        migrations.migrate(lease.database.url)
        yield lease.database.url


def in_transaction(work: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
    """The result of `work` in one transaction on the service's database."""

    async def run(url: str) -> Any:
        service_database = Database(url, application_name="audience-consent command")
        try:
            async with service_database.transaction() as conn:
                return await work(conn)
        finally:
            await service_database.close()

    with helpful_errors(), database(settings_from_environment(os.environ)) as url:
        return asyncio.run(run(url))


def print_json(value: object, *, is_indented: bool = False) -> None:
    """One JSON document on standard output."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 if is_indented else 0).decode())
