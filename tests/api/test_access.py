"""Tokens, scopes and organizations of the authorized API (contract D4)."""

import asyncio
import base64
import json
import re
import time
from typing import Any

import asyncpg
import jwt
import pytest
from aiohttp.test_utils import TestClient
from cryptography.hazmat.primitives.asymmetric import rsa

from audience import public
from audience.permissions import PERMISSIONS
from audience.routes import AUTHORIZED_ROUTES
from audience.server import clock
from audience.server.database import Database
from consent.permissions import PERMISSIONS as CONSENT_PERMISSIONS
from consent.routes import AUTHORIZED_ROUTES as CONSENT_ROUTES
from consent.routes import OPENDSR_AUTHORIZED_ROUTES
from tests.conftest import App, MakeClient, MakeToken

Client = TestClient[Any, Any]
APPS = "/api/apps/v2"
ALL_ROUTES = [*AUTHORIZED_ROUTES, *CONSENT_ROUTES]
ALL_PERMISSIONS = {**PERMISSIONS, **CONSENT_PERMISSIONS}


async def _get(service: Client, authorization: str | None) -> tuple[int, Any, Any]:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await service.get(APPS, headers=headers)
    return answer.status, await answer.json(), answer.headers


async def _credential(database: Database, *scopes: str) -> public.NewCredential:
    async with database.transaction() as conn:
        return await public.create_credential(
            conn,
            name="a client",
            organization="default",
            scopes=scopes or ("read",),
            ids=(clock.new_id(), clock.new_id()),
            now=clock.now(),
        )


@pytest.mark.parametrize("encoding", ["json", "form", "basic"])
async def test_token_has_the_documented_form(
    app: App, database: Database, make_token: MakeToken, encoding: str
) -> None:
    await make_token("read")
    made = await _credential(database)
    fields = {"client_id": made.client_id, "client_secret": made.client_secret}
    grant = {"grant_type": "client_credentials"}
    if encoding == "json":
        answer = await app.service.post("/auth/token", json=grant | fields)
    elif encoding == "form":
        answer = await app.service.post("/auth/token", data=grant | fields)
    else:
        pair = base64.b64encode(f"{made.client_id}:{made.client_secret}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}"}
        answer = await app.service.post("/auth/token", data=grant, headers=headers)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    body = await answer.json()
    assert body.keys() == {"token_type", "expires_in", "access_token"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 1800)
    assert jwt.get_unverified_header(body["access_token"])["alg"] == "RS256"
    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert claims["sub"] == made.client_id
    assert (claims["iss"], claims["org"]) == ("ppms", "default")
    assert claims["exp"] - claims["iat"] == 1800
    assert claims["aud"].startswith("http://127.0.0.1:")
    assert claims["aud"].endswith("/settings")


async def test_keys_verify_tokens_also_after_a_rotation(
    service: Client, database: Database, make_token: MakeToken
) -> None:
    token = await make_token("read")
    async with database.transaction() as conn:
        await public.rotate_signing_key(conn, clock.now())
    newer = await make_token("read")
    keys = (await (await service.get("/auth/jwks.json")).json())["keys"]
    assert [key["kty"] for key in keys] == ["RSA", "RSA"]
    assert all(key.keys() == {"kty", "n", "e", "use", "alg", "kid"} for key in keys)
    for issued in (token, newer):
        assert (await _get(service, f"Bearer {issued}"))[0] == 200
        kid = jwt.get_unverified_header(issued)["kid"]
        (key,) = [jwt.PyJWK(key) for key in keys if key["kid"] == kid]
        jwt.decode(issued, key, algorithms=["RS256"], options={"verify_aud": False})


async def test_rotation_forgets_the_private_key(
    rows: asyncpg.Connection, database: Database, make_token: MakeToken
) -> None:
    await make_token("read")
    async with database.transaction() as conn:
        await public.rotate_signing_key(conn, clock.now())
    kept = await rows.fetch("SELECT private_key, retired_at FROM signing_keys")
    assert sorted((row[0] is None, row[1] is None) for row in kept) == [
        (False, True),
        (True, False),
    ]


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "01234567-89ab-cdef-0123-456789abcdef"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": None}, 400, "invalid_request"),
        ({"client_id": None}, 400, "invalid_request"),
        ({"client_secret": ["x"]}, 400, "invalid_request"),
    ],
)
async def test_refused_token_requests_are_oauth_json(
    app: App, database: Database, change: dict[str, Any], status: int, error: str
) -> None:
    made = await _credential(database)
    body = {
        "grant_type": "client_credentials",
        "client_id": made.client_id,
        "client_secret": made.client_secret,
    } | change
    answer = await app.service.post("/auth/token", json=body)
    document = await answer.json()
    assert (answer.status, document["error"]) == (status, error)
    assert document["error_description"]
    if error == "invalid_client":
        assert document["error_description"] == "Client authentication failed"


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_every_refusal_below_auth_is_json(service: Client, method: str) -> None:
    answer = await service.request(method, "/auth/token")
    assert answer.status == 405
    assert (await answer.json())["error"] == "method_not_allowed"


async def test_bad_json_is_an_invalid_request(service: Client) -> None:
    answer = await service.post("/auth/token", data=b"{", headers={"Content-Type": "text/json"})
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("content_type", "secret"),
    [
        ("application/x-www-form-urlencoded", b"\xff"),
        ("application/x-www-form-urlencoded; charset=none", b"x"),
        ("application/x-www-form-urlencoded; charset=unicode_escape", rb"\ud800"),
    ],
)
async def test_form_that_can_not_be_decoded_is_an_invalid_request(
    service: Client, content_type: str, secret: bytes
) -> None:
    body = b"grant_type=client_credentials&client_id=x&client_secret=" + secret
    answer = await service.post("/auth/token", data=body, headers={"Content-Type": content_type})
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")


async def test_token_of_strange_bytes_is_401(service: Client) -> None:
    header = {"alg": "RS256", "typ": "JWT", "kid": "\ud800"}
    half = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=")
    for token in (b"\xff\xfe.a.b", half + b".e30.AA"):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        request = b"GET /api/apps/v2 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
        writer.write(request + token + b"\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
        writer.close()


async def test_documented_messages_of_401(service: Client, make_token: MakeToken) -> None:
    token = await make_token("read")
    refused = "access token not authorized"
    wrong = {
        None: "JWT not found",
        "": refused,
        "Bearer": refused,
        "Basic abc": refused,
        "Bearer nonsense": refused,
        f"Bearer {token[:-8]}AAAAAAAA": refused,
    }
    for authorization, text in wrong.items():
        status, body, headers = await _get(service, authorization)
        assert (status, body) == (401, {"error": text}), authorization
        assert headers["WWW-Authenticate"] == "Bearer"
        assert "Access-Control-Allow-Origin" not in headers
    assert (await _get(service, f"bearer {token}"))[0] == 200


async def test_forged_tokens_are_refused(service: Client, make_token: MakeToken) -> None:
    token = await make_token("read")
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    other_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kid = {"kid": header["kid"], "typ": "JWT"}
    forged = [
        jwt.encode(claims, None, algorithm="none", headers=kid),
        jwt.encode(claims, other_key, algorithm="RS256", headers=kid),
        jwt.encode(claims, other_key, algorithm="RS256", headers={"kid": "unknown"}),
        jwt.encode(claims, other_key, algorithm="RS256", headers={"kid": "a\x00b"}),
        jwt.encode(claims, "secret of 32 characters or more..", algorithm="HS256", headers=kid),
    ]
    for one in forged:
        status, body, _ = await _get(service, f"Bearer {one}")
        assert (status, body) == (401, {"error": "access token not authorized"})


@pytest.mark.parametrize(
    ("claims", "status", "error"),
    [
        ({"exp": -5}, 200, None),  # clocks may differ by ten seconds
        ({"exp": -11}, 401, "Expired JWT Token"),
        ({"iss": "somebody else"}, 401, "access token not authorized"),
        ({"sub": "01234567-89ab-cdef-0123-456789abcdef"}, 401, "access token not authorized"),
        ({"sub": None}, 401, "access token not authorized"),
        ({"scope": None}, 401, "access token not authorized"),
        ({"exp": None}, 401, "access token not authorized"),
    ],
)
async def test_claims_are_checked(
    service: Client,
    database: Database,
    make_token: MakeToken,
    claims: dict[str, Any],
    status: int,
    error: str | None,
) -> None:
    whole = jwt.decode(await make_token("read"), options={"verify_signature": False})
    if isinstance(claims.get("exp"), int):
        claims = {"exp": int(time.time()) + claims["exp"]}
    changed = {name: value for name, value in (whole | claims).items() if value is not None}
    async with database.transaction() as conn:
        token = await public.sign(conn, changed, clock.now(), kind="JWT")
    got, body, _ = await _get(service, f"Bearer {token}")
    assert got == status
    if error is not None:
        assert body == {"error": error}


async def test_receipt_is_no_access_token(
    service: Client, database: Database, make_token: MakeToken
) -> None:
    claims = jwt.decode(await make_token("admin"), options={"verify_signature": False})
    async with database.transaction() as conn:
        receipt = await public.sign(conn, claims, clock.now(), kind="consent-receipt+jws")
    assert (await _get(service, f"Bearer {receipt}"))[0] == 401


async def test_revoking_ends_live_tokens_at_once(
    service: Client, database: Database, make_token: MakeToken
) -> None:
    token = await make_token("read")
    client_id = jwt.decode(token, options={"verify_signature": False})["sub"]
    assert (await _get(service, f"Bearer {token}"))[0] == 200
    async with database.transaction() as conn:
        await public.revoke_credential(conn, client_id, clock.now())
    assert (await _get(service, f"Bearer {token}"))[1] == {"error": "access token not authorized"}


async def test_secret_is_stored_hashed_and_use_is_recorded(
    rows: asyncpg.Connection, database: Database, make_token: MakeToken
) -> None:
    made = await _credential(database)
    stored = await rows.fetchrow(
        "SELECT secret_hash, last_used_at FROM api_credentials WHERE credential_id = $1",
        made.client_id,
    )
    assert made.client_secret not in stored["secret_hash"]
    assert stored["last_used_at"] is None
    await make_token("read", name="other")
    assert await rows.fetchval(
        "SELECT last_used_at IS NOT NULL FROM api_credentials WHERE name = 'other'"
    )


@pytest.mark.parametrize(
    ("method", "path", "handler"), ALL_ROUTES, ids=[route[2].__name__ for route in ALL_ROUTES]
)
async def test_every_route_refuses_without_token_and_without_scope(
    make_client: MakeClient, rows: asyncpg.Connection, method: str, path: str, handler: Any
) -> None:
    scope = ALL_PERMISSIONS[handler.__name__]
    path = re.sub(r"\{\w+\}", "01234567-89ab-cdef-0123-456789abcdef", path)
    lacking = await make_client("privacy" if scope in ("read", "write") else "write")
    answer = await lacking.service.request(method, path)
    assert (answer.status, await answer.json()) == (401, {"error": "JWT not found"})
    status, body = await lacking.request(method, path)
    assert status == 403
    assert body["errors"][0]["code"] == "missing_scope"
    assert body["errors"][0]["status"] == "403"
    assert scope in body["errors"][0]["detail"]
    entry = await rows.fetchrow("SELECT operation, outcome FROM audit_entries")
    assert tuple(entry) == (handler.__name__, "refused")


def test_names_of_operations_are_unique() -> None:
    # One handler may serve two paths.
    handlers = {handler for _, _, handler in (*ALL_ROUTES, *OPENDSR_AUTHORIZED_ROUTES)}
    names = [handler.__name__ for handler in handlers]
    assert sorted(set(names)) == sorted(names)
    assert sorted(ALL_PERMISSIONS) == sorted(names)
