"""The running service: mails leave by themselves, by SMTP or into the outbox; logs stay clean."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.conftest import App
from tests.mailbox import Mailbox, secrets_of
from tests.service_process import ServiceProcess

_WITHIN_SECONDS = 30


async def _eventually(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + _WITHIN_SECONDS
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        await asyncio.sleep(0.05)
    message = "it never happened"
    raise AssertionError(message)


async def _submit(url: str, app_id: str) -> int:
    body = {"websiteId": app_id, "event": "view_data", "email": "marker-person@shop.example"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/consent/collect", data=json.dumps(body)) as answer,
    ):
        return answer.status


async def test_mail_leaves_by_itself_and_its_link_leads_to_the_service(
    app: App, database_url: str, tmp_path: Path
) -> None:
    with (
        Mailbox() as mailbox,
        ServiceProcess(tmp_path, DATABASE_URL=database_url, SMTP_URL=mailbox.url) as service,
    ):
        assert await _submit(service.url, app.app_id) == 204
        await _eventually(lambda: mailbox.mails)
        (mail,) = mailbox.mails
        link, code = secrets_of(mail)
        assert f"{service.url}/privacy/confirm/{link}" in mail.get_content()
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{service.url}/privacy/confirm/{link}", data={"code": code}) as answer,
        ):
            assert answer.status == 200
    assert await app.rows.fetchval("SELECT status FROM data_subject_requests") == "to_do"
    log = service.log()
    assert f"PUBLIC_URL is not set: links in mails lead to this machine url={service.url}" in log
    for secret in ("marker-person", link, code):
        assert secret not in log


async def test_without_smtp_the_log_names_the_file_in_the_outbox(
    app: App, database_url: str, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    environment = {"DATABASE_URL": database_url, "DATA_DIR": str(data_dir)}
    with ServiceProcess(tmp_path, **environment) as service:
        assert await _submit(service.url, app.app_id) == 204
        (file,) = await _eventually(lambda: list((data_dir / "outbox").glob("*.eml")))
        line = await _eventually(
            lambda: re.search(r"SMTP_URL is not set: mail written to the outbox.*", service.log())
        )
        assert f"file={file}" in line[0]
    assert "marker-person" not in service.log()
