"""The command `audience-consent`: serve, migrate, apps, attributes, profiles.

Errors: one line on standard error and exit status 1; wrong usage exits 2. Every command works on
the embedded database too, also while the service runs.
"""

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import click
import orjson
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.errors import DomainError
from audience.server import clock, migrations
from audience.server.database import CONNECTION_ERRORS, Database
from audience.server.embedded_postgres import EmbeddedPostgresError, join
from audience.server.settings import Settings, SettingsError, settings_from_environment
from consent.serve import ServeError, run_service

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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="audience-consent", prog_name="audience-consent")
def main() -> None:
    r"""The audience manager and consent service: one process, one PostgreSQL.

    \b
    Start it:          audience-consent serve
    Make an app:       audience-consent apps create --name "My shop"
    Show an attribute: audience-consent attributes allow --app UUID --name color
    Look somebody up:  audience-consent profiles get --app UUID --identifier user_id --value jbond

    Settings come from the environment: DATABASE_URL (unset: an embedded PostgreSQL in DATA_DIR),
    DATA_DIR, HOST, PORT, WORKERS, ROOT_PATH, LOG_LEVEL, LOG_FORMAT, ALLOW_TEST_EMAILS.
    """


@main.command()
@click.option("--host", help="Address to listen on.  [HOST, default 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="[PORT, default 8080]")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes.  [WORKERS, default 1]")
@click.option("--demo", is_flag=True, help="Make a demo app on first start and show how to use it.")
def serve(host: str | None, port: int | None, workers: int | None, *, demo: bool) -> None:
    """Run the service until Ctrl-C or SIGTERM.

    Starts the embedded PostgreSQL when DATABASE_URL is unset, sets an empty database up, and serves
    the public API. Options win over the environment.
    """
    given = {"HOST": host, "PORT": port, "WORKERS": workers}
    options = {name: str(value) for name, value in given.items() if value is not None}
    with helpful_errors():
        run_service(settings_from_environment({**os.environ, **options}), with_demo=demo)


@main.command()
def migrate() -> None:
    """Bring the database's tables up to this version; changes nothing when they are."""
    with helpful_errors():
        settings = settings_from_environment(os.environ)
        with database(settings) as url:
            migrations.migrate(url)
    click.echo(f"The database is at migration {migrations.head_revision()}.", err=True)


@main.group()
def apps() -> None:
    """Sites and applications: every profile belongs to one."""


@apps.command("create")
@click.option("--name", required=True, help="What people call it.")
@click.option("--id", "app_id", type=AppId(), help="Its app ID; a new one when left out.")
@click.option("--organization", default=public.DEFAULT_ORGANIZATION, show_default=True)
def apps_create(name: str, app_id: str | None, organization: str) -> None:
    """Make an app and print it as one line of JSON: {"id", "name", "organization"}."""
    app = public.App(app_id or str(uuid4()), name, organization)
    in_transaction(lambda conn: public.create_app(conn, app, str(uuid4()), clock.now()))
    print_json({"id": app.app_id, "name": app.name, "organization": app.organization})


@apps.command("list")
def apps_list() -> None:
    """Print every app, oldest first, one line of JSON each."""
    for app in in_transaction(public.list_apps):
        print_json({"id": app.app_id, "name": app.name, "organization": app.organization})


@main.group()
def attributes() -> None:
    """The attribute whitelist: what the public API may show. Nothing is shown by default."""


def whitelist_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that `attributes allow` and `attributes deny` share."""
    for option in (
        click.option(
            "--field-type",
            type=click.Choice(public.FIELD_TYPES),
            default="attributes",
            show_default=True,
            help="attributes: custom ones; analytics: those of the analytics system.",
        ),
        click.option("--name", required=True, help="The attribute's name, as it is written."),
        click.option("--app", "app_id", type=AppId(), required=True, help="The app ID."),
    ):
        command = option(command)
    return command


@attributes.command("allow")
@whitelist_options
def attributes_allow(app_id: str, name: str, field_type: str) -> None:
    """Let the public API show an attribute, from its next read on.

    Everybody who knows a visitor's analytics ID can then read it: allow nothing personal.
    """
    is_new = in_transaction(
        lambda conn: public.allow_attribute(conn, app_id, field_type, name, clock.now())
    )
    state = "is now" if is_new else "was already"
    click.echo(f"{field_type} {name!r} {state} public.", err=True)


@attributes.command("deny")
@whitelist_options
def attributes_deny(app_id: str, name: str, field_type: str) -> None:
    """Hide an attribute from the public API again."""
    was_public = in_transaction(lambda conn: public.deny_attribute(conn, app_id, field_type, name))
    state = "is no longer" if was_public else "was not"
    click.echo(f"{field_type} {name!r} {state} public.", err=True)


@main.group()
def profiles() -> None:
    """Visitors, merged by their identifiers."""


@profiles.command("get")
@click.option("--app", "app_id", type=AppId(), required=True, help="The app ID.")
@click.option(
    "--identifier", type=click.Choice(public.IDENTIFIER_NAMES), required=True, help="Its kind."
)
@click.option("--value", required=True, help="The identifier itself.")
def profiles_get(app_id: str, identifier: str, value: str) -> None:
    """Print the profiles that hold an identifier as a JSON array; [] when there is none."""
    documents = in_transaction(
        lambda conn: public.find_profile_documents(conn, app_id, identifier, value)
    )
    print_json(documents, is_indented=sys.stdout.isatty())


if __name__ == "__main__":
    main()
