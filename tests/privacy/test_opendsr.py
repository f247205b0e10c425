"""OpenDSR 2.0: discovery, signed answers, callbacks, cancellation."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from audience import public
from audience.server import clock
from audience.server.database import Database
from consent.data_subject_requests.opendsr.callbacks import report_some
from consent.routes import OPENDSR_AUTHORIZED_ROUTES
from tests.conftest import Authorized, MakeApp, MakeClient
from tests.data_subjects import Office
from tests.privacy.controller import DOMAIN, PATH, request_body, send, verify
from tests.privacy.executing import run


async def _submit(office: Office, **members: Any) -> dict[str, Any]:
    status, body, _ = await send(office, "POST", PATH, json=request_body(**members))
    assert status == 201, body
    document: dict[str, Any] = json.loads(body)
    return document


async def _status(office: Office, subject_request_id: str) -> dict[str, Any]:
    status, body, _ = await send(office, "GET", f"{PATH}/{subject_request_id}")
    assert status == 200, body
    document: dict[str, Any] = json.loads(body)
    return document


async def _our_id(office: Office, subject_request_id: str) -> str:
    return str(
        await office.rows.fetchval(
            "SELECT request_id FROM opendsr_requests WHERE subject_request_id = $1",
            subject_request_id,
        )
    )


async def test_discovery_names_version_identities_types_and_certificate(office: Office) -> None:
    answer = await office.service.get("/opendsr/v1/discovery/")
    assert answer.status == 200
    document = await answer.json()
    assert document["api_version"] == "2.0"
    assert {"identity_type": "email", "identity_format": "raw"} in document["supported_identities"]
    assert document["supported_subject_request_types"] == ["access", "portability", "erasure"]
    assert document["processor_certificate"] == f"https://{DOMAIN}/opendsr/v1/certificate.pem"
    assert answer.headers["X-OpenDSR-Processor-Domain"] == DOMAIN
    assert "Access-Control-Allow-Origin" not in answer.headers
    await verify(office, await answer.read(), answer.headers)


async def test_certificate_is_the_domains_and_stays_until_the_key_is_rotated(
    office: Office, database: Database
) -> None:
    pems = [
        await (await office.service.get("/opendsr/v1/certificate.pem")).read() for _ in range(2)
    ]
    assert pems[0] == pems[1]
    certificate = x509.load_pem_x509_certificate(pems[0])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == [DOMAIN]
    async with database.transaction() as conn:
        await public.rotate_signing_key(conn, clock.now())
    answer = await office.service.get("/opendsr/v1/certificate.pem")
    assert await answer.read() != pems[0]


async def test_request_is_taken_as_proved_and_the_answer_is_signed(office: Office) -> None:
    submitted = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
    wanted = request_body(submitted_time=submitted.isoformat())
    raw = json.dumps(wanted)
    status, body, headers = await send(office, "POST", PATH, data=raw)
    assert status == 201
    document = json.loads(body)
    assert document.keys() == {
        "controller_id",
        "expected_completion_time",
        "received_time",
        "encoded_request",
        "subject_request_id",
        "api_version",
    }
    assert base64.b64decode(document["encoded_request"]).decode() == raw
    assert headers["X-OpenDSR-Processor-Domain"] == DOMAIN
    await verify(office, body, headers)
    with pytest.raises(InvalidSignature):
        await verify(office, body + b" ", headers)
    shown = await office.get(await _our_id(office, wanted["subject_request_id"]))
    assert (shown["status"], shown["channel"]) == ("to_do", "opendsr")
    assert (shown["verified_by"], shown["request_type"]) == ("opendsr", "delete_data")
    assert shown["email"] == "jane@shop.example"
    assert shown["received_at"] == submitted.isoformat().replace("+00:00", "Z")
    assert document["expected_completion_time"] == shown["due_at"]
    assert await office.deliver() == []


async def test_repetition_gets_the_same_answer_and_another_body_409(office: Office) -> None:
    wanted = request_body()
    answers = await asyncio.gather(*(send(office, "POST", PATH, json=wanted) for _ in range(4)))
    assert {(status, body) for status, body, _ in answers} == {(201, answers[0][1])}
    assert await office.rows.fetchval("SELECT count(*) FROM data_subject_requests") == 1
    other = wanted | {"subject_request_type": "access"}
    status, body, _ = await send(office, "POST", PATH, json=other)
    assert status == 409
    assert json.loads(body)["error"]["code"] == 409


async def test_identities_become_identifiers(office: Office) -> None:
    document = await _submit(
        office,
        subject_request_type="portability",
        subject_identities=[
            {"identity_type": name, "identity_value": value, "identity_format": "raw"}
            for name, value in (("controller_customer_id", "jbond"), ("ios_vendor_id", "A-1"))
        ],
    )
    shown = await office.get(await _our_id(office, document["subject_request_id"]))
    assert shown["identities"] == [
        {"identifier_name": "user_id", "identifier_value": "jbond"},
        {"identifier_name": "device_id", "identifier_value": "A-1"},
    ]
    assert shown["request_type"] == "view_data"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"subject_request_id": ...}, "subject_request_id is required"),
        ({"subject_request_id": "1"}, "subject_request_id must be"),
        ({"subject_request_type": "rectification"}, "subject_request_type must be one of access"),
        ({"subject_request_type": ["access"]}, "subject_request_type must be"),
        ({"regulation": "lgpd"}, "regulation must be one of gdpr, ccpa"),
        ({"submitted_time": "yesterday"}, "submitted_time must be"),
        ({"submitted_time": "9999-12-31T23:59:59-14:00"}, "submitted_time must be a time"),
        ({"submitted_time": "2001-01-01T00:00:00Z"}, "submitted_time must be within"),
        ({"submitted_time": "2999-01-01T00:00:00Z"}, "submitted_time must be within"),
        ({"subject_identities": []}, "subject_identities must be a list"),
        ({"subject_identities": [5]}, "subject_identities[0] must be an object"),
        (
            {"subject_identities": [{"identity_type": "email"}]},
            "subject_identities[0].identity_format must be raw",
        ),
        (
            {"subject_identities": [{"identity_type": "phone"}]},
            "subject_identities[0].identity_type must be one of",
        ),
        (
            {
                "subject_identities": [
                    {"identity_type": "email", "identity_value": "x", "identity_format": "raw"}
                ]
            },
            "subject_identities[0].identity_value must be an e-mail",
        ),
        ({"status_callback_urls": ["ftp://a"]}, "status_callback_urls[0] must be an http"),
        ({"status_callback_urls": ["http://u:p@a"]}, "status_callback_urls[0] must be an http"),
        ({"status_callback_urls": ["http://a:x/"]}, "status_callback_urls[0] must be an http"),
        ({"property_id": "shop"}, "property_id must be an app ID"),
        ({"extensions": {DOMAIN: {"website_id": 5}}}, f"extensions.{DOMAIN}.website_id must be"),
    ],
)
async def test_wrong_request_is_400_in_the_form_of_opendsr(
    office: Office, change: dict[str, Any], field: str
) -> None:
    status, body, headers = await send(office, "POST", PATH, json=request_body(**change))
    assert status == 400
    error = json.loads(body)["error"]
    assert (error["code"], error["errors"][0]["message"]) == (400, error["message"])
    assert error["message"].startswith(field)
    assert headers["Content-Type"].startswith("application/json")
    assert await office.rows.fetchval("SELECT count(*) FROM data_subject_requests") == 0


async def test_app_may_be_named_in_three_ways_and_must_be_with_several(
    office: Office, make_app: MakeApp
) -> None:
    await _submit(office)
    other = await make_app()
    status, body, _ = await send(office, "POST", PATH, json=request_body())
    assert (status, json.loads(body)["error"]["message"]) == (
        400,
        "property_id is required: which of your apps is it about?",
    )
    await _submit(office, property_id=other.app_id)
    await _submit(office, extensions={DOMAIN: {"website_id": other.app_id}})
    await _submit(office, extensions={DOMAIN: {"property_id": other.app_id}, "else.example": 1})
    assert await other.count("data_subject_requests") == 3
    foreign = await make_app("other")
    for app_id in (foreign.app_id, str(uuid4())):
        status, _, _ = await send(office, "POST", PATH, json=request_body(property_id=app_id))
        assert status == 404


async def test_second_request_of_a_person_follows_the_first(office: Office) -> None:
    leader, follower = await _submit(office), await _submit(office)
    shown = await office.get(await _our_id(office, follower["subject_request_id"]))
    assert shown["status"] == "duplicate"
    assert (await _status(office, follower["subject_request_id"]))["request_status"] == "pending"
    ours = await _our_id(office, leader["subject_request_id"])
    await office.change(ours, status="in_progress")
    for document in (leader, follower):
        told = await _status(office, document["subject_request_id"])
        assert told["request_status"] == "in_progress"


async def test_status_is_told_signed_and_only_to_the_controller(
    office: Office, make_client: MakeClient
) -> None:
    document = await _submit(office)
    path = f"{PATH}/{document['subject_request_id']}"
    status, body, headers = await send(office, "GET", path)
    assert status == 200
    await verify(office, body, headers)
    assert json.loads(body) == {
        "controller_id": document["controller_id"],
        "expected_completion_time": document["expected_completion_time"],
        "subject_request_id": document["subject_request_id"],
        "request_status": "pending",
        "api_version": "2.0",
    }
    token = (await make_client("privacy", organization="other")).token
    stranger = Authorized(office.service, token)
    for method in ("GET", "DELETE"):
        status, refusal = await stranger.request(method, path)
        assert status == 404
        assert refusal["error"]["code"] == 404
    assert (await send(office, "GET", f"{PATH}/x"))[0] == 400


async def test_pending_request_can_be_cancelled_and_one_in_progress_not(office: Office) -> None:
    first = await _submit(office)
    path = f"{PATH}/{first['subject_request_id']}"
    for _ in range(2):
        status, body, headers = await send(office, "DELETE", path)
        assert status == 202
        await verify(office, body, headers)
        assert json.loads(body).keys() == {
            "controller_id",
            "subject_request_id",
            "received_time",
            "api_version",
        }
    assert (await _status(office, first["subject_request_id"]))["request_status"] == "cancelled"
    second = await _submit(office)
    await office.change(await _our_id(office, second["subject_request_id"]), status="in_progress")
    status, body, _ = await send(office, "DELETE", f"{PATH}/{second['subject_request_id']}")
    assert status == 409
    assert (
        json.loads(body)["error"]["message"] == "a request that is in_progress can't be cancelled"
    )


@pytest.mark.parametrize(("method", "path", "handler"), OPENDSR_AUTHORIZED_ROUTES)
async def test_routes_refuse_without_token_and_without_scope(
    office: Office, make_client: MakeClient, method: str, path: str, handler: Any
) -> None:
    path = re.sub(r"\{\w+\}", str(uuid4()), path)
    answer = await office.service.request(method, path)
    assert answer.status == 401
    assert (await answer.json())["error"]["message"] == "JWT not found"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    lacking = await make_client("write", name="marketing")
    status, body = await lacking.request(method, path)
    assert status == 403
    assert body["error"]["errors"][0]["reason"] == "missing_scope"
    entry = await office.rows.fetchrow("SELECT actor, operation, outcome FROM audit_entries")
    assert tuple(entry) == ("marketing", handler.__name__, "refused")


class Controller:
    """A controller's system that takes callbacks."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, Any]] = []
        self.statuses: list[int] = []

    async def take(self, request: web.Request) -> web.Response:
        if self.statuses:
            status = self.statuses.pop(0)
            location = {"Location": "/callbacks"} if status == 302 else {}
            return web.Response(status=status, headers=location)
        self.taken.append((await request.read(), request.headers.copy()))
        return web.Response(status=202)

    def said(self) -> list[str]:
        return [json.loads(body)["request_status"] for body, _ in self.taken]


@pytest.fixture
async def controller() -> AsyncIterator[tuple[Controller, str]]:
    """The controller and the address of its callbacks."""
    system = Controller()
    app = web.Application()
    app.router.add_post("/callbacks", system.take)
    async with TestServer(app) as server:
        yield system, str(server.make_url("/callbacks"))


async def _report(office: Office, *, is_due: bool = False) -> None:
    if is_due:
        await office.rows.execute(
            "UPDATE opendsr_callbacks SET next_try_at = now() - interval '1 second'"
        )
    while await report_some(office.service.app):  # type: ignore[arg-type]
        pass


async def test_every_change_is_called_back_once_and_signed(
    office: Office, controller: tuple[Controller, str]
) -> None:
    system, url = controller
    document = await _submit(
        office, subject_request_type="access", status_callback_urls=[url, f"{url}?second"]
    )
    await _report(office)
    assert system.taken == []
    ours = await _our_id(office, document["subject_request_id"])
    assert (await office.act(ours, "execute"))[0] == 202
    await _report(office)
    assert system.said() == ["in_progress"] * 2
    await run(office)
    await _report(office)
    await _report(office)
    assert system.said() == ["in_progress"] * 2 + ["completed"] * 2
    urls = [json.loads(body)["status_callback_url"] for body, _ in system.taken]
    assert urls == [url, f"{url}?second"] * 2
    body, headers = system.taken[-1]
    assert headers["X-OpenDSR-Processor-Domain"] == DOMAIN
    assert headers["Content-Type"] == "application/json"
    await verify(office, body, headers)
    told = json.loads(body)
    assert told["subject_request_id"] == document["subject_request_id"]
    results = told["results_url"]
    assert results == f"https://{DOMAIN}/api/privacy/v1/requests/{ours}/export"
    status, _, headers = await send(office, "GET", results.removeprefix(f"https://{DOMAIN}"))
    assert (status, headers["Content-Type"]) == (200, "application/zip")


async def test_failed_callback_is_tried_again_and_redirects_are_not_followed(
    office: Office, controller: tuple[Controller, str]
) -> None:
    system, url = controller
    document = await _submit(office, status_callback_urls=[url])
    await office.change(await _our_id(office, document["subject_request_id"]), status="rejected")
    system.statuses = [500, 302]
    for tries in (1, 2):
        await _report(office, is_due=True)
        assert system.taken == []
        assert await office.rows.fetchval("SELECT try_count FROM opendsr_callbacks") == tries
    await _report(office, is_due=True)
    assert system.said() == ["cancelled"]
    assert await office.rows.fetchval("SELECT count(*) FROM opendsr_callbacks") == 0


async def test_callback_is_given_up_after_the_last_try(office: Office) -> None:
    document = await _submit(office, status_callback_urls=["http://127.0.0.1:9/callbacks"])
    await office.change(await _our_id(office, document["subject_request_id"]), status="cancelled")
    await _report(office)
    await office.rows.execute("UPDATE opendsr_callbacks SET try_count = 11")
    await _report(office, is_due=True)
    assert await office.rows.fetchval("SELECT count(*) FROM opendsr_callbacks") == 0


async def test_request_can_be_called_back_about_after_its_content_is_erased(
    office: Office, controller: tuple[Controller, str]
) -> None:
    system, url = controller
    document = await _submit(office, status_callback_urls=[url])
    ours = await _our_id(office, document["subject_request_id"])
    assert (await office.act(ours, "execute"))[0] == 202
    await run(office)
    await _report(office)
    assert system.said() == ["completed"]
    assert "email" not in await office.get(ours)
    stored = [dict(row) for row in await office.rows.fetch("SELECT * FROM opendsr_requests")]
    assert "jane" not in str(stored).lower()
    assert stored[0]["body_sha256"] == b""
