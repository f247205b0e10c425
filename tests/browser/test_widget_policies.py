"""Pages with a strict content security policy, and pinned scripts (contract E6, E0.8)."""

import base64
import hashlib
from typing import Any

import pytest

from tests.browser.conftest import Site, Watched
from tests.browser.form_page import VISITOR, form
from tests.browser.snippets import create, html, snippet, visitor_cookie
from tests.browser.test_api_widget import run
from tests.browser.waiting import eventually, until
from tests.conftest import App
from tests.service_process import ServiceProcess

NONCE = "bm9uY2U"
#: The policies of the documentation, with nothing but the instance's address and the nonce.
_OLDER = "default-src 'self'; script-src 'nonce-{nonce}' {instance}; connect-src {instance}"
_NEWER = (
    "default-src 'none'; script-src 'self' {instance} 'nonce-{nonce}'; connect-src {instance}; "
    "style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_DYNAMIC = "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic'; connect-src {instance}"


@pytest.mark.parametrize("policy", [_OLDER, _NEWER, _DYNAMIC])
async def test_both_widgets_work_under_the_pages_policy(
    app: App, instance: ServiceProcess, site: Site, watched: Watched, policy: str
) -> None:
    page = watched.page
    await app.allow("color")
    cookie = visitor_cookie(app.app_id, VISITOR).replace("<script", f'<script nonce="{NONCE}"')
    watch = (
        "window.violations = []; document.addEventListener('securitypolicyviolation', "
        "event => violations.push(event.violatedDirective));"
    )
    parts = (
        f'<script nonce="{NONCE}">{watch}</script>',
        cookie,
        snippet(instance, "api", create(instance, "api", app.app_id), nonce=NONCE),
        snippet(instance, "form", create(instance, "form", app.app_id, "{f: true}"), nonce=NONCE),
        form('<input name="first_name" value="James"><button>Go</button>', attributes=""),
    )
    header = policy.format(nonce=NONCE, instance=instance.url)
    await page.goto(site.put(html(*parts), Content_Security_Policy=header))
    assert await run(page, "updateAttributes", {"color": "black"}) == ["fulfilled", []]
    expected = {"analytics": {}, "attributes": {"color": "black"}}
    assert await run(page, "getAttributes") == ["fulfilled", [expected]]
    await until(page, "ppms.am.form.isLoaded")
    assert await page.evaluate("violations") == []
    if "form-action" in policy:
        await page.click("button")
        await page.wait_for_url("**/next")
    else:
        await page.evaluate("f.onsubmit = () => false; f.requestSubmit()")

    async def stored() -> Any:
        (document,) = await app.profiles("analytics_visitor_id", VISITOR)
        return document["attributes"] == {"color": "black", "first_name": "James"}

    await eventually(stored)
    assert (watched.errors, watched.console) == ([], [])


async def test_policy_without_the_instance_is_a_server_error(
    app: App, instance: ServiceProcess, site: Site, watched: Watched
) -> None:
    cookie = visitor_cookie(app.app_id, VISITOR)
    element = snippet(instance, "api", create(instance, "api", app.app_id))
    policy = f"script-src 'unsafe-inline' {instance.url}; connect-src 'self'"
    await watched.page.goto(site.put(html(cookie, element), Content_Security_Policy=policy))
    assert await run(watched.page, "getAudiences") == ["rejected", ["server_error"]]
    assert watched.errors == []


@pytest.mark.parametrize("name", ["api", "form"])
async def test_script_may_be_pinned_by_its_hash(
    instance: ServiceProcess, site: Site, watched: Watched, name: str
) -> None:
    page = watched.page
    url = f"{instance.url}/audiences/static/widget/audience-manager.{name}.min.js"
    content = await (await page.context.request.get(url)).body()
    pinned = base64.b64encode(hashlib.sha384(content).digest()).decode()
    attributes = f'src="{url}" crossorigin="anonymous"'
    isolated = {
        "Cross_Origin_Opener_Policy": "same-origin",
        "Cross_Origin_Embedder_Policy": "require-corp",
    }
    right = f'<script {attributes} integrity="sha384-{pinned}"></script>'
    await page.goto(site.put(html(right), **isolated))
    assert await page.evaluate(f"ppms.am.{name}.isLoaded")
    wrong = f'<script {attributes} integrity="sha384-{"A" * 64}"></script>'
    await page.goto(site.put(html(wrong)))
    assert await page.evaluate("typeof ppms") == "undefined"
