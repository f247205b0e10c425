"""The page does not notice the form tracker: events, validity, focus, DOM. Nothing gets lost."""

from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import Site, Watched
from tests.browser.form_page import PATH, FormPage, form
from tests.browser.snippets import create, html, snippet, visitor_cookie
from tests.browser.waiting import eventually, until
from tests.conftest import App
from tests.service_process import ServiceProcess

SUBMITS = 50

#: Notes everything a page can see of its own forms being submitted.
_OBSERVE = """<script>
window.seen = [];
const note = (where, event) => seen.push([
    where, event.type, event.eventPhase, event.defaultPrevented, event.isTrusted, event.bubbles,
    event.submitter && event.submitter.name, Object.keys(event).join(), event.target.id,
    document.activeElement.name, event.target.matches(":valid"), event.target.noValidate,
    Object.keys(event.target).join()
]);
for (const [name, target] of [["window", window], ["document", document]]) {
    for (const capture of [true, false]) {
        for (const type of ["submit", "formdata", "invalid", "reset"]) {
            target.addEventListener(type, event => note(name + capture, event), capture);
        }
    }
}
new MutationObserver(list => seen.push(["mutation", list.length])).observe(
    document, {subtree: true, childList: true, attributes: true, characterData: true});
</script>"""

_FORM = """<form id="f" action="/target" method="post"><input name="a" required>
<input name="m" type="email"><input type="password" name="p"><select name="s"><option>x</select>
<button name="go" value="now">Go</button></form>"""


async def _submit_and_look(page: Page, site: Site, *parts: str) -> tuple[Any, Any]:
    """What the page saw of an invalid, a prevented and a real submit, and what its server got."""
    await page.goto(site.put(html(*parts)))
    await page.wait_for_load_state("load")
    await page.evaluate("window.seen.length = 0")
    before = await page.evaluate("document.getElementById('f').outerHTML")
    await page.click("button")
    await page.fill("[name=a]", "1")
    await page.fill("[name=m]", "a@example.com")
    await page.fill("[name=p]", "0hn0!")
    await page.evaluate("window.addEventListener('submit', e => e.preventDefault(), {once: true})")
    await page.click("button")
    await page.focus("[name=s]")
    seen = await page.evaluate("window.seen")
    assert await page.evaluate("document.getElementById('f').outerHTML") == before
    assert await page.evaluate("document.activeElement.name") == "s"
    await page.click("button")
    await page.wait_for_url("**/target")
    return seen, [row for row in site.received if row[1] == "/target"]


async def test_page_sees_the_same_with_and_without(
    app: App, instance: ServiceProcess, site: Site, watched: Watched
) -> None:
    page = watched.page
    element = snippet(instance, "form", create(instance, "form", app.app_id, "{f: true}"))
    cookie = visitor_cookie(app.app_id, "0123456789abcdef")
    without = await _submit_and_look(page, site, _OBSERVE, cookie, _FORM)
    site.received.clear()
    with_tracker = await _submit_and_look(page, site, _OBSERVE, cookie, element, _FORM)
    assert with_tracker == without
    assert [row[:3] for row in with_tracker[0]] == [
        ["windowtrue", "invalid", 1],
        ["documenttrue", "invalid", 1],
        ["windowtrue", "submit", 1],
        ["documenttrue", "submit", 1],
        ["documentfalse", "submit", 3],
        ["windowfalse", "submit", 3],
    ]
    assert with_tracker[1] == [("POST", "/target", "a=1&m=a%40example.com&p=0hn0%21&s=x&go=now")]
    assert watched.errors == []


async def test_nothing_is_lost_when_the_page_goes_away(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    command = create(instance, "form", app.app_id, "{f: true}")
    cookie = f"'_pk_id.{app.app_id}.1fff=' + location.search.slice(1) + '.1.1.1.1.'"
    parts = [
        f"<script>document.cookie = {cookie}</script>",
        snippet(instance, "form", command),
        '<form id="f" action="/target"><input name="note" value="x"><button>Go</button></form>',
    ]
    address = site.put(html(*parts))
    visitors = [f"{number:016x}" for number in range(1, SUBMITS + 1)]
    for visitor in visitors:
        await page.goto(f"{address}?{visitor}")
        await until(page, "ppms.am.form.isLoaded")
        await page.click("button")
    await page.wait_for_url("**/target?note=x")

    async def everything() -> bool:
        return await app.count("profiles") == SUBMITS

    await eventually(everything)
    for visitor in visitors:
        assert (await app.profile("analytics_visitor_id", visitor))["attributes"] == {"note": "x"}


async def test_nothing_is_lost_when_the_window_closes(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    command = create(instance, "form", app.app_id, "{f: true}")
    cookie = visitor_cookie(app.app_id, "0123456789abcdef")
    content = form('<input name="note" value="x">')
    await page.goto(site.put(html(cookie, snippet(instance, "form", command), content)))
    await until(page, "ppms.am.form.isLoaded")
    await page.evaluate("f.requestSubmit()")
    await page.close()

    async def stored() -> bool:
        return await app.count("profiles") == 1

    await eventually(stored)


@pytest.fixture
def forms(page: Page, site: Site, instance: ServiceProcess) -> FormPage:
    """A page to put forms on."""
    return FormPage(page, site, instance)


@pytest.mark.parametrize(
    "removed",
    [
        "delete window.fetch; delete window.Request",
        "delete Request.prototype.keepalive",
        "delete window.Request; delete Navigator.prototype.sendBeacon",
        "navigator.sendBeacon = () => false; delete window.Request",
        "window.fetch = () => { throw new Error('blocked') }; delete Request.prototype.keepalive",
    ],
)
async def test_other_ways_of_sending_are_found(forms: FormPage, removed: str) -> None:
    await forms.open(form('<input name="a" value="1">'))
    await forms.page.evaluate(f"void (() => {{ {removed} }})()")
    assert await forms.submit() == {"a": "1"}
    assert len(forms.sent()) == 1


async def test_long_submission_is_sent_as_well(forms: FormPage) -> None:
    fields = "".join(f'<textarea name="t{n}">{"x" * 2000}</textarea>' for n in range(60))
    await forms.open(form(fields))
    sent = await forms.submit()
    assert len(sent) == 60


async def test_trouble_of_the_tracker_is_not_the_pages(
    watched: Watched, site: Site, instance: ServiceProcess
) -> None:
    forms = FormPage(watched.page, site, instance)
    await forms.open(form('<input name="a" value="1">'))
    await watched.page.evaluate(
        "Object.defineProperty(document, 'cookie', {get: () => { throw new Error('no cookies') }})"
    )
    await watched.page.evaluate("f.requestSubmit()")
    await watched.page.evaluate("new Promise(done => setTimeout(done, 50))")
    assert watched.errors == []
    assert [row for row in site.received if row[1] == PATH] == []
