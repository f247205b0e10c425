"""The wheel alone, in an empty virtual environment: nothing of the checkout is needed."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import aiohttp

from tests.service_process import ServiceProcess

ROOT = Path(__file__).parents[2]


def _run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _install_wheel(folder: Path) -> Path:
    """Build the wheel, install the lock file and the wheel; the new environment's Python."""
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, ROOT, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps")
    _run(*pip, "--require-hashes", "-r", ROOT / "requirements.lock", cwd=folder)
    _run(*pip, wheel, cwd=folder)
    _run(python, "-m", "pip", "--disable-pip-version-check", "check", cwd=folder)
    return python


async def test_wheel_serves_from_an_empty_environment(tmp_path: Path) -> None:
    python = _install_wheel(tmp_path)
    place = _run(python, "-c", "import consent; print(consent.__file__)", cwd=tmp_path)
    assert Path(place.strip()).is_relative_to(tmp_path)
    built = "from audience.server.static_files import built_files; print(*built_files())"
    assert "demo/index.html" in _run(python, "-c", built, cwd=tmp_path).split()
    command = python.with_name("audience-consent")
    assert "serve" in _run(command, "--help", cwd=tmp_path)
    service = ServiceProcess(
        tmp_path, python=str(command), program=(), DATA_DIR=str(tmp_path / "data")
    )
    with service:
        made = _run(
            "env",
            f"DATA_DIR={tmp_path / 'data'}",
            command,
            "apps",
            "create",
            "--name",
            "shop",
            cwd=tmp_path,
        )
        app_id = json.loads(made)["id"]
        item = {"website_id": app_id, "user_id": "m", "attributes": []}
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{service.url}/data/tracker/attributes/", data=json.dumps([item])
            ) as answer,
        ):
            assert answer.status == 204
        await _expect_browser_scripts(service)
        await _expect_container(service, app_id)
    assert service.stop() == 0


async def _expect_browser_scripts(service: ServiceProcess) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{service.url}/docs/widgets") as answer:
            assert answer.status == 200
        for name in ("audience-manager.api.min.js", "audience-manager.form.min.js"):
            for ending in ("", ".map"):
                url = f"{service.url}/audiences/static/widget/{name}{ending}"
                async with session.get(url, headers={"Accept-Encoding": "gzip"}) as answer:
                    assert answer.status == 200
                    assert answer.headers["Content-Encoding"] == "gzip"
                    content = await answer.read()
                    assert content == (ROOT / "static" / "dist" / f"{name}{ending}").read_bytes()


async def _expect_container(service: ServiceProcess, app_id: str) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{service.url}/containers/{app_id}.js") as answer:
            assert answer.status == 200
            assert app_id in await answer.text()
        templates = f"{service.url}/containers/{app_id}/privacy-templates.json"
        async with session.get(templates) as answer:
            assert "data-" in (await answer.json())["data_subject_request"]["en"]["html"]
