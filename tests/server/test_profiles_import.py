"""`audience-consent profiles import`, as a process of its own."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import App

UNKNOWN = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with rows that are wrong among others."""
    path = tmp_path / "people.csv"
    rows = "".join(f"user-{number},user{number}@example.org,{number}\n" for number in range(500))
    path.write_text(f"user_id,email,score\n{rows}x,nobody,1\n,,2\n")
    return path


async def _command(
    url: str, *arguments: str | Path, stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "DATABASE_URL": url}
    command = [sys.executable, "-m", "consent.cli", "profiles", "import", *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, env=environment, input=stdin, capture_output=True, check=False
    )


async def test_import_shows_its_progress_and_what_is_wrong(
    app: App, database_url: str, file: Path
) -> None:
    mapping = json.dumps({"score": {"attribute": "points", "type": "numeric"}})
    done = await _command(database_url, file, "--app", app.app_id, "--mapping", mapping)
    told = done.stderr.decode()
    assert done.returncode == 1, told
    summary = json.loads(done.stdout)
    assert await app.rows.fetchval("SELECT import_id::text FROM profile_imports") == summary["id"]
    assert summary == {
        "id": summary["id"],
        "state": "done",
        "rows": 502,
        "rows_applied": 500,
        "rows_refused": 2,
        "error_count": 2,
    }
    assert "row 502, email: must be a valid e-mail address" in told
    assert "row 503: has no usable identifier" in told
    assert "Reading bytes" in told
    assert "Applying rows" in told
    assert "500/500" in told
    profile = await app.profile("email", "user7@example.org")
    assert (profile["user_id"], profile["attributes"]) == ("user-7", {"points": 7})


async def test_dry_run_stores_nothing(app: App, database_url: str, file: Path) -> None:
    done = await _command(database_url, file, "--app", app.app_id, "--dry-run")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "state": "dry_run",
        "rows": 502,
        "rows_refused": 2,
        "error_count": 2,
    }
    assert await app.count("profiles") == 0
    assert await app.count("profile_imports") == 0


async def test_file_may_come_from_standard_input(app: App, database_url: str) -> None:
    done = await _command(database_url, "-", "--app", app.app_id, stdin=b"user_id,a\nu,1\n")
    assert (done.returncode, json.loads(done.stdout)["rows_applied"]) == (0, 1)
    assert (await app.profile("user_id", "u"))["attributes"] == {"a": "1"}


async def test_errors_are_one_line(app: App, database_url: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("age\n1\n")
    for arguments, status, message in (
        ([wrong, "--app", app.app_id], 1, "no column is an identifier"),
        ([wrong, "--app", UNKNOWN], 1, "there is no app"),
        ([wrong, "--app", app.app_id, "--mapping", "[]"], 2, "is not a JSON object"),
        ([tmp_path / "missing.csv", "--app", app.app_id], 2, "No such file"),
    ):
        done = await _command(database_url, *arguments)
        assert done.returncode == status
        assert message in done.stderr.decode()
        assert "Traceback" not in done.stderr.decode()
