"""Whoever lacks the scope `privacy` gets 403, leaves an audit row and changes nothing."""

from typing import Any

import pytest

from consent.routes import AUTHORIZED_ROUTES, OPENDSR_AUTHORIZED_ROUTES
from tests.api.every_operation import OPERATIONS, Operation, make_world
from tests.conftest import App, Authorized, MakeClient
from tests.data_subjects import Office

_PREFIXES = ("/api/privacy/v1/", "/opendsr/v1/")
PRIVACY_OPERATIONS: dict[str, Operation] = {
    name: one for name, one in OPERATIONS.items() if one.path.startswith(_PREFIXES)
}


def test_every_privacy_operation_is_here() -> None:
    routes = (*AUTHORIZED_ROUTES, *OPENDSR_AUTHORIZED_ROUTES)
    names = {handler.__name__ for _, path, handler in routes if path.startswith(_PREFIXES)}
    assert set(PRIVACY_OPERATIONS) == names
    assert len(names) > 15


async def _stored(app: App) -> dict[str, list[Any]]:
    tables = await app.rows.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND "
        "(table_name LIKE 'data_subject%' OR table_name LIKE 'opendsr%' OR table_name = 'mails')"
    )
    return {
        name: sorted(map(str, await app.rows.fetch(f"SELECT * FROM {name}"))) for (name,) in tables
    }


@pytest.mark.parametrize("scopes", [("read",), ("write",), ("read", "write")], ids="+".join)
async def test_wrong_role_is_refused_noted_and_does_nothing(
    office: Office,
    app: App,
    authorized: Authorized,
    make_client: MakeClient,
    scopes: tuple[str, ...],
) -> None:
    ids = await make_world(app, Authorized(office.service, authorized.token))
    token = (await make_client(*scopes, name="marketing")).token
    marketing = Authorized(office.service, token)
    before = await _stored(app)
    assert len(before["data_subject_requests"]) > 2
    wrong = []
    for name, operation in PRIVACY_OPERATIONS.items():
        await app.rows.execute("DELETE FROM audit_entries")
        status, body = await operation.send(marketing, ids)
        error = body.get("error", body)["errors"][0]
        code = error.get("reason") or error["code"]
        entries = [
            tuple(row)
            for row in await app.rows.fetch("SELECT actor, operation, outcome FROM audit_entries")
        ]
        if (status, code, entries) != (403, "missing_scope", [("marketing", name, "refused")]):
            wrong.append((name, status, body, entries))
    assert not wrong
    assert await _stored(app) == before
