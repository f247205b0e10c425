"""Callbacks go to the public internet only, whatever URL a controller names."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from audience.server.settings import Settings
from consent.app import create_app
from consent.data_subject_requests.opendsr.addresses import is_public
from consent.data_subject_requests.opendsr.callbacks import report_some
from tests.conftest import serve_in_test
from tests.data_subjects import Office


async def _report(database_url: str, **settings: Any) -> None:
    app = create_app(Settings(**settings), database_url, with_jobs=False)
    async with serve_in_test(app):
        while await report_some(app):
            pass


async def _submit_cancelled(office: Office, callback_url: str) -> None:
    """A request of a controller with something to call back about."""
    document = {
        "regulation": "gdpr",
        "subject_request_id": str(uuid4()),
        "subject_request_type": "erasure",
        "submitted_time": datetime.now(UTC).isoformat(),
        "subject_identities": [
            {
                "identity_type": "email",
                "identity_value": "jane@shop.example",
                "identity_format": "raw",
            }
        ],
        "api_version": "2.0",
        "status_callback_urls": [callback_url],
    }
    headers = {"Authorization": f"Bearer {office.team.token}"}
    path = "/opendsr/v1/requests"
    answer = await office.service.post(path, json=document, headers=headers)
    assert answer.status == 201, await answer.text()
    answer = await office.service.delete(
        f"{path}/{document['subject_request_id']}", headers=headers
    )
    assert answer.status == 202


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_callback_into_the_operators_network_is_not_sent(
    office: Office, database_url: str, host: str
) -> None:
    taken: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        taken.append(json.loads(await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/callbacks", take)
    async with TestServer(app) as server:
        await _submit_cancelled(office, f"http://{host}:{server.port}/callbacks")
        await _report(database_url)
        assert taken == []
        assert await office.rows.fetchval("SELECT try_count FROM opendsr_callbacks") == 1
        await office.rows.execute("UPDATE opendsr_callbacks SET next_try_at = now()")
        await _report(database_url, allow_private_callbacks=True)
        assert [one["request_status"] for one in taken] == ["cancelled"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - nobody binds to it
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::127.0.0.1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
        ("localhost", False),
    ],
)
def test_only_addresses_of_single_machines_of_the_internet_are_public(
    address: str, *, expected: bool
) -> None:
    assert is_public(address) is expected
