"""`make serve`: the first command of a newcomer; Ctrl-C ends all that it started."""

import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.service_process import free_port

ROOT = Path(__file__).parents[2]


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _serve(folder: Path, port: int, data_dir: Path, log: Path) -> "subprocess.Popen[bytes]":
    """`make serve` as from a terminal: a process group of its own."""
    inherited = {"PATH", "HOME", "LANG"}
    with log.open("ab") as output:
        return subprocess.Popen(
            ["make", "serve", f"PORT={port}", f"DATA_DIR={data_dir}"],
            env={name: value for name, value in os.environ.items() if name in inherited},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _checkout(folder: Path) -> Path:
    """A folder with the Makefile and an environment that is installed already: this one."""
    bin_folder = folder / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    command = bin_folder / "audience-consent"
    python = shlex.quote(sys.executable)
    command.write_text(f'#!/bin/sh\nexec {python} -m consent.cli "$@"\n')
    command.chmod(0o755)
    (folder / ".venv" / ".installed").touch()
    return folder


def test_ctrl_c_ends_service_and_database_and_a_second_start_keeps_the_data(tmp_path: Path) -> None:
    folder, data_dir = _checkout(tmp_path / "checkout"), tmp_path / "other place"
    demo_apps = []
    for number in range(2):
        port, log = free_port(), tmp_path / f"{number}.log"
        process = _serve(folder, port, data_dir, log)
        try:
            deadline = time.monotonic() + 60
            while not _is_ready(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            assert list(data_dir.rglob("postmaster.pid"))
            started = time.monotonic()
            # What a terminal does on Ctrl-C: all processes of the group are told.
            os.killpg(process.pid, signal.SIGINT)
            process.wait(15)
            assert time.monotonic() - started < 10
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(15)
        assert not _is_ready(port)
        assert "Traceback" not in log.read_text()
        deadline = time.monotonic() + 10
        while list(data_dir.rglob("postmaster.pid")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        demo_apps.append([line for line in log.read_text().splitlines() if "Demo app:" in line])
    assert len(demo_apps[0]) == 1
    assert demo_apps[0] == demo_apps[1]
    assert not list(folder.glob("data"))
