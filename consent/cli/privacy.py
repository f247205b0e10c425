"""`audience-consent privacy`: finding and erasing a person, for the operator on the machine."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import click

from audience.server import clock
from audience.server.database import Database
from audience.server.settings import settings_from_environment
from consent.cli.command import AppId, database, helpful_errors, in_transaction, print_json
from consent.data_subject_requests.execution.by_operator import find_person, start_erasure
from consent.data_subject_requests.execution.jobs import execute_step
from consent.data_subject_requests.execution.operations import receipt
from consent.data_subject_requests.execution.storage import find_execution
from consent.data_subject_requests.mails.outbox import outbox_of
from consent.data_subject_requests.operations import get_request

_app = click.option("--app", "app_id", type=AppId(), required=True, help="The app ID.")
_email = click.option("--email", required=True, help="The person's e-mail address.")
#: Between two looks, while the service does the work.
_LOOK_SECONDS = 0.2


@click.group()
def privacy() -> None:
    """Data subjects: whom the app knows, and erasing them."""


@privacy.command("find")
@_app
@_email
def privacy_find(app_id: str, email: str) -> None:
    """Print a person's profiles and how many rows tell of the person, as one JSON document."""
    found = in_transaction(lambda conn: find_person(conn, app_id, email, clock.now()))
    print_json(found, is_indented=sys.stdout.isatty())


@privacy.command("erase")
@_app
@_email
@click.option("--yes", "is_confirmed", is_flag=True, help="Do not ask.")
@click.option("--tell", "is_told", is_flag=True, help="Send the person a mail when it is done.")
def privacy_erase(app_id: str, email: str, *, is_confirmed: bool, is_told: bool) -> None:
    """Erase a person with everything the app knows; print {"request_id", "counts", "receipt"}.

    Shows first what goes and asks. This can't be taken back. Consent decisions stay as anonymous
    proof. When it is stopped in the middle, the service goes on, or this command run again.
    """
    found = in_transaction(lambda conn: find_person(conn, app_id, email, clock.now()))
    for table, count in found["counts"].items():
        verb = "become anonymous" if table == "consent_decisions" else "go"
        click.echo(f"{count:>8} {table} {verb}", err=True)
    if not is_confirmed:
        click.confirm("Erase this person?", abort=True, err=True)
    settings = settings_from_environment(os.environ)
    with helpful_errors(), database(settings) as url:
        print_json(asyncio.run(_erase(url, outbox_of(settings), app_id, email, is_told=is_told)))


async def _erase(
    url: str, outbox: Path, app_id: str, email: str, *, is_told: bool
) -> dict[str, Any]:
    service_database = Database(url, application_name="audience-consent command")
    try:
        async with service_database.transaction() as conn:
            request_id = await start_erasure(conn, app_id, email, clock.now(), is_told=is_told)
        while True:
            step = await execute_step(service_database, outbox, request_id)
            async with service_database.transaction() as conn:
                request = await get_request(conn, request_id)
                execution = await find_execution(conn, app_id, request_id)
                if execution is None:
                    message = "the request was given back meanwhile: look at its history"
                    raise click.ClickException(message)
                if execution.completed_at is not None:
                    signed = await receipt(conn, request)
                    break
            if step is None or execution.try_count:
                await asyncio.sleep(_LOOK_SECONDS)
    finally:
        await service_database.close()
    return {"request_id": request_id, "counts": dict(execution.counts), "receipt": signed}
