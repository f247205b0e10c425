"""Pages with forms and the form tracker on them; what it sends is kept by the page's own server.

The widget is given the page's server as its instance, so that a test sees every byte of the bodies;
tests that need the stored profile give it the real one.
"""

import json
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Page

from tests.browser.conftest import Site
from tests.browser.snippets import html, snippet, visitor_cookie
from tests.browser.waiting import eventually, until
from tests.service_process import ServiceProcess

APP_ID = "5dff7262-731e-291d-ad23-d1aea83ecd51"
VISITOR = "0123456789abcdef"
PATH = "/audiences/tracker/forms/"


@dataclass
class FormPage:
    """One page with the form tracker. domain: of its instance, in the end this site itself."""

    page: Page
    site: Site
    instance: ServiceProcess

    def create(self, forms: str = "{f: true}", options: str = "undefined") -> str:
        """The command that tracks forms; both arguments are JavaScript."""
        domain = f"127.0.0.1:{self.site.port}"
        return f'ppms.am.form("create", "{APP_ID}", "{domain}", {forms}, {options});'

    async def open(self, content: str, commands: str = "", *, visitor: str = VISITOR) -> None:
        """Load a page with the content and the tracker, which is at work when it returns."""
        cookie = visitor_cookie(APP_ID, visitor) if visitor else ""
        element = snippet(self.instance, "form", commands or self.create())
        await self.page.goto(self.site.put(html(cookie, element, content)))
        await until(self.page, "ppms.am.form.isLoaded")

    def sent(self) -> list[dict[str, Any]]:
        """The submissions noted so far."""
        return [json.loads(body) for _, path, body in self.site.received if path == PATH]

    async def wait_for(self, count: int) -> list[dict[str, Any]]:
        """The submissions, once there are so many."""

        async def enough() -> bool:
            return len(self.sent()) >= count

        await eventually(enough)
        return self.sent()

    async def submit(self, form_id: str = "f") -> dict[str, Any]:
        """Submit a form as a script does; its values by name, as they were sent."""
        before = len(self.sent())
        await self.page.evaluate(f"document.getElementById('{form_id}').requestSubmit()")
        return values((await self.wait_for(before + 1))[-1])


def values(submission: dict[str, Any]) -> dict[str, Any]:
    """{name: value} of what was sent."""
    return {entry["name"]: entry["value"] for entry in submission["attributes"]}


def form(content: str, form_id: str = "f", attributes: str = 'onsubmit="return false"') -> str:
    """A form that stays on its page."""
    return f'<form id="{form_id}" action="/next" method="post" {attributes}>{content}</form>'
