"""What holds for each operation of the authorized API, also for one that is added later."""

from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from audience.server.settings import Settings
from consent.app import create_app
from tests.api.every_operation import MARKERS, OPERATIONS, Ids, make_world, without_ids
from tests.api.test_access import ALL_PERMISSIONS
from tests.conftest import App, Authorized, MakeClient, serve_in_test
from tests.data_subjects import Office

#: Neither write nor read what is about persons; all others must leave a row in the audit log.
NOT_AUDITED = {
    "list_apps",
    "get_app",
    "list_audit_entries",
    "list_app_audiences",
    "get_audience",
    "list_imports",  # numbers, and what is wrong in which row and column
    "get_import",
    "get_consent_settings",
    "list_consent_texts",
    "list_consent_text_versions",
    "get_consent_text_version",
    "get_consent_statistics",
    "get_request_settings",
    "get_execution",  # numbers and times
    "get_opendsr_request",  # the state of a request
}

#: Name no app of somebody else, or only those of the caller's organization.
OF_THE_ORGANIZATION = {"list_apps", "create_app"}


def test_every_operation_is_here_and_in_one_class() -> None:
    assert sorted(OPERATIONS) == sorted(ALL_PERMISSIONS)
    assert set(ALL_PERMISSIONS) > NOT_AUDITED


@pytest.fixture
def app(office: Office, app: App) -> App:
    """One app, used through the service that has the mailbox."""
    return replace(app, service=office.service)


@pytest.fixture
def client(office: Office, authorized: Authorized) -> Authorized:
    """May do everything, at the service that has the mailbox."""
    return Authorized(office.service, authorized.token)


async def _audited(app: App) -> list[Any]:
    return await app.rows.fetch(
        "SELECT operation, outcome, credential_id, app_id, details FROM audit_entries"
    )


async def test_writes_and_reads_of_persons_leave_an_audit_row_and_others_none(
    app: App, client: Authorized
) -> None:
    ids = await make_world(app, client)
    wrong = []
    for name, operation in OPERATIONS.items():
        await app.rows.execute("DELETE FROM audit_entries")
        status, body = await operation.send(client, ids)
        rows = await _audited(app)
        expected = [] if name in NOT_AUDITED else [(name, "done")]
        found = [(row["operation"], row["outcome"]) for row in rows]
        if (status, found) != (operation.expected, expected):
            wrong.append((name, status, body, found))
        assert not [marker for marker in MARKERS if marker in str(rows)], name
    assert not wrong


async def test_json_api_content_type_and_any_slashes_will_do(app: App, client: Authorized) -> None:
    ids = await make_world(app, client)
    json_api = dict.fromkeys(("Content-Type", "Accept"), "application/vnd.api+json")
    for name, operation in OPERATIONS.items():
        bare = operation.path.rstrip("/")
        path = f"/{bare}" if operation.path.endswith("/") else f"{bare.replace('/v1', '//v1')}/"
        answer = await replace(operation, path=path).send(client, ids, **json_api)
        assert answer[0] == operation.expected, (name, answer)


async def test_every_operation_is_also_below_a_root_path(
    app: App, client: Authorized, database_url: str
) -> None:
    ids = await make_world(app, client)
    below = create_app(Settings(root_path="/piwik"), database_url, with_jobs=False)
    async with TestClient(serve_in_test(below)) as service:
        for name, operation in OPERATIONS.items():
            there = replace(operation, path=f"/piwik{operation.path}")
            nobody = await service.request(there.method, there.url(ids)[0])
            assert nobody.status == 401, name
            assert nobody.content_type == "application/json", name
            assert "Access-Control-Allow-Origin" not in nobody.headers, name
            answer = await there.send(Authorized(service, client.token), ids)
            assert answer[0] == operation.expected, (name, answer)
            assert (await operation.send(Authorized(service, client.token), ids))[0] == 404, name


async def test_other_sites_may_not_use_an_operation(app: App) -> None:
    asked = {
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    for name, operation in OPERATIONS.items():
        path = operation.url(Ids.unknown())[0]
        for one in (path, f"/{path}", path.replace("/v1", "//v1")):
            answer = await app.service.options(one, headers=asked, allow_redirects=False)
            granted = [header for header in answer.headers if header.startswith("Access-Control")]
            assert granted == [], (name, one)


async def test_app_of_another_organization_answers_like_one_that_does_not_exist(
    app: App, client: Authorized, make_client: MakeClient
) -> None:
    ids, unknown = await make_world(app, client), Ids.unknown()
    made = await make_client("admin", organization="elsewhere")
    stranger = Authorized(app.service, made.token)
    for name, operation in OPERATIONS.items():
        answer = await operation.send(stranger, ids)
        if name in OF_THE_ORGANIZATION:
            assert app.app_id not in str(answer[1]), name
            continue
        nothing = await operation.send(stranger, unknown)
        assert without_ids(answer, ids) == without_ids(nothing, unknown), name
    assert {row["operation"] for row in await _audited(app) if str(row["app_id"]) == app.app_id}


async def test_what_is_in_an_app_of_another_organization_is_not_in_the_callers(
    app: App, client: Authorized, make_client: MakeClient, make_app: Any
) -> None:
    own = await make_app("elsewhere")
    ids, unknown = await make_world(app, client), Ids.unknown()
    mixed, unknown = replace(ids, app=own.app_id), replace(unknown, app=own.app_id)
    made = await make_client("admin", organization="elsewhere")
    stranger = Authorized(app.service, made.token)
    for name, operation in OPERATIONS.items():
        if operation.path.count("{") - operation.path.count("{app}") == 0:
            continue
        answer = await operation.send(stranger, mixed)
        nothing = await operation.send(stranger, unknown)
        assert without_ids(answer, mixed) == without_ids(nothing, unknown), name
        assert answer[0] in (400, 404) or answer[1] == {"data": []}, (name, answer)
