"""`audience-consent profiles`: visitors."""

import sys

import click

from audience import public
from consent.cli.command import AppId, in_transaction, print_json
from consent.cli.profile_import import profiles_import


@click.group()
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


profiles.add_command(profiles_import)
