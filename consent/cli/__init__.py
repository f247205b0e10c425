"""The command `audience-consent`; one module per group of subcommands."""

import os

import click

from audience.server import migrations
from audience.server.settings import settings_from_environment
from consent.cli.apps import apps
from consent.cli.attributes import attributes
from consent.cli.command import database, helpful_errors
from consent.cli.consents import consents
from consent.cli.credentials import credentials, keys
from consent.cli.privacy import privacy
from consent.cli.profiles import profiles
from consent.serve import run_service


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="audience-consent", prog_name="audience-consent")
def main() -> None:
    """The audience manager and consent service: one process, one PostgreSQL.

    \b
    Start it:          audience-consent serve
    Make an app:       audience-consent apps create --name "My shop"
    Show an attribute: audience-consent attributes allow --app UUID --name color
    Look somebody up:  audience-consent profiles get --app UUID --identifier user_id --value jbond
    Erase somebody:    audience-consent privacy erase --app UUID --email jane@example.com
    Let a client in:   audience-consent credentials create --name "Reports" --scope read

    Settings come from the environment: DATABASE_URL (unset: an embedded PostgreSQL in DATA_DIR),
    DATA_DIR, HOST, PORT, WORKERS, ROOT_PATH, LOG_LEVEL, LOG_FORMAT, ALLOW_TEST_EMAILS,
    TOKEN_ISSUER, COLLECT_PER_MINUTE, TRUSTED_PROXIES, PUBLIC_URL, SMTP_URL, MAIL_FROM,
    ALLOW_PRIVATE_CALLBACKS. README.md explains each.
    """  # noqa: D301 - click wants the character of the escape, which keeps lines as they are


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


for group in (apps, attributes, consents, credentials, keys, privacy, profiles):
    main.add_command(group)
