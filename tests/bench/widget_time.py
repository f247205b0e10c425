"""What the widgets cost a page: main-thread time to load and set up, time added to a submit.

`python -m tests.bench.widget_time [--visits N]`: in a real Chromium, also with the processor slowed
down four times, against the service in a process of its own. Prints, asserts nothing.

Load and set-up: the processor time that Chromium traces for compiling and running the script with
a queued `create`; for the API also with two more commands, which it sends. A submit: the time of a
whole submit event of a form of 60 fields with labels, with the tracker and without.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from aiohttp import web
from playwright.async_api import Browser, Page, async_playwright

from tests.service_process import ServiceProcess, free_port

_FIELDS = "".join(
    f'<label>Field number {n}<input name="field_{n}" value="value {n}"></label>' for n in range(60)
)
_PAGE = """<!doctype html><html lang="en"><title>Shop</title><body><script>
document.cookie = "_pk_id.{app_id}.1fff=0123456789abcdef.1.1.1.1.";
{stubs}
</script>{scripts}<form id="f" onsubmit="return false">{fields}</form>"""
_STUBS = """window.ppms = {{am: {{}}}};
["api", "form"].forEach(function (name) {{
    ppms.am[name] = function () {{ (ppms.am[name].q = ppms.am[name].q || []).push(arguments) }};
    ppms.am[name]("create", "{app_id}", location.hostname + ":{port}", {{f: true}});
}});
"""
_COMMANDS = 'ppms.am.api("getAudiences"); ppms.am.api("updateAttributes", {a: "b"});'

_SCRIPT = '<script src="{url}/audiences/static/widget/audience-manager.{name}.min.js"></script>'
_SUBMITS = """async () => {
    const times = [];
    for (let i = 0; i < 100; i++) {
        const event = new SubmitEvent("submit", {bubbles: true, cancelable: true});
        const before = performance.now();
        f.dispatchEvent(event);
        times.push(performance.now() - before);
        await new Promise(done => setTimeout(done, 5));
    }
    return times;
}"""


async def main(visits: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        # PostgreSQL may run as another user, who must be able to pass through.
        Path(folder).chmod(0o711)
        with ServiceProcess(Path(folder), DATA_DIR=f"{folder}/data") as service:
            app_id = _make_app(Path(folder), service)
            pages = _pages(service, app_id)
            port = free_port()
            runner = await _serve(pages, port)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path="/usr/bin/chromium", args=["--no-sandbox"]
                )
                for slowdown in (1, 4):
                    await _measure(browser, f"http://127.0.0.1:{port}", slowdown, visits)
                await browser.close()
            await runner.cleanup()


async def _measure(browser: Browser, url: str, slowdown: int, visits: int) -> None:
    names = ("api", "form", "api with two commands")
    loads: dict[str, list[float]] = {name: [] for name in names}
    submits: dict[str, list[float]] = {"with": [], "without": []}
    for _ in range(visits):
        context = await browser.new_context()
        page = await context.new_page()
        session = await context.new_cdp_session(page)
        await session.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
        commands = await _load(browser, page, f"{url}/commands")
        loads["api with two commands"].append(commands["api"])
        for name, milliseconds in (await _load(browser, page, f"{url}/with")).items():
            loads[name].append(milliseconds)
        submits["with"] += (await page.evaluate(_SUBMITS))[10:]
        await page.goto(f"{url}/without")
        submits["without"] += (await page.evaluate(_SUBMITS))[10:]
        await context.close()
    print(f"processor {'as it is' if slowdown == 1 else f'{slowdown} times slower'}, ms")
    print(f"  {'':<28}{'median':>8}{'p95':>8}{'most':>8}")
    for name, times in loads.items():
        _row(f"load and set up, {name}", times)
    for name, times in submits.items():
        _row(f"a submit, {name} the tracker", times)
    added = statistics.median(submits["with"]) - statistics.median(submits["without"])
    print(f"  added to a submit (medians): {added:.2f}")


async def _load(browser: Browser, page: Page, url: str) -> dict[str, float]:
    """Milliseconds of the main thread for each script: compiling and running it."""
    await browser.start_tracing(page=page, categories=["devtools.timeline", "v8"])
    await page.goto(url)
    await page.wait_for_function("ppms.am.api.isLoaded && ppms.am.form.isLoaded")
    trace = json.loads(await browser.stop_tracing())
    found = {"api": 0.0, "form": 0.0}
    for event in trace["traceEvents"]:
        address = event.get("args", {}).get("data", {}).get("url", "")
        for name in found:
            # Compiling is part of it.
            if event.get("name") == "EvaluateScript" and f"audience-manager.{name}." in address:
                found[name] += event.get("tdur", event["dur"]) / 1000
    return found


def _row(name: str, times: list[float]) -> None:
    ordered = sorted(times)
    p95 = ordered[int(len(ordered) * 0.95)]
    print(f"  {name:<28}{statistics.median(ordered):8.2f}{p95:8.2f}{ordered[-1]:8.2f}")


def _pages(service: ServiceProcess, app_id: str) -> dict[str, str]:
    scripts = "".join(_SCRIPT.format(url=service.url, name=name) for name in ("api", "form"))
    stubs = _STUBS.format(app_id=app_id, port=service.port)
    contents = {
        "/with": (stubs, scripts),
        "/commands": (stubs + _COMMANDS, scripts),
        "/without": ("", ""),
    }
    return {
        path: _PAGE.format(app_id=app_id, stubs=queued, scripts=loaded, fields=_FIELDS)
        for path, (queued, loaded) in contents.items()
    }


async def _serve(pages: dict[str, str], port: int) -> web.AppRunner:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=pages.get(request.path, ""), content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


def _make_app(folder: Path, service: ServiceProcess) -> str:
    command = [sys.executable, "-m", "consent.cli", "apps", "create", "--name", "bench"]
    made = subprocess.run(
        command,
        cwd=folder,
        env={"DATA_DIR": f"{folder}/data", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        check=True,
        text=True,
    )
    assert service.pid
    found: str = json.loads(made.stdout)["id"]
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visits", type=int, default=10, metavar="N", help="page loads [10]")
    asyncio.run(main(parser.parse_args().visits))
