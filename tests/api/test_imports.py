"""Importing profiles from CSV, over HTTP; rows are applied by the job's step."""

import asyncio
import gzip
import io
import json
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from audience.apps.deletion import erase_deleted_app
from audience.profile_changes.imports import apply, receive
from audience.profile_changes.imports.apply import apply_next_rows
from audience.profile_changes.imports.jobs import apply_imports
from audience.server import clock
from tests.conftest import App, Authorized, MakeApp, MakeClient

IMPORT = "/api/audiences/v1/profiles/import/"
UNKNOWN = "01234567-89ab-cdef-0123-456789abcdef"
CSV = {"Content-Type": "text/csv"}


async def _send(app: App, client: Authorized, text: str | bytes, **query: Any) -> tuple[int, Any]:
    if "mapping" in query:
        query["mapping"] = json.dumps(query["mapping"])
    query = {"website_id": app.app_id, **query}
    return await client.post(IMPORT, params=query, data=text, headers=CSV)


async def _apply(app: App) -> None:
    while await apply_imports(app.service.app):
        pass


async def _look(app: App, client: Authorized, import_id: str) -> Any:
    status, body = await client.get(f"{IMPORT}{import_id}/?website_id={app.app_id}")
    assert status == 200
    return body["data"]["attributes"]


async def _import(app: App, client: Authorized, text: str | bytes, **query: Any) -> Any:
    """Import a file whole; the import as it is shown at the end."""
    status, body = await _send(app, client, text, **query)
    assert status == 202, body
    await _apply(app)
    return await _look(app, client, body["data"]["id"])


async def test_rows_become_profiles_like_public_writes(
    app: App, noise: App, authorized: Authorized
) -> None:
    await app.write({"user_id": "u1", "attributes": [{"name": "age", "value": 1}]})
    known = (await app.profile("user_id", "u1"))["id"]
    noise_before = await noise.identifier_graph()
    text = (
        "user_id,email,analytics_visitor_id,age,likes,name\r\n"
        'u1,Kim@example.org,00000000000000A1,41,"[""a"",""b""]","O\'Neil, Kim"\r\n'
        "u2,,,,,=1+1\r\n"
    )
    found = await _import(app, authorized, text)
    assert found["state"] == "done"
    assert (found["rows"], found["rows_applied"], found["rows_refused"]) == (2, 2, 0)
    assert (found["errors"], found["error_count"], found["progress_percent"]) == ([], 0, 100)
    profile = await app.profile("email", "kim@example.org")
    assert profile["id"] == known
    assert profile["email"] == "Kim@example.org"
    assert profile["analytics_visitor_id"] == "00000000000000a1"
    assert profile["attributes"] == {"age": 41, "likes": ["a", "b"], "name": "O'Neil, Kim"}
    assert (await app.profile("user_id", "u2"))["attributes"] == {"name": "=1+1"}
    assert await noise.identifier_graph() == noise_before
    assert await app.count("profile_import_chunks") == 0


async def test_import_merges_profiles_and_keeps_a_ledger(app: App, authorized: Authorized) -> None:
    await app.write({"user_id": "u"}, {"device_id": "d"})
    await _import(app, authorized, "user_id,device_id\nu,d\n")
    assert await app.count("profiles") == 1
    assert await app.count("profile_merges") == 1


async def test_mapping_says_what_columns_become(app: App, authorized: Authorized) -> None:
    mapping = {
        "Kunde": {"identifier": "user_id"},
        "Punkte": {"attribute": "points", "type": "numeric"},
        "Notiz": None,
    }
    await _import(app, authorized, "Kunde;Punkte;Notiz;Ort\nu;3,5;x;Ulm\n", mapping=mapping)
    assert await app.profiles("user_id", "u") == []
    found = await _import(app, authorized, "Kunde;Punkte;Notiz;Ort\nu;3.5;x;Ulm\n", mapping=mapping)
    assert found["rows_applied"] == 1
    assert (await app.profile("user_id", "u"))["attributes"] == {"points": 3.5, "Ort": "Ulm"}


async def test_export_can_be_imported_into_another_app(
    app: App, make_app: MakeApp, authorized: Authorized
) -> None:
    other = await make_app()
    text = (
        '"analytics_visitor_id","analytics_visitor_ids","email","user_id","device_ids","a"\n'
        '"00000000000000a2","[""00000000000000a1"", ""00000000000000a2""]","K@x.org","\'=u",'
        '"[""d1"", ""d2""]","[""x"", ""y""]"\n'
    )
    await _import(other, authorized, text)
    profile = await other.profile("user_id", "=u")
    assert set(profile["analytics_visitor_ids"]) == {"00000000000000a1", "00000000000000a2"}
    assert profile["device_ids"] == ["d1", "d2"]
    assert profile["attributes"] == {"a": ["x", "y"]}
    assert await app.count("profiles") == 0


WRONG_ROWS = "user_id,email,age\nu1,,40\nu2,nobody,41\n,,42\nu4,,old\nu5\nu6,six@example.org,43\n"
ERRORS_OF_WRONG_ROWS = [
    {"row": 3, "column": "email", "problem": "must be a valid e-mail address"},
    {"row": 4, "problem": "has no usable identifier"},
    {"row": 5, "column": "age", "problem": "must be a number"},
    {"row": 6, "problem": "has 1 cells, the header has 3"},
]


async def test_dry_run_tells_each_wrong_row_and_stores_nothing(
    app: App, authorized: Authorized
) -> None:
    await app.write({"user_id": "old", "attributes": [{"name": "age", "value": 1}]})
    status, body = await _send(app, authorized, WRONG_ROWS, dry_run="true")
    assert status == 200
    assert body["data"] == {
        "type": "ProfileImport",
        "attributes": {
            "state": "dry_run",
            "rows": 6,
            "rows_refused": 4,
            "error_count": 4,
            "errors": ERRORS_OF_WRONG_ROWS,
        },
    }
    assert await app.count("profiles") == 1
    assert await app.count("profile_imports") == 0


async def test_wrong_rows_are_left_out_and_told(app: App, authorized: Authorized) -> None:
    await app.write({"user_id": "old", "attributes": [{"name": "age", "value": 1}]})
    found = await _import(app, authorized, WRONG_ROWS)
    assert (found["rows"], found["rows_applied"], found["rows_refused"]) == (6, 2, 4)
    assert found["errors"] == ERRORS_OF_WRONG_ROWS
    assert {next(iter(group)).identifier_value for group in await app.identifier_graph()} <= {
        *("old", "u1", "u6", "six@example.org")
    }


async def test_what_the_store_refuses_later_is_told_too(app: App, authorized: Authorized) -> None:
    status, body = await _send(app, authorized, "user_id,age\nu1,old\nu2,7\n")
    assert status == 202
    await app.write({"user_id": "x", "attributes": [{"name": "age", "value": 1}]})
    await app.rows.execute(
        "UPDATE apps SET blocked_identifier_values = '{u2}' WHERE app_id = $1", app.app_id
    )
    await _apply(app)
    found = await _look(app, authorized, body["data"]["id"])
    assert (found["rows_applied"], found["rows_refused"]) == (1, 1)
    assert found["errors"] == [
        {"row": 2, "column": "age", "problem": "type_mismatch"},
        {"row": 3, "problem": "was refused: invalid"},
    ]


async def test_progress_can_be_read_while_rows_are_applied(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive, "_CHUNK_ROWS", 2)
    text = "user_id,n\n" + "".join(f"u{n},{n}\n" for n in range(5))
    _, body = await _send(app, authorized, text)
    import_id = body["data"]["id"]
    assert body["data"]["attributes"]["state"] == "waiting"
    assert "started_at" not in body["data"]["attributes"]
    seen = []
    while await apply_next_rows(app.database, app.app_id, import_id):
        found = await _look(app, authorized, import_id)
        seen.append((found["state"], found["rows_applied"], found["progress_percent"]))
    assert seen == [("running", 2, 40), ("running", 4, 80), ("running", 5, 100)]
    found = await _look(app, authorized, import_id)
    assert found["state"] == "done"
    assert found["created_at"] <= found["started_at"] <= found["finished_at"]
    assert await app.count("profiles") == 5


async def test_rows_are_applied_once_by_many_at_once_and_after_a_break(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive, "_CHUNK_ROWS", 3)
    text = "user_id,n\n" + "".join(f"u{n},{n}\n" for n in range(20))
    _, body = await _send(app, authorized, text)
    import_id = body["data"]["id"]

    async def broken(*_: Any) -> None:
        message = "the process dies here"
        raise OSError(message)

    with monkeypatch.context() as patched:
        patched.setattr(apply.storage, "save_applied", broken)
        with pytest.raises(OSError, match="dies"):
            await apply_next_rows(app.database, app.app_id, import_id)
    assert await app.count("profiles") == 0

    async def work() -> None:
        while await apply_next_rows(app.database, app.app_id, import_id):
            pass

    await asyncio.gather(*(work() for _ in range(3)))
    found = await _look(app, authorized, import_id)
    assert (found["state"], found["rows_applied"], found["rows_refused"]) == ("done", 20, 0)
    assert await app.count("profiles") == 20


async def test_import_that_can_not_be_applied_fails_and_lets_others_pass(
    app: App, make_app: MakeApp, authorized: Authorized, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await make_app()
    _, first = await _send(app, authorized, "user_id\nu\n")
    _, second = await _send(other, authorized, "user_id\nu\n")
    genuine = apply.write_batch

    async def poisoned(conn: Any, requests: Any, *rest: Any) -> Any:
        if requests[0].app_ids == {app.app_id}:
            raise ZeroDivisionError
        return await genuine(conn, requests, *rest)

    monkeypatch.setattr(apply, "write_batch", poisoned)
    await _apply(app)
    found = await _look(app, authorized, first["data"]["id"])
    assert found["state"] == "failed"
    assert found["failure"] == "rows could not be applied (ZeroDivisionError)"
    assert (await _look(other, authorized, second["data"]["id"]))["state"] == "done"
    assert await app.count("profile_import_chunks") == 0


async def test_file_may_be_a_part_of_a_form_and_compressed(
    app: App, authorized: Authorized
) -> None:
    form = aiohttp.FormData()
    form.add_field("mapping", json.dumps({"id": {"identifier": "user_id"}}))
    form.add_field("file", b"\xef\xbb\xbfid,a\nu1,1\n", filename="a.csv", content_type="text/csv")
    url = f"{IMPORT}?website_id={app.app_id}"
    status, body = await authorized.post(url, data=form)
    assert (status, body["data"]["attributes"]["rows"]) == (202, 1)
    headers = {**CSV, "Content-Encoding": "gzip"}
    data = gzip.compress(b"user_id,a\nu2,2\n")
    status, body = await authorized.post(url, data=data, headers=headers)
    assert (status, body["data"]["attributes"]["rows"]) == (202, 1)
    await _apply(app)
    for user_id, value in (("u1", "1"), ("u2", "2")):
        assert (await app.profile("user_id", user_id))["attributes"] == {"a": value}


@pytest.mark.parametrize("is_form", [False, True])
async def test_large_file_passes_in_pieces(
    app: App, authorized: Authorized, *, is_form: bool
) -> None:
    padding = "x" * 1000
    text = "user_id,a\n" + "".join(f"u{n},{padding}\n" for n in range(3000))
    assert len(text) > 2 * 2**20
    file = io.BytesIO(text.encode())
    data = aiohttp.FormData({"file": file}) if is_form else file
    url = f"{IMPORT}?website_id={app.app_id}"
    status, body = await authorized.post(url, data=data, headers={} if is_form else CSV)
    assert (status, body["data"]["attributes"]["rows"]) == (202, 3000)
    await _apply(app)
    assert (await _look(app, authorized, body["data"]["id"]))["rows_applied"] == 3000
    assert await app.count("profiles") == 3000


@pytest.mark.parametrize(
    ("text", "query", "detail"),
    [
        ("", {}, "the file is empty"),
        ("age\n1\n", {}, "no column is an identifier"),
        (b"user_id\n\xff\xfe\n", {}, "UTF-8"),
        ('user_id\n"u\n', {}, "line 2"),
        ("user_id\nu\n", {"mapping": {"x": None}}, "does not have"),
        ("user_id\nu\n", {"mapping": []}, "JSON object"),
        ("user_id\nu\n", {"dry_run": "perhaps"}, "true or false"),
        ("user_id\nu\n", {"website_id": "x"}, "UUID"),
        (
            "user_id,t\nu,1\n",
            {"mapping": {"t": {"attribute": "t", "type": "numeric"}}},
            "is text in this app",
        ),
    ],
)
async def test_file_that_can_not_be_read_is_refused_whole(
    app: App, authorized: Authorized, text: str | bytes, query: dict[str, Any], detail: str
) -> None:
    await app.write({"user_id": "x", "attributes": [{"name": "t", "value": "text"}]})
    status, body = await _send(app, authorized, text, **query)
    assert status == 400
    assert detail in body["errors"][0]["detail"]
    assert await app.count("profile_imports") == 0


async def test_wrong_media_types_and_forms_are_refused(app: App, authorized: Authorized) -> None:
    url = f"{IMPORT}?website_id={app.app_id}"
    assert (await authorized.post(url, json=[]))[0] == 415
    form = aiohttp.FormData({"other": "x"})
    form.add_field("mapping", "{}", content_type="application/json")
    status, body = await authorized.post(url, data=form)
    assert (status, body["errors"][0]["source"]) == (400, {"pointer": "/file"})
    headers = {"Content-Type": "multipart/form-data"}
    assert (await authorized.post(url, data=b"x", headers=headers))[0] == 400
    headers = {**CSV, "Content-Encoding": "gzip"}
    assert (await authorized.post(url, data=b"no gzip", headers=headers))[0] == 400


async def test_limits(app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (receive.MAX_ROWS, receive.MAX_FILE_BYTES) == (1_000_000, 256 * 2**20)
    monkeypatch.setattr(receive, "MAX_ROWS", 2)
    assert (await _send(app, authorized, "user_id\na\nb\n"))[0] == 202
    assert (await _send(app, authorized, "user_id\na\nb\nc\n"))[0] == 413
    monkeypatch.setattr(receive, "MAX_FILE_BYTES", 10)
    assert (await _send(app, authorized, "user_id\na\nb\n"))[0] == 413
    monkeypatch.setattr(receive, "MAX_FILE_BYTES", 100)
    for _ in range(4):
        assert (await _send(app, authorized, "user_id\na\n"))[0] == 202
    status, body = await _send(app, authorized, "user_id\na\n")
    assert (status, body["errors"][0]["code"]) == (409, "too_many_imports")
    assert (await _send(app, authorized, "user_id\na\n", dry_run="1"))[0] == 200
    await _apply(app)
    assert (await _send(app, authorized, "user_id\na\n"))[0] == 202


async def test_only_the_first_errors_are_kept_and_all_are_counted(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive.storage, "MAX_KEPT_ERRORS", 3)
    await app.write({"user_id": "x", "attributes": [{"name": "n", "value": 1}]})
    text = "user_id,n\n" + "u,x\n" * 2 + "v,1\n" * 3
    _, body = await _send(app, authorized, text)
    await app.rows.execute("UPDATE attribute_definitions SET value_type = 'text'")
    await _apply(app)
    found = await _look(app, authorized, body["data"]["id"])
    assert found["error_count"] == 5
    assert [error["row"] for error in found["errors"]] == [2, 3, 4]


async def test_upload_that_breaks_off_leaves_nothing(app: App, authorized: Authorized) -> None:
    address = authorized.service.make_url(IMPORT)
    _, writer = await asyncio.open_connection(address.host, address.port)
    head = (
        f"POST {IMPORT}?website_id={app.app_id} HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
        f"Authorization: Bearer {authorized.token}\r\nContent-Length: 1000\r\n\r\nuser_id\nu\n"
    )
    writer.write(head.encode())
    await writer.drain()
    async with asyncio.timeout(30):
        while not await app.rows.fetch(
            "SELECT FROM pg_stat_activity WHERE state = 'idle in transaction'"
            " AND query LIKE '%profile_imports%'"
        ):
            await asyncio.sleep(0.02)
    writer.transport.abort()
    assert (await _send(app, authorized, "user_id\nv\n"))[0] == 202
    await _apply(app)
    assert await app.count("profile_imports") == 1
    assert await app.profiles("user_id", "u") == []


async def test_imports_are_listed_newest_first_and_forgotten(
    app: App, noise: App, authorized: Authorized
) -> None:
    await _import(noise, authorized, "user_id\nx\n")
    ids = [(await _send(app, authorized, "user_id\nu\n"))[1]["data"]["id"] for _ in range(3)]
    url = f"{IMPORT}?website_id={app.app_id}"
    _, body = await authorized.get(url)
    assert [one["id"] for one in body["data"]] == ids[::-1]
    assert body["meta"] == {"total": 3}
    _, body = await authorized.get(f"{url}&limit=1&offset=1")
    assert [one["id"] for one in body["data"]] == [ids[1]]
    await _apply(app)
    await app.rows.execute(
        "UPDATE profile_imports SET finished_at = $2 WHERE app_id = $1",
        *(app.app_id, clock.now() - timedelta(days=91)),
    )
    await _apply(app)
    assert await app.count("profile_imports") == 0
    assert await noise.count("profile_imports") == 1


async def test_who_may_import_and_look(
    app: App, make_app: MakeApp, make_client: MakeClient
) -> None:
    foreign = await make_app("other")
    writer, reader = await make_client("write"), await make_client("read")
    assert (await _send(app, reader, "user_id\nu\n"))[0] == 403
    assert (await _send(foreign, writer, "user_id\nu\n"))[0] == 404
    _, body = await _send(app, writer, "user_id\nu\n")
    import_id = body["data"]["id"]
    assert (await _look(app, reader, import_id))["author"] == "test"
    stranger = await make_client("admin", organization="other")
    assert (await stranger.get(f"{IMPORT}{import_id}?website_id={app.app_id}"))[0] == 404
    assert (await stranger.get(f"{IMPORT}{import_id}?website_id={foreign.app_id}"))[0] == 404
    assert (await stranger.get(f"{IMPORT}?website_id={app.app_id}"))[0] == 404
    assert (await reader.get(f"{IMPORT}{UNKNOWN}?website_id={app.app_id}"))[0] == 404
    assert (await reader.get(f"{IMPORT}x?website_id={app.app_id}"))[0] == 400


async def test_audit_and_errors_repeat_no_value(app: App, authorized: Authorized) -> None:
    text = "user_id,email\nu,secret-mail\nsecret-user,\n"
    found = await _import(app, authorized, text)
    (row,) = await app.rows.fetch("SELECT * FROM audit_entries WHERE operation = 'import_profiles'")
    assert row["target_type"] == "import"
    assert "secret" not in str(row) + str(found)


async def test_injected_sql_stays_a_string(app: App, authorized: Authorized) -> None:
    text = "'); DROP TABLE profiles; --"
    await _import(app, authorized, f'user_id,"{text}"\n"{text}","{text}"\n')
    assert (await app.profile("user_id", text))["attributes"] == {text: text}


async def test_waiting_rows_of_a_deleted_app_are_removed(app: App, authorized: Authorized) -> None:
    await _send(app, authorized, "user_id\nu\n")
    assert (await authorized.delete(f"/api/apps/v2/{app.app_id}?confirm=test"))[0] == 204
    await _apply(app)
    while await erase_deleted_app(app.service.app):
        pass
    assert await app.count("profile_imports") == 0
    assert await app.count("profile_import_chunks") == 0
    assert await app.count("profiles") == 0
