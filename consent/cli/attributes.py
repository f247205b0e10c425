"""`audience-consent attributes`: the attribute whitelist."""

from collections.abc import Callable

import click

from audience import public
from audience.server import clock
from consent.cli.command import AppId, in_transaction


@click.group()
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
