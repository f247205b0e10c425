"""Executing requests whole, and what comes of it, for tests."""

import io
import json
import zipfile
from typing import Any

import jwt

from consent.data_subject_requests.execution.jobs import execute_some
from tests.conftest import App
from tests.data_subjects import REQUESTS, Office


async def run(office: App | Office) -> int:
    """Do all steps of all executions; how many."""
    steps = 0
    while await execute_some(office.service.app):  # type: ignore[arg-type]
        steps += 1
    return steps


async def execute(office: Office, request_id: str, **instructions: Any) -> None:
    """Execute a request whole."""
    status, body = await office.act(request_id, "execute", **instructions)
    assert status == 202, body
    assert await run(office) > 1
    assert (await office.get(request_id))["status"] == "resolved"


async def preview(office: Office, request_id: str, **instructions: Any) -> dict[str, int]:
    """What executing would touch, without what it would not."""
    status, body = await office.act(request_id, "preview", **instructions)
    assert status == 200, body
    counts: dict[str, int] = body["data"]["attributes"]["counts"]
    return {table: count for table, count in counts.items() if count}


async def receipt_of(office: Office, request_id: str) -> dict[str, Any]:
    """The claims of the receipt, its signature verified with the published keys."""
    status, body = await office.team.get(f"{REQUESTS}/{request_id}/receipt")
    assert status == 200, body
    receipt = body["data"]["attributes"]["receipt"]
    keys = await (await office.service.get("/auth/jwks.json")).json()
    key_id = jwt.get_unverified_header(receipt)["kid"]
    (key,) = [one for one in keys["keys"] if one["kid"] == key_id]
    claims: dict[str, Any] = jwt.decode(receipt, jwt.PyJWK(key), algorithms=["RS256"])
    return claims


async def archive_of(office: Office, request_id: str) -> zipfile.ZipFile:
    """The ZIP of an access request's export."""
    headers = {"Authorization": f"Bearer {office.team.token}"}
    answer = await office.service.get(f"{REQUESTS}/{request_id}/export", headers=headers)
    content = await answer.read()
    assert answer.status == 200, content
    return zipfile.ZipFile(io.BytesIO(content))


async def export_of(office: Office, request_id: str) -> tuple[dict[str, Any], str]:
    """(data.json, index.html) of an access request's export."""
    archive = await archive_of(office, request_id)
    return json.loads(archive.read("data.json")), archive.read("index.html").decode()
