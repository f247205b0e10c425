"""Mails as files, where there is no mail server: they go with the request that they are about."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from audience.server import clock
from audience.server.keys import SETTINGS
from consent.app import create_app
from consent.data_subject_requests.mails import operations as mails
from consent.data_subject_requests.mails.operations import send_some_mails
from consent.data_subject_requests.upkeep import outbox
from consent.data_subject_requests.upkeep.operations import forget_some
from tests.conftest import App, Authorized, serve_in_test
from tests.data_subjects import Office
from tests.privacy.executing import execute

JANE, NEIGHBOUR = "jane@shop.example", "neighbour@shop.example"


@pytest.fixture
async def without_smtp(office: Office, database_url: str) -> AsyncIterator[Office]:
    """The same office, of a service that has no mail server."""
    settings = replace(office.service.app[SETTINGS], smtp_url=None)  # type: ignore[union-attr]
    application = create_app(settings, database_url, with_jobs=False)
    async with TestClient(serve_in_test(application)) as client:
        team = Authorized(client, office.team.token)
        yield Office(office.app_id, client, office.mailbox, team, office.rows)


async def _send(office: Office) -> None:
    while await send_some_mails(office.service.app):  # type: ignore[arg-type]
        pass


async def _sweep(office: Office) -> None:
    while await outbox.forget_some_files(office.service.app):  # type: ignore[arg-type]
        pass


def _files(folder: Path) -> list[str]:
    """Whom the mails in the outbox are to, and what else is there."""
    found = []
    for path in (folder / "outbox").iterdir():
        text = path.read_text()
        found += [one for one in (JANE, NEIGHBOUR) if f"To: {one}" in text] or [path.name]
    return sorted(found)


async def _ask(office: Office, email: str, event: str = "view_data", *, verify: bool = True) -> str:
    """A request whose mail has been written; verified by hand then."""
    request_id = await office.ask(email, event)
    await _send(office)
    if verify:
        assert (await office.act(request_id, "verify", reason="passport seen"))[0] == 200
    return request_id


async def _as_if(office: Office, days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweep so many days later."""
    with monkeypatch.context() as patch:
        later = clock.now() + timedelta(days=days)
        patch.setattr(clock, "now", lambda: later)
        await _sweep(office)


async def test_an_erasure_takes_the_mails_in_the_outbox_along(
    without_smtp: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = without_smtp
    await _ask(office, NEIGHBOUR)
    rejected = await _ask(office, JANE)
    assert (await office.change(rejected, status="rejected", reason="no"))[0] == 204
    erasure = await _ask(office, JANE, "delete_data")
    assert _files(tmp_path) == [JANE, JANE, JANE, NEIGHBOUR]
    # A process that died while it wrote a mail has left this.
    written, _ = (tmp_path / "outbox").glob(f"{rejected}.*.eml")
    written.with_suffix(".part").write_text(f"To: {JANE}")
    await execute(office, erasure)
    assert _files(tmp_path) == [NEIGHBOUR]
    # The outcome is told after the erasure, and waits a week for whoever sends it on.
    await _send(office)
    await _as_if(office, 6, monkeypatch)
    assert _files(tmp_path) == [JANE, NEIGHBOUR]
    await _as_if(office, 8, monkeypatch)
    assert _files(tmp_path) == [NEIGHBOUR]


async def test_what_an_erasure_could_not_reach_is_removed_by_the_job(
    office: Office, without_smtp: Office, tmp_path: Path
) -> None:
    erasure = await _ask(without_smtp, JANE, "delete_data")
    (file,) = (tmp_path / "outbox").iterdir()
    content = file.read_bytes()
    await execute(office, erasure)
    file.write_bytes(content)
    await _sweep(without_smtp)
    assert _files(tmp_path) == []


async def test_a_mail_that_is_written_while_its_recipient_is_erased_is_taken_back(
    without_smtp: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = without_smtp
    erasure = await _ask(office, JANE, "delete_data")
    await office.ask(JANE, "change_data")
    deliver = mails.deliver

    async def erase_and_deliver(*arguments: Any) -> None:
        monkeypatch.setattr(mails, "deliver", deliver)
        await execute(office, erasure)
        await deliver(*arguments)
        assert _files(tmp_path) == [JANE]

    monkeypatch.setattr(mails, "deliver", erase_and_deliver)
    assert await send_some_mails(office.service.app)  # type: ignore[arg-type]
    assert _files(tmp_path) == []


async def test_retention_takes_the_mails_along(without_smtp: Office, tmp_path: Path) -> None:
    office = without_smtp
    closed = await _ask(office, JANE)
    assert (await office.change(closed, status="cancelled", reason="no"))[0] == 204
    await _ask(office, JANE, "change_data", verify=False)
    await _ask(office, NEIGHBOUR)
    await _send(office)
    await _sweep(office)
    assert _files(tmp_path) == [JANE, JANE, NEIGHBOUR]
    await office.rows.execute(AGE_REQUESTS)
    await forget_some(office.service.app)  # type: ignore[arg-type]
    await _sweep(office)
    assert _files(tmp_path) == [NEIGHBOUR]


async def test_mails_of_an_app_that_is_gone_go_after_a_week_and_other_files_stay(
    app: App, without_smtp: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = without_smtp
    await _ask(office, JANE)
    (file,) = (tmp_path / "outbox").iterdir()
    nobodys = file.with_name(file.name.partition(".")[2])
    nobodys.write_bytes(file.read_bytes())
    file.with_name("notes.eml").write_text("of the operator's own")
    await app.rows.execute("DELETE FROM apps WHERE app_id = $1", app.app_id)
    await _sweep(office)
    assert _files(tmp_path) == [JANE, JANE, "notes.eml"]
    await _as_if(office, 8, monkeypatch)
    assert _files(tmp_path) == ["notes.eml"]


async def test_a_large_outbox_is_looked_through_in_steps(
    without_smtp: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = without_smtp
    monkeypatch.setattr(outbox, "_FILES_AT_ONCE", 2)
    for number in range(5):
        await _ask(office, f"person-{number}@shop.example")
    names = sorted(path.name for path in (tmp_path / "outbox").iterdir())
    await office.rows.execute("UPDATE data_subject_requests SET content_erased_at = now()")
    left = []
    while await outbox.forget_some_files(office.service.app):  # type: ignore[arg-type]
        left.append(sorted(path.name for path in (tmp_path / "outbox").iterdir()))
    assert left == [names[2:], names[4:], []]
    await _ask(office, JANE)
    await _sweep(office)
    assert _files(tmp_path) == [JANE]


#: What is closed was so long ago, and so was what nobody has confirmed; the neighbour's is open.
AGE_REQUESTS = """
WITH closed AS (
    UPDATE data_subject_requests SET closed_at = closed_at - interval '366 days'
    WHERE closed_at IS NOT NULL
)
UPDATE data_subject_request_events SET occurred_at = occurred_at - interval '31 days'
"""
