"""What the form tracker never sends, and look-alikes that it does: tests/cases/form_fields.json."""

import json
from html import escape
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import Site
from tests.browser.form_page import APP_ID, VISITOR, FormPage, form
from tests.browser.snippets import create, html, snippet, visitor_cookie
from tests.browser.waiting import eventually, until
from tests.conftest import CASES, App
from tests.service_process import ServiceProcess

TABLE = json.loads((CASES / "form_fields.json").read_text("utf-8"))


def _field(given: dict[str, Any], number: int) -> str:
    """The HTML of a row's field, with its label before it."""
    members = {"id": f"field{number}", **given}
    label, value = members.pop("label", None), members.pop("value")
    tag = members.pop("tag", "input")
    named = " ".join(f'{name}="{escape(text)}"' for name, text in members.items())
    head = f'<label for="{escape(members["id"])}">{escape(label)}</label>' if label else ""
    if tag == "textarea":
        return f"{head}<textarea {named}>{escape(value)}</textarea>"
    if tag == "select":
        return f'{head}<select {named}><option value="{escape(value)}">it</option></select>'
    checked = "checked" if given.get("type") == "checkbox" else ""
    return f'{head}<input {named} {checked} value="{escape(value)}">'


@pytest.mark.parametrize("use_labels", [False, True])
async def test_no_private_field_reaches_the_profile_and_all_others_do(
    app: App, instance: ServiceProcess, site: Site, page: Page, *, use_labels: bool
) -> None:
    options = f"{{trackingType: 'blacklist', useLabels: {json.dumps(use_labels)}}}"
    forms = [form(_field(row["given"], number), f"f{number}") for number, row in enumerate(TABLE)]
    command = create(instance, "form", app.app_id, "{}, " + options)
    parts = (visitor_cookie(app.app_id, VISITOR), snippet(instance, "form", command), *forms)
    await page.goto(site.put(html(*parts)))
    await until(page, "ppms.am.form.isLoaded")
    await page.evaluate("for (const form of document.forms) form.requestSubmit()")

    async def everything() -> Any:
        found = await app.profiles("analytics_visitor_id", VISITOR)
        return found[0] if found and len(found[0]["forms"]) == len(TABLE) else None

    document = await eventually(everything)
    expected = {
        row["given"].get("label" if use_labels else "name", row["given"]["name"]): row["given"][
            "value"
        ]
        for row in TABLE
        if row["expected"]
    }
    assert document["attributes"] == expected
    assert len(expected) == len(TABLE) / 2 >= 30


@pytest.fixture
def forms(page: Page, site: Site, instance: ServiceProcess) -> FormPage:
    """A page to put forms on."""
    return FormPage(page, site, instance)


async def test_whitelisting_a_private_field_does_not_send_it(
    forms: FormPage, tmp_path: Path
) -> None:
    upload = tmp_path / "letter.txt"
    upload.write_text("dear")
    content = """<input type="password" name="password"><input type="file" name="letter">
        <input type="hidden" name="token" value="t0ken"><input name="card"><input name="cvc">
        <input autocomplete="cc-exp" name="expiry"><input name="first_name">"""
    names = '["password", "letter", "token", "card", "cvc", "expiry", "first_name"]'
    await forms.open(form(content), forms.create(f"{{f: {{type: 'whitelist', fields: {names}}}}}"))
    page = forms.page
    await page.fill("[name=password]", "0hn0!")
    await page.set_input_files("[name=letter]", upload)
    await page.fill("[name=card]", "5500 0000 0000 0004")
    await page.fill("[name=cvc]", "123")
    await page.fill("[name=expiry]", "12/29")
    await page.fill("[name=first_name]", "James")
    assert await forms.submit() == {"first_name": "James"}
    (_, _, body) = forms.site.received[0]
    for secret in ("0hn0", "letter", "t0ken", "5500", "123", "12/29"):
        assert secret not in body.replace(APP_ID, "").replace(VISITOR, "").replace(page.url, "")


async def test_shown_password_is_not_sent(forms: FormPage) -> None:
    await forms.open(form('<input type="password" name="password"><input name="a" value="b">'))
    await forms.page.fill("[name=password]", "0hn0!")
    await forms.page.evaluate("document.querySelector('[name=password]').type = 'text'")
    assert await forms.submit() == {"a": "b"}


async def test_password_in_the_address_of_a_page_is_not_sent(forms: FormPage) -> None:
    content = '<form id="f" method="get"><input type="password" name="pass"><input name="a"></form>'
    await forms.open(content)
    page = forms.page
    for address in ("", "?pass=0hn0&a=1"):
        await page.goto(forms.site.url(f"/page{address}"))
        await until(page, "ppms.am.form.isLoaded")
        await page.fill("[name=a]", "1")
        await page.evaluate("f.requestSubmit()")
        await page.wait_for_url("**/page?pass=&a=1")
    sent = await forms.wait_for(2)
    assert [one["url"] for one in sent] == [forms.site.url("/page")] * 2
