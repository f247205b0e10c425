"""`audience-consent consents`: proof of what visitors decided."""

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.server.database import raw
from consent.cli.command import AppId, in_transaction, print_json
from consent.decisions.history.operations import Verification, verify_chain


@click.group()
def consents() -> None:
    """What visitors agreed to, and the proof of it."""


@consents.command("verify")
@click.option("--app", "app_id", type=AppId(), required=True, help="The app ID.")
def consents_verify(app_id: str) -> None:
    """Walk the app's chain of decisions; exit 1 naming the first row that is not as it was written.

    Prints {"app", "decisions", "last_hash"}. Keep the last hash somewhere else: whoever can rewrite
    the whole database can rewrite all hashes, but not the one you noted.
    """

    async def work(conn: AsyncConnection) -> Verification:
        await public.get_app(conn, app_id)
        return await verify_chain(await raw(conn), app_id)

    found = in_transaction(work)
    if found.fault is not None:
        fault = found.fault
        message = f"row {fault.sequence} is {fault.kind}: {fault.explanation}"
        raise click.ClickException(message)
    print_json({"app": app_id, "decisions": found.decisions, "last_hash": found.last_hash.hex()})
