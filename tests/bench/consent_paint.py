"""How long a click on "Agree to all" takes to the next paint, and whether any task is long.

`python -m tests.bench.consent_paint [--visits N]`: in a real Chromium, also with the
processor slowed down four times, against the service in a process of its own. Asserts nothing.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import Browser, async_playwright

from tests.service_process import ServiceProcess, free_port

ALL_TYPES = [
    "analytics",
    "ab_testing_and_personalization",
    "conversion_tracking",
    "marketing_automation",
    "remarketing",
    "user_feedback",
    "custom_consent",
]
AGREE = "#ppms_cm_agree-to-all"
#: From the click's own time until the frame after it is painted; long tasks in half a second.
MEASURE = """() => new Promise(settle => {
const tasks = [];
const observer = new PerformanceObserver(list => tasks.push(...list.getEntries()));
observer.observe({type: "longtask"});
addEventListener("click", event => requestAnimationFrame(() => setTimeout(() => {
    const paint = performance.now() - event.timeStamp;
    const isLate = one => one.startTime + one.duration > event.timeStamp;
    setTimeout(() => settle({paint, tasks: tasks.filter(isLate).map(one => one.duration)}), 500);
})), {capture: true, once: true}) })"""
PAGE = """<!doctype html><html lang="en"><title>Shop</title><body>
<script src="{url}/containers/{app_id}.js" async></script><h1>Shop</h1>"""


async def main(visits: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        service = ServiceProcess(Path(folder), DATA_DIR=f"{folder}/data", COLLECT_PER_MINUTE="0")
        with service:
            app_id = _make_app(Path(folder), service)
            port = free_port()
            runner = await _serve(PAGE.format(url=service.url, app_id=app_id), port)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path="/usr/bin/chromium", args=["--no-sandbox"]
                )
                print(f"{'processor':<12}{'median':>9}{'p95':>9}{'most':>9}  long tasks")
                for slowdown in (1, 4):
                    found = [await _visit(browser, port, slowdown) for _ in range(visits)]
                    _print(slowdown, found)
                await browser.close()
            await runner.cleanup()


async def _visit(browser: Browser, port: int, slowdown: int) -> dict[str, Any]:
    context = await browser.new_context()
    page = await context.new_page()
    session = await context.new_cdp_session(page)
    await session.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
    await page.goto(f"http://127.0.0.1:{port}/")
    await page.wait_for_selector(AGREE)
    await page.wait_for_timeout(400)
    measured = asyncio.ensure_future(page.evaluate(MEASURE))
    await page.wait_for_timeout(50)
    await page.click(AGREE)
    found: dict[str, Any] = await measured
    await context.close()
    return found


def _print(slowdown: int, found: list[dict[str, Any]]) -> None:
    times = sorted(one["paint"] for one in found)
    tasks = [round(task) for one in found for task in one["tasks"]]
    figures = (times[len(times) // 2], times[int(len(times) * 0.95)], times[-1])
    name = "full speed" if slowdown == 1 else f"1/{slowdown}"
    print(f"{name:<12}" + "".join(f"{one:>6.1f} ms" for one in figures) + f"  {tasks or 'none'}")


def _make_app(folder: Path, service: ServiceProcess) -> str:
    """An app that asks for everything, made as an operator makes it."""

    def run(*arguments: str) -> dict[str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "consent.cli", *arguments],
            env={"PATH": "/usr/bin:/bin", "DATA_DIR": f"{folder}/data"},
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
            text=True,
        )
        made: dict[str, str] = json.loads(done.stdout)
        return made

    def call(method: str, path: str, body: object, **headers: str) -> bytes:
        request = urllib.request.Request(  # noqa: S310 - our own address
            service.url + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", **headers},
            method=method,
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - as above
            read: bytes = answer.read()
            return read

    app_id = run("apps", "create", "--name", "paint")["id"]
    credential = run("credentials", "create", "--name", "paint", "--scope", "admin")
    answer = call("POST", "/auth/token", {"grant_type": "client_credentials", **credential})
    settings = {"type": "ConsentSettings", "id": app_id, "attributes": {"consent_types": ALL_TYPES}}
    path = f"/api/consents/v1/settings/?website_id={app_id}"
    token = json.loads(answer)["access_token"]
    call("PATCH", path, {"data": settings}, Authorization=f"Bearer {token}")
    return app_id


async def _serve(page: str, port: int) -> web.AppRunner:
    async def show(_request: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", show)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visits", type=int, default=20)
    asyncio.run(main(parser.parse_args().visits))
