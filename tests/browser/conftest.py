"""A real Chromium, pages on an origin of their own, and the service as `serve` runs it.

Pages come from `http://www.shop.test:<port>`, the service is `http://127.0.0.1:<other port>`: two
sites. All names that end in `.test` are this machine.
"""

import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from audience.server.jobs import job_lock_key
from consent.data_subject_requests.intake.handlers import REQUEST_LIMIT
from consent.data_subject_requests.setting_up import REQUEST_JOBS
from tests.browser.consent_pages import TYPES, Shop
from tests.browser.faulty_instance import FaultyInstance
from tests.browser.waiting import EVENTUALLY_SECONDS
from tests.conftest import App, Authorized
from tests.service_process import ServiceProcess

PAGE_HOST = "www.shop.test"
_CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
_FLAGS = (
    "--no-sandbox",  # needed as root
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
)


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium; a test asks it for a context of its own."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=_CHROMIUM, args=list(_FLAGS))
        yield launched
        await launched.close()


@pytest.fixture(scope="package")
async def quiet_database_url(database_url: str) -> AsyncIterator[str]:
    """The database of the run; no service works on requests in the background, but the tests do.

    An instance lives as long as the package, on the same database; its jobs would take mails and
    steps of executions away from the test that waits for them.
    """
    connection = await asyncpg.connect(database_url)
    try:
        for job in REQUEST_JOBS:
            await connection.execute("SELECT pg_advisory_lock($1)", job_lock_key(job), timeout=30)
        yield database_url
    finally:
        await connection.close()


@pytest.fixture(scope="package")
def instance(
    quiet_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    """The service in a process of its own, on the database of the run."""
    folder = tmp_path_factory.mktemp("instance")
    with ServiceProcess(folder, DATABASE_URL=quiet_database_url) as service:
        yield service


@dataclass
class Site:
    """A website for tests. received: (method, path, body) of what was sent to it, not to us."""

    port: int = 0
    pages: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    received: list[tuple[str, str, str]] = field(default_factory=list)

    def put(self, html: str, path: str = "/page", **headers: str) -> str:
        """Publish a page; the address it has. headers: `Content_Security_Policy="..."`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[path] = (html, named)
        return self.url(path)

    def url(self, path: str, host: str = PAGE_HOST) -> str:
        """The address of a path of the site."""
        return f"http://{host}:{self.port}{path}"

    async def answer(self, request: web.Request) -> web.Response:
        """A published page by its path; anything else is an empty one."""
        if request.path not in self.pages:
            self.received.append((request.method, request.path_qs, await request.text()))
        # Any origin may read it, as of the service, which it also stands in for.
        empty = ("<!doctype html><title>next</title>", {"Access-Control-Allow-Origin": "*"})
        html, headers = self.pages.get(request.path, empty)
        return web.Response(text=html, content_type="text/html", headers=headers)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A website of an origin of its own."""
    made = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    async with TestServer(app, host="127.0.0.1") as server:
        assert server.port is not None
        made.port = server.port
        yield made


@pytest.fixture
async def shop(
    app: App,
    authorized: Authorized,
    browser: Browser,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Shop]:
    """A site with the consent container, which asks for three types, and a page at `/`."""
    # All visitors of all tests come from one address within minutes.
    limit = app.service.server.app[REQUEST_LIMIT]
    monkeypatch.setattr(limit, "check", lambda _caller: None)
    made = Shop(app, authorized, site, browser)
    await made.configure(consent_types=TYPES, privacy_policy_url="/privacy")
    made.page()
    yield made
    for context in made.contexts:
        await context.close()


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A visitor without any history."""
    made = await browser.new_context()
    made.set_default_timeout(EVENTUALLY_SECONDS * 1000)
    yield made
    await made.close()


@dataclass
class Watched:
    """A page, and what went wrong on it. console: its lines; errors: uncaught ones."""

    page: Page
    console: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture
async def watched(context: BrowserContext) -> Watched:
    """A page whose console and uncaught errors are kept."""
    made = Watched(await context.new_page())
    made.page.on("console", lambda message: made.console.append(message.text))
    made.page.on("pageerror", lambda error: made.errors.append(str(error)))
    return made


@pytest.fixture
def page(watched: Watched) -> Page:
    """The page alone."""
    return watched.page


@pytest.fixture
async def faulty() -> AsyncIterator[FaultyInstance]:
    """A misbehaving instance on an origin of its own."""
    made = FaultyInstance()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    async with TestServer(app, host="127.0.0.1") as server:
        made.domain = f"127.0.0.1:{server.port}"
        yield made
        made.is_over.set()


def pictures_folder() -> Path:
    """Where tests leave screenshots to look at; not in git."""
    folder = Path(__file__).parent / "pictures"
    folder.mkdir(exist_ok=True)
    return folder
