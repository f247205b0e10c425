"""POST /api/audiences/v1/profiles/: the profiles of an audience as CSV and JSON, over HTTP."""

import asyncio
import csv
import gzip
import io
import json
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from sqlalchemy import text as sql

from audience.profiles.export import operations, stream
from audience.profiles.export.columns import FORMULA_STARTS
from tests.conftest import App, Authorized, MakeApp, MakeClient

EXPORT = "/api/audiences/v1/profiles/"
UNKNOWN = "01234567-89ab-cdef-0123-456789abcdef"
AUDIENCE = "5e6a1b2c-0000-4000-8000-000000000001"
ALL_PROFILE_COLUMNS = [
    {"field_type": "profile", "name": name}
    for name in ("analytics_visitor_id", "analytics_visitor_ids", "email", "user_id", "device_ids")
]
_COPYING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'
    AND query LIKE '%audience_members m%'
"""


async def _audience(app: App, *profile_ids: str, audience_id: str = AUDIENCE) -> None:
    """An audience that holds the given profiles; all of the app without any."""
    await app.rows.execute(
        "INSERT INTO audiences (app_id, audience_id, name, description, definition, version,"
        " author, created_at, updated_at) VALUES ($1, $2, 'a', '', '{}', 1, 'x', now(), now())",
        *(app.app_id, audience_id),
    )
    await app.rows.execute(
        "INSERT INTO audience_members (app_id, audience_id, profile_id, member_since)"
        " SELECT app_id, $2, profile_id, now() FROM profiles"
        " WHERE app_id = $1 AND (profile_id = ANY($3) OR $3 = '{}')",
        *(app.app_id, audience_id, list(profile_ids)),
    )


def _columns(*names: str, field_type: str = "attributes") -> list[dict[str, str]]:
    return [{"field_type": field_type, "name": name} for name in names]


def _body(app: App, columns: list[dict[str, str]], **members: Any) -> dict[str, Any]:
    return {"website_id": app.app_id, "audience_id": AUDIENCE, "columns": columns, **members}


async def _export(client: Authorized, body: dict[str, Any], **headers: str) -> Any:
    headers = {"Authorization": f"Bearer {client.token}", "Accept-Encoding": "identity", **headers}
    answer = await client.service.post(EXPORT, json=body, headers=headers)
    assert answer.status == 200, await answer.text()
    return answer


async def _rows(client: Authorized, body: dict[str, Any]) -> list[list[str]]:
    return list(csv.reader(io.StringIO(await (await _export(client, body)).text())))


def _entries(**attributes: Any) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in attributes.items()]


async def test_csv_holds_every_kind_of_column_in_the_order_of_profile_ids(
    app: App, noise: App, authorized: Authorized
) -> None:
    await app.write(
        {
            "user_id": "jbond",
            "email": "James@Example.org",
            "device_id": 'd"1',
            "analytics_visitor_id": "00000000000000a1",
            "attributes": _entries(age=40.5, name='Bond, "James"\r\nSir', likes=["a", "b,c"]),
        }
    )
    await app.write({"user_id": "m", "attributes": _entries(age=-7, name="")})
    await app.write({"user_id": "outsider"})
    await app.rows.execute(
        "UPDATE profiles SET analytics = '{\"city\": \"Ulm\"}' WHERE user_id = 'm'"
    )
    ids = [(await app.profile("user_id", name))["id"] for name in ("m", "jbond")]
    await _audience(app, *ids)
    await _audience(noise)
    columns = [*ALL_PROFILE_COLUMNS, *_columns("age", "name", "likes", "missing")]
    columns += _columns("city", field_type="analytics")
    text = await (await _export(authorized, _body(app, columns))).text()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        [column["name"] for column in columns],
        [
            "00000000000000a1",
            '["00000000000000a1"]',
            "James@Example.org",
            "jbond",
            '["d\\"1"]',
            "40.5",
            'Bond, "James"\r\nSir',
            '["a", "b,c"]',
            "",
            "",
        ],
        ["", "", "", "m", "", "-7", "", "", "", "Ulm"],
    ]
    assert text.splitlines()[-1] == ',,,"m",,"-7","",,,"Ulm"'


async def test_csv_is_an_attachment_that_no_cache_keeps(app: App, authorized: Authorized) -> None:
    await _audience(app)
    answer = await _export(authorized, _body(app, _columns("a")))
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    disposition = f'attachment; filename="audience-{AUDIENCE}.csv"'
    assert answer.headers["Content-Disposition"] == disposition
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_json_is_one_array_of_objects_without_missing_members(
    app: App, authorized: Authorized
) -> None:
    await app.write(
        {
            "user_id": '"\\\n\t',
            "device_id": "d",
            "attributes": _entries(age=40, likes=["a", "\\"], **{'k"\\': "=1+1"}),
        }
    )
    await app.write({"email": "b@example.org"}, {"device_id": "alone"})
    await _audience(app)
    body = _body(app, [*ALL_PROFILE_COLUMNS, *_columns("age", "likes", 'k"\\')], format="json")
    answer = await _export(authorized, body)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Content-Disposition"].endswith('.json"')
    assert await answer.json() == [
        {
            "user_id": '"\\\n\t',
            "device_ids": ["d"],
            "age": 40,
            "likes": ["a", "\\"],
            'k"\\': "=1+1",
        },
        {"email": "b@example.org"},
        {"device_ids": ["alone"]},
    ]


@pytest.mark.parametrize("kind", ["csv", "json"])
async def test_empty_audience_is_an_empty_export(
    app: App, authorized: Authorized, kind: str
) -> None:
    await _audience(app)
    answer = await _export(authorized, _body(app, _columns("a"), format=kind))
    assert await answer.text() == {"csv": '"a"\n', "json": "[]\n"}[kind]


async def test_no_columns_mean_every_custom_attribute(
    app: App, noise: App, authorized: Authorized
) -> None:
    await app.write({"user_id": "a", "attributes": _entries(b=1, a="x", B="y")})
    await noise.write({"user_id": "a", "attributes": _entries(other=1)})
    await _audience(app)
    assert await _rows(authorized, _body(app, [])) == [["B", "a", "b"], ["y", "x", "1"]]


async def test_columns_of_one_name_are_told_apart(app: App, authorized: Authorized) -> None:
    await app.write({"user_id": "a", "attributes": _entries(city="Ulm", email="x")})
    await app.rows.execute('UPDATE profiles SET analytics = \'{"city": "Bonn"}\'')
    await _audience(app)
    columns = [*_columns("city"), *_columns("city", field_type="analytics"), *_columns("email")]
    assert await _rows(authorized, _body(app, columns)) == [
        ["attributes.city", "analytics.city", "email"],
        ["Ulm", "Bonn", "x"],
    ]
    answer = await _export(authorized, _body(app, columns, format="json"))
    assert await answer.json() == [
        {"attributes.city": "Ulm", "analytics.city": "Bonn", "email": "x"}
    ]


@pytest.mark.parametrize("start", list(FORMULA_STARTS))
async def test_formulas_are_only_text_for_a_spreadsheet(
    app: App, authorized: Authorized, start: str
) -> None:
    formula = f'{start}cmd|"/C calc"!A0'
    await app.write({"user_id": formula, "attributes": _entries(**{formula: formula}, debt=-5)})
    await _audience(app)
    columns = [*_columns("user_id", field_type="profile"), *_columns(formula, "debt")]
    guarded = f"'{formula}"
    text = await (await _export(authorized, _body(app, columns))).text()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["user_id", guarded, "debt"],
        [guarded, guarded, "-5"],
    ]
    plain = await _export(authorized, _body(app, columns, formula_guard=False))
    assert list(csv.reader(io.StringIO(await plain.text(), newline=""))) == [
        ["user_id", formula, "debt"],
        [formula, formula, "-5"],
    ]


async def test_no_list_separator_of_a_spreadsheet_cuts_a_value(
    app: App, authorized: Authorized
) -> None:
    await app.write({"user_id": "a;=1+1", "attributes": _entries(x="b\t=1+1")})
    await _audience(app)
    columns = [*_columns("user_id", field_type="profile"), *_columns("x")]
    text = await (await _export(authorized, _body(app, columns))).text()
    assert text == '"user_id","x"\n"a;=1+1","b\t=1+1"\n'


async def test_injected_sql_stays_a_name(app: App, authorized: Authorized) -> None:
    names = ["' || (SELECT 1) || '", "$1", "a') FROM profiles; --", "\\'", "%s"]
    await app.write({"user_id": "a", "attributes": _entries(**{name: name for name in names})})
    await _audience(app)
    assert await _rows(authorized, _body(app, _columns(*names))) == [names, names]
    answer = await _export(authorized, _body(app, _columns(*names), format="json"))
    assert await answer.json() == [dict(zip(names, names, strict=True))]


@pytest.mark.parametrize("kind", ["csv", "json"])
async def test_gzip_when_accepted(app: App, authorized: Authorized, kind: str) -> None:
    await _fill(app, 3000, 100)
    body = _body(app, _columns("padding"), format=kind)
    plain = await (await _export(authorized, body)).read()
    headers = {"Authorization": f"Bearer {authorized.token}"}
    address = authorized.service.make_url(EXPORT)
    async with aiohttp.ClientSession(auto_decompress=False, headers=headers) as session:
        for accepted, is_compressed in (
            ("deflate, gzip;q=0.5", True),
            ("*", True),
            ("gzip;q=0", False),
            ("br", False),
        ):
            headers = {"Accept-Encoding": accepted}
            async with session.post(address, json=body, headers=headers) as answer:
                received = await answer.read()
                encoding = answer.headers.get("Content-Encoding")
            assert encoding == ("gzip" if is_compressed else None)
            assert answer.headers["Vary"] == "Accept-Encoding"
            assert (gzip.decompress(received) if is_compressed else received) == plain
    if kind == "json":
        assert len(json.loads(plain)) == 3000
    else:
        assert plain.count(b"\n") == 3001


async def _fill(app: App, count: int, padding: int) -> None:
    """Profiles with a long attribute, all of them in the audience."""
    await app.rows.execute(
        "INSERT INTO profiles (app_id, profile_id, created_at, updated_at, attributes)"
        " SELECT $1, gen_random_uuid(), now(), now(),"
        " jsonb_build_object('padding', repeat(md5(n::text), $3::int / 32))"
        " FROM generate_series(1, $2::int) AS n",
        *(app.app_id, count, padding),
    )
    await _audience(app)


async def test_rows_are_in_the_order_of_profile_ids_without_a_sort(
    app: App, authorized: Authorized
) -> None:
    await _fill(app, 500, 0)
    await app.rows.execute(
        "UPDATE profiles SET user_id = profile_id::text WHERE app_id = $1", app.app_id
    )
    rows = await _rows(authorized, _body(app, _columns("user_id", field_type="profile")))
    ids = [row[0] for row in rows[1:]]
    assert len(ids) == 500
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"website_id": "x"}, "/website_id"),
        ({"audience_id": None}, "/audience_id"),
        ({"columns": None}, "/columns"),
        ({"columns": "a"}, "/columns"),
        ({"columns": [{"name": "a"}]}, "/columns/0/field_type"),
        ({"columns": [{"name": "a", "field_type": "forms"}]}, "/columns/0/field_type"),
        ({"columns": [{"name": "", "field_type": "attributes"}]}, "/columns/0/name"),
        ({"columns": [{"name": "x" * 256, "field_type": "attributes"}]}, "/columns/0/name"),
        ({"columns": [{"name": "device_id", "field_type": "profile"}]}, "/columns/0/name"),
        ({"columns": _columns("a", "b", "a")}, "/columns/2"),
        ({"columns": _columns(*(f"a{n}" for n in range(1001)))}, "/columns"),
        ({"format": "xml"}, "/format"),
        ({"formula_guard": "no"}, "/formula_guard"),
        ({"limit": 5}, "/limit"),
    ],
)
async def test_malformed_request_is_refused(
    app: App, authorized: Authorized, change: dict[str, Any], pointer: str
) -> None:
    await _audience(app)
    body = {**_body(app, _columns("a")), **change}
    body = {name: value for name, value in body.items() if value is not None}
    status, answer = await authorized.post(EXPORT, json=body)
    assert (status, answer["errors"][0]["source"]) == (400, {"pointer": pointer})


async def test_audience_past_the_limit_is_refused_before_the_first_byte(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert operations.MAX_PROFILES == 1_000_000
    monkeypatch.setattr(operations, "MAX_PROFILES", 2)
    await _fill(app, 3, 0)
    status, body = await authorized.post(EXPORT, json=_body(app, _columns("a")))
    assert (status, body["errors"][0]["code"]) == (400, "too_many_profiles")
    await app.rows.execute(
        "DELETE FROM audience_members WHERE ctid IN (SELECT ctid FROM audience_members LIMIT 1)"
    )
    assert len(await _rows(authorized, _body(app, _columns("a")))) == 3


async def test_unknown_deleted_and_foreign_audiences_are_not_found(
    app: App, noise: App, authorized: Authorized, make_client: MakeClient
) -> None:
    deleted = str(uuid4())
    await _audience(app)
    await _audience(app, audience_id=deleted)
    await app.rows.execute("UPDATE audiences SET is_deleted = true WHERE audience_id = $1", deleted)
    await _audience(noise, audience_id=UNKNOWN)
    for audience_id in (deleted, UNKNOWN, str(uuid4())):
        body = _body(app, _columns("a"), audience_id=audience_id)
        assert (await authorized.post(EXPORT, json=body))[0] == 404
    stranger = await make_client("admin", organization="strangers")
    assert (await stranger.post(EXPORT, json=_body(app, _columns("a"))))[0] == 404
    assert (await (await make_client("privacy")).post(EXPORT, json=_body(app, [])))[0] == 403
    assert (await (await make_client("read")).post(EXPORT, json=_body(app, [])))[0] == 200


async def test_audit_names_the_audience(app: App, authorized: Authorized) -> None:
    await app.write({"user_id": "secret-user"})
    await _audience(app)
    await _rows(authorized, _body(app, ALL_PROFILE_COLUMNS))
    (row,) = await app.rows.fetch("SELECT * FROM audit_entries WHERE operation = 'export_profiles'")
    assert (row["target_type"], row["target_id"]) == ("audience", AUDIENCE)
    assert "secret-user" not in str(row)


# --- clients that go away, and databases


async def _begin(app: App, client: Authorized) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection of our own on which an export has been asked for."""
    address = client.service.make_url(EXPORT)
    reader, writer = await asyncio.open_connection(address.host, address.port, limit=1024)
    body = json.dumps(_body(app, _columns("padding"))).encode()
    head = (
        f"POST {address.path} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {client.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    return reader, writer


async def _until_copying(app: App, *, is_copying: bool) -> None:
    async with asyncio.timeout(30):
        while bool(await app.rows.fetch(_COPYING)) is not is_copying:
            await asyncio.sleep(0.02)


async def test_client_that_goes_away_stops_the_query(app: App, authorized: Authorized) -> None:
    await _fill(app, 1500, 64_000)
    reader, writer = await _begin(app, authorized)
    assert b"200 OK" in await reader.readline()
    await _until_copying(app, is_copying=True)
    writer.transport.abort()
    await _until_copying(app, is_copying=False)


async def test_client_that_goes_away_stops_a_query_that_has_sent_nothing(
    app: App, authorized: Authorized
) -> None:
    await _fill(app, 10, 0)
    async with app.database.transaction() as conn:
        await conn.execute(sql("LOCK TABLE profiles IN ACCESS EXCLUSIVE MODE"))
        _, writer = await _begin(app, authorized)
        await _until_copying(app, is_copying=True)
        writer.close()
        await _until_copying(app, is_copying=False)


async def test_client_that_takes_nothing_is_cut_off(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "STALLED_AFTER_SECONDS", 1)
    await _fill(app, 1500, 64_000)
    reader, writer = await _begin(app, authorized)
    assert b"200 OK" in await reader.readline()
    await _until_copying(app, is_copying=True)
    await _until_copying(app, is_copying=False)
    writer.transport.abort()


async def test_export_that_fails_midway_does_not_look_whole(
    app: App, authorized: Authorized
) -> None:
    await _fill(app, 1500, 64_000)
    answer = await _export(authorized, _body(app, _columns("padding")))
    # Not the count before it, which may be what is found first.
    copying = _COPYING + " AND query LIKE 'COPY%'"
    async with asyncio.timeout(30):
        while not (found := await app.rows.fetch(copying)):
            await asyncio.sleep(0.02)
    await app.rows.execute("SELECT pg_terminate_backend($1)", found[0]["pid"])
    with pytest.raises(aiohttp.ClientError):
        await answer.read()


async def test_no_more_exports_at_once_than_there_are_places(
    app: App, make_app: MakeApp, authorized: Authorized
) -> None:
    await make_app()
    await _fill(app, 1500, 64_000)
    connections = [await _begin(app, authorized) for _ in range(2)]
    for reader, _ in connections:
        assert b"200 OK" in await reader.readline()
    headers = {"Authorization": f"Bearer {authorized.token}"}
    third = await authorized.service.post(EXPORT, json=_body(app, []), headers=headers)
    assert (third.status, third.headers["Retry-After"]) == (503, "1")
    for _, writer in connections:
        writer.transport.abort()
    await _until_copying(app, is_copying=False)
    assert len(await _rows(authorized, _body(app, []))) == 1501
