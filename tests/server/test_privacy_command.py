"""`audience-consent privacy find` and `erase`, as processes of their own."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import jwt

from tests.conftest import App
from tests.data_subjects import Office
from tests.database_dump import found_in_dump
from tests.privacy.people import MARKERS, make_people


async def _command(
    url: str, *arguments: str, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "DATABASE_URL": url, **environment}
    command = [sys.executable, "-m", "consent.cli", "privacy", *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, env=environment, input=stdin, capture_output=True, check=False
    )


def _person(app: App, email: str = "Jane@shop.example") -> tuple[str, ...]:
    return ("--app", app.app_id, "--email", email)


async def test_find_shows_profiles_and_counts(app: App, office: Office, database_url: str) -> None:
    await make_people(app, office)
    done = await _command(database_url, "find", *_person(app))
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found["email"] == "jane@shop.example"
    (profile,) = found["profiles"]
    assert {"name": "user_id", "value": "marker-jane"} in profile["identifiers"]
    assert found["counts"]["profiles"] == 1
    assert found["counts"]["consent_decisions"] == 2
    audit = "SELECT actor FROM audit_entries WHERE operation = 'find_person'"
    assert await app.rows.fetchval(audit) == "operator"


async def test_erase_asks_first(app: App, office: Office, database_url: str) -> None:
    await make_people(app, office)
    for answer in (b"n\n", b""):
        done = await _command(database_url, "erase", *_person(app), stdin=answer)
        assert done.returncode == 1
        assert b"1 profiles go" in done.stderr
        assert b"2 consent_decisions become anonymous" in done.stderr
    assert await app.count("profiles") == 2
    assert await app.count("data_subject_requests") == 0


async def test_erase_leaves_nothing_and_proves_it(
    app: App, office: Office, database_url: str
) -> None:
    await make_people(app, office)
    done = await _command(database_url, "erase", *_person(app), stdin=b"y\n")
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["counts"]["profiles"] == 1
    claims = jwt.decode(told["receipt"], options={"verify_signature": False})
    assert claims["request_id"] == told["request_id"]
    assert found_in_dump(database_url, MARKERS) == []
    assert await app.count("profiles") == 1
    assert await office.deliver() == []
    assert not [marker for marker in MARKERS if marker in done.stdout.decode()]


async def test_erase_with_yes_and_tell_does_not_ask_and_sends_a_mail(
    app: App, office: Office, database_url: str
) -> None:
    await make_people(app, office)
    asked = await office.ask_and_confirm("jane@shop.example", "delete_data")
    done = await _command(database_url, "erase", *_person(app), "--yes", "--tell")
    assert done.returncode == 0, done.stderr.decode()
    # What the person had asked for is done, not a second time beside it.
    assert json.loads(done.stdout)["request_id"] == asked
    assert [mail["To"] for mail in await office.deliver()] == ["jane@shop.example"]


async def test_wrong_arguments_are_one_line(app: App, database_url: str) -> None:
    for arguments in (
        ("find", "--app", "01234567-89ab-cdef-0123-456789abcdef", "--email", "a@b.example"),
        ("find", *_person(app, "nobody")),
    ):
        done = await _command(database_url, *arguments)
        assert done.returncode == 1
        assert len(done.stderr.decode().strip().splitlines()) == 1


async def test_erase_takes_mails_in_the_outbox_along(
    app: App, office: Office, database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "outbox"
    folder.mkdir()
    files = []
    for email in ("jane@shop.example", "neighbour@shop.example"):
        request_id = await office.ask(email)
        files.append(folder / f"{request_id}.{request_id}.eml")
        files[-1].write_text(f"To: {email}")
    done = await _command(database_url, "erase", *_person(app), "--yes", DATA_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr.decode()
    assert list(folder.iterdir()) == files[1:]
