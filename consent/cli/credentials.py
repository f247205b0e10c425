"""`audience-consent credentials` and `keys`: who may use the authorized API."""

from datetime import datetime
from uuid import uuid4

import click

from audience import public
from audience.server import clock
from consent.cli.command import in_transaction, print_json


@click.group()
def credentials() -> None:
    """Clients of the authorized API (/api/...): they exchange id and secret for a token."""


@credentials.command("create")
@click.option("--name", required=True, help="What the client is for.")
@click.option("--organization", default=public.DEFAULT_ORGANIZATION, show_default=True)
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(public.SCOPES),
    multiple=True,
    default=["read"],
    show_default=True,
    help="What it may do; give it several times. write includes read, admin includes all.",
)
def credentials_create(name: str, organization: str, scopes: tuple[str, ...]) -> None:
    """Make a credential and print {"client_id", "client_secret"}: the secret is shown only now.

    \b
    Get a token with it:
      curl -X POST http://127.0.0.1:8080/auth/token -H 'Content-Type: application/json' \\
        -d '{"grant_type": "client_credentials", "client_id": "...", "client_secret": "..."}'
    """  # noqa: D301 - click wants the character of the escape, which keeps lines as they are
    made = in_transaction(
        lambda conn: public.create_credential(
            conn,
            name=name,
            organization=organization,
            scopes=scopes,
            ids=(str(uuid4()), str(uuid4())),
            now=clock.now(),
        )
    )
    print_json({"client_id": made.client_id, "client_secret": made.client_secret})


@credentials.command("list")
def credentials_list() -> None:
    """Print every credential, oldest first, one line of JSON each; never a secret."""
    for found in in_transaction(public.list_credentials):
        print_json(
            {
                "client_id": found.credential_id,
                "name": found.name,
                "organization": found.organization,
                "scopes": list(found.scopes),
                "created_at": _text(found.created_at),
                "last_used_at": _text(found.last_used_at),
                "revoked_at": _text(found.revoked_at),
            }
        )


@credentials.command("revoke")
@click.argument("client_id", type=click.UUID)
def credentials_revoke(client_id: object) -> None:
    """End a credential and all of its tokens, at once."""
    in_transaction(lambda conn: public.revoke_credential(conn, str(client_id), clock.now()))
    click.echo(f"Credential {client_id} is revoked.", err=True)


@click.group()
def keys() -> None:
    """The keys that sign access tokens and receipts."""


@keys.command("rotate")
def keys_rotate() -> None:
    """Sign with a new key from now on; what the old one signed stays valid."""
    key_id = in_transaction(lambda conn: public.rotate_signing_key(conn, clock.now()))
    click.echo(f"Key {key_id} signs from now on.", err=True)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
