"""docs/widgets.md as a new user reads it: its snippets, addresses filled in, work as they stand."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Site, Watched
from tests.browser.form_page import VISITOR, form
from tests.browser.snippets import html, visitor_cookie
from tests.browser.test_api_widget import run
from tests.browser.waiting import eventually, until
from tests.conftest import App
from tests.service_process import ServiceProcess

_DOCUMENT = Path(__file__).parents[2] / "docs" / "widgets.md"


def _block(instance: ServiceProcess, app_id: str, name: str, *, language: str = "html") -> str:
    """The first block of the document with a text in it, for this instance."""
    blocks = re.findall(rf"```{language}\n(.*?)```", _DOCUMENT.read_text("utf-8"), re.DOTALL)
    block: str = next(block for block in blocks if name in block)
    domain = f"127.0.0.1:{instance.port}"
    named = block.replace("https://audiences.example.com", f"http://{domain}")
    return named.replace("audiences.example.com", domain).replace("APP ID", app_id)


async def test_snippet_and_example_of_the_api(
    app: App, instance: ServiceProcess, site: Site, watched: Watched
) -> None:
    parts = (visitor_cookie(app.app_id, VISITOR), _block(instance, app.app_id, "ppms.am.api"))
    await watched.page.goto(site.put(html(*parts)))
    example = _block(instance, app.app_id, "updateAttributes", language="js")
    await watched.page.evaluate(f"() => {{ {example} }}")
    assert await run(watched.page, "getAudiences") == ["fulfilled", [[]]]
    document = await app.profile("user_id", "jbond")
    assert document["attributes"] == {
        "favourite_color": "black",
        "code_number": 7,
        "aliases": ["Peter", "Conrad"],
        "kills": 3,
        "brands": ["Land Rover"],
        "drink": "Martini",
    }
    assert (watched.errors, watched.console) == ([], [])


@pytest.mark.parametrize(
    ("form_id", "expected"),
    [
        ("newsletter", {"first_name": "Vesper", "company": "HM", "remarks": "none"}),
        ("order", {"first_name": "Vesper", "company": "HM"}),
        ("contact", {"first_name": "Vesper", "company": "HM"}),
    ],
)
async def test_snippet_of_the_form_tracker(
    app: App,
    instance: ServiceProcess,
    site: Site,
    watched: Watched,
    form_id: str,
    expected: dict[str, str],
) -> None:
    fields = '<input name="first_name"><input name="company"><input name="remarks">'
    content = form(f"{fields}<button>Go</button>", form_id, "")
    element = _block(instance, app.app_id, "ppms.am.form")
    page = watched.page
    await page.goto(site.put(html(visitor_cookie(app.app_id, VISITOR), element, content)))
    await until(page, "ppms.am.form.isLoaded")
    for name, value in (("first_name", "Vesper"), ("company", "HM"), ("remarks", "none")):
        await page.fill(f"[name={name}]", value)
    await page.click("button")
    await page.wait_for_url("**/next")

    async def stored() -> Any:
        found = await app.profiles("analytics_visitor_id", VISITOR)
        return found and found[0]

    document = await eventually(stored)
    assert document["attributes"] == expected
    assert list(document["forms"]) == [form_id]
