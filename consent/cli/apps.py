"""`audience-consent apps`: sites and applications."""

from uuid import uuid4

import click

from audience import public
from audience.server import clock
from consent.cli.command import AppId, in_transaction, print_json


@click.group()
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
