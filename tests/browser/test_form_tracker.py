"""`ppms.am.form` in Chromium: which forms and fields are sent, and under which names."""

import json
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import Site
from tests.browser.form_page import APP_ID, VISITOR, FormPage, form, values
from tests.browser.snippets import create, html, snippet, visitor_cookie
from tests.browser.waiting import eventually, until
from tests.conftest import App
from tests.service_process import ServiceProcess

FIELDS = "".join(f'<input name="{name}" value="{name}{name}">' for name in "abcd")

EVERY_KIND = """<input name="text"><textarea name="note"></textarea>
            <select name="city"><option value="">Choose<option>Rome</select>
            <select name="many" multiple><option>a<option>b<option>c</select>
            <input type="checkbox" name="news" value="daily">
            <input type="checkbox" name="news" value="weekly">
            <input type="checkbox" name="terms"><input type="radio" name="size" value="s">
            <input type="radio" name="size" value="m"><input type="date" name="day">
            <input type="number" name="age">
            <input type="range" name="level" min="0" max="10" value="3">
            <input type="color" name="color" value="#102030"><input type="time" name="at">
            <input name="left_empty"><button name="go" value="go">Go</button>"""


@pytest.fixture
def forms(page: Page, site: Site, instance: ServiceProcess) -> FormPage:
    """A page to put forms on."""
    return FormPage(page, site, instance)


async def test_published_snippet_stores_what_a_visitor_submits(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    config = """{
        "tracked_form": true,
        "form_with_whitelisted_fields": {type: "whitelist", fields: ["included_field_1"]},
    }, {useLabels: false}"""
    command = create(instance, "form", app.app_id, config)
    address = site.put(
        html(
            visitor_cookie(app.app_id, VISITOR),
            snippet(instance, "form", command),
            form(
                '<input name="mail"><input name="first_name"><button>Send</button>',
                "tracked_form",
                "",
            ),
        )
    )
    await page.goto(address)
    await page.fill("[name=mail]", "Vesper.Lynd@gmail.com")
    await page.fill("[name=first_name]", "Vesper")
    await page.click("button")
    await page.wait_for_url("**/next")

    async def stored() -> Any:
        return await app.profiles("analytics_visitor_id", VISITOR)

    (document,) = await eventually(stored)
    assert document["attributes"] == {"mail": "Vesper.Lynd@gmail.com", "first_name": "Vesper"}
    assert document["email"] == "Vesper.Lynd@gmail.com"
    assert document["forms"]["tracked_form"]["url"] == address
    assert document["forms"]["tracked_form"]["timestamp"] == document["updated_at"]


async def test_visitor_types_into_every_kind_of_field(forms: FormPage) -> None:
    await forms.open(form(EVERY_KIND))
    page = forms.page
    await page.fill("[name=text]", "žluťoučký 😀")
    await page.fill("textarea", "two\nlines")
    await page.select_option("[name=city]", "Rome")
    await page.select_option("[name=many]", ["a", "c"])
    await page.check("[value=weekly]")
    await page.check("[name=terms]")
    await page.check("[value=m]")
    await page.fill("[name=day]", "2026-11-25")
    await page.fill("[name=age]", "42")
    await page.fill("[name=at]", "13:45")
    await page.click("button")
    (submission,) = await forms.wait_for(1)
    assert values(submission) == {
        "text": "žluťoučký 😀",
        "note": "two\nlines",
        "city": "Rome",
        "many": ["a", "c"],
        "news": ["weekly"],
        "terms": "on",
        "size": "m",
        "day": "2026-11-25",
        "age": "42",
        "level": "3",
        "color": "#102030",
        "at": "13:45",
    }
    assert submission["website_id"] == APP_ID
    assert submission["analytics_visitor_id"] == VISITOR
    assert submission["form_id"] == "f"
    assert submission["url"] == page.url


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (["{f: true}"], "abcd"),
        (['{f: {type: "whitelist", fields: ["a", "b"]}}'], "ab"),
        (['{f: {type: "blacklist", fields: ["a", "b"]}}'], "cd"),
        (['{f: {type: "whitelist", fields: ["a"]}}', "{f: true}"], "abcd"),
        (
            [
                '{f: {type: "whitelist", fields: ["a"]}}',
                '{f: {type: "whitelist", fields: ["b"]}}, {useLabels: false}',
            ],
            "ab",
        ),
        (
            [
                '{f: {type: "blacklist", fields: ["a", "b"]}}',
                '{f: {type: "blacklist", fields: ["b", "c"]}}',
            ],
            "acd",
        ),
        (
            [
                '{f: {type: "whitelist", fields: ["a"]}}',
                '{f: {type: "blacklist", fields: ["a", "b"]}}',
            ],
            "acd",
        ),
        (['{}, {trackingType: "blacklist"}'], "abcd"),
        (['{f: {type: "whitelist", fields: ["a"]}}, {trackingType: "blacklist"}'], "a"),
        (
            [
                '{f: {type: "blacklist", fields: ["a"]}}, {trackingType: "blacklist"}',
                '{f: {type: "blacklist", fields: ["b"]}}, {trackingType: "blacklist"}',
            ],
            "cd",
        ),
    ],
)
async def test_configurations_add_up(forms: FormPage, commands: list[str], expected: str) -> None:
    calls = "".join(forms.create(command) for command in commands).replace(", undefined)", ")")
    await forms.open(form(FIELDS), calls)
    assert "".join(await forms.submit()) == expected
    assert len(forms.sent()) == 1


async def test_different_options_send_on_their_own(forms: FormPage) -> None:
    commands = forms.create() + forms.create("{f: true}", "{useLabels: true}")
    await forms.open(form('<label>First name <input name="a" value="1"></label>'), commands)
    await forms.submit()
    sent = await forms.wait_for(2)
    assert [values(one) for one in sent] == [{"a": "1"}, {"First name": "1"}]


async def test_unlisted_forms_send_nothing(forms: FormPage) -> None:
    others = form(FIELDS, "other") + f'<form onsubmit="return false" name="f">{FIELDS}</form>'
    await forms.open(form(FIELDS) + others)
    await forms.page.evaluate(
        "document.forms[1].requestSubmit(); document.forms[2].requestSubmit()"
    )
    assert await forms.submit() != {}
    assert [one["form_id"] for one in forms.sent()] == ["f"]


@pytest.mark.parametrize("given", ["{f: true}", "{f: {type: 'blacklist'}}", "{f: 'x'}"])
async def test_blacklisted_forms_send_nothing_and_all_others_do(
    forms: FormPage, given: str
) -> None:
    others = form(FIELDS, "other") + f'<form onsubmit="return false" name="named">{FIELDS}</form>'
    await forms.open(form(FIELDS) + others, forms.create(given, "{trackingType: 'blacklist'}"))
    await forms.page.evaluate("for (const one of document.forms) one.requestSubmit()")
    sent = await forms.wait_for(2)
    assert [one["form_id"] for one in sent] == ["other", "named"]


async def test_labels_are_names_and_filters_use_them(forms: FormPage) -> None:
    content = """<label for="x">First
        name *</label><input id="x" name="a" value="1">
        <label>City: <input name="b" value="2"></label>
        <span id="s">Street</span><input aria-labelledby="s" name="c" value="3">
        <input name="d" value="4">"""
    given = "{f: {type: 'blacklist', fields: ['City:', 'a']}}"
    await forms.open(form(content), forms.create(given, "{useLabels: true}"))
    assert await forms.submit() == {"First name *": "1", "Street": "3", "d": "4"}


async def test_old_commands_track_all_forms_but_those_ignored(forms: FormPage) -> None:
    base = f"//127.0.0.1:{forms.site.port}/audiences"
    commands = f"""
        ppms.am.form("set", "WebsiteID", "{APP_ID}");
        ppms.am.form("set", "TrackerUrl", "{base}/tracker/");
        ppms.am.form("set", "StaticUrl", "{base}/static/widget/");
        ppms.am.form("ignore", "login");
        ppms.am.form("ignore", "f", ["a"]); ppms.am.form("ignore", "f", ["b"]);
        ppms.am.form("ignore", "news", []);"""
    content = form(FIELDS) + form(FIELDS, "login") + form(FIELDS, "news") + form(FIELDS, "any")
    await forms.open(content, commands)
    await forms.page.evaluate("for (const one of document.forms) one.requestSubmit()")
    sent = await forms.wait_for(3)
    assert {one["form_id"]: "".join(values(one)) for one in sent} == {
        "f": "cd",
        "news": "abcd",
        "any": "abcd",
    }


async def test_fields_and_forms_added_later_are_tracked(forms: FormPage) -> None:
    await forms.open("<main></main>")
    await forms.page.evaluate(
        """content => {
            document.querySelector("main").innerHTML = content;
            const added = document.createElement("input");
            added.name = "later"; added.value = "1";
            document.getElementById("f").append(added);
        }""",
        form('<input name="a" value="0">'),
    )
    assert await forms.submit() == {"a": "0", "later": "1"}


async def test_forms_of_scripts_are_tracked_as_well(forms: FormPage) -> None:
    await forms.open(form(FIELDS, attributes=""))
    await forms.page.evaluate(
        """() => {
            const stop = event => { event.preventDefault(); event.stopPropagation() };
            f.addEventListener("submit", stop);
            f.dispatchEvent(new Event("submit", {cancelable: true}));
            f.dispatchEvent(new SubmitEvent("submit", {bubbles: true, cancelable: true}));
            document.body.dispatchEvent(new Event("submit", {bubbles: true}));
        }"""
    )
    await forms.wait_for(2)
    await forms.submit()
    assert len(forms.sent()) == 3


async def test_invalid_form_is_not_submitted_and_not_sent(forms: FormPage) -> None:
    await forms.open(form('<input name="a" required><button>Go</button>'))
    await forms.page.click("button")
    await forms.page.fill("[name=a]", "now")
    await forms.page.click("button")
    assert [values(one) for one in await forms.wait_for(1)] == [{"a": "now"}]


async def test_first_email_of_any_field_identifies(forms: FormPage) -> None:
    content = """<input type="hidden" name="h" value="hidden@example.com">
        <input name="contact" value="Vesper.Lynd@gmail.com">
        <input name="other" value="b@example.com">"""
    await forms.open(form(content), visitor="")
    assert await forms.submit() == {"contact": "Vesper.Lynd@gmail.com", "other": "b@example.com"}
    (submission,) = forms.sent()
    assert submission["email"] == "Vesper.Lynd@gmail.com"
    assert "analytics_visitor_id" not in submission


async def test_nobody_known_sends_nothing(forms: FormPage) -> None:
    await forms.open(form(FIELDS) + form('<input name="m" value="a@example.com">', "g"), visitor="")
    await forms.page.evaluate(
        f"ppms.am.form('create', '{APP_ID}', '127.0.0.1:{forms.site.port}', {{g: true}})"
    )
    await forms.page.evaluate("f.requestSubmit()")
    await forms.submit("g")
    assert [one["form_id"] for one in forms.sent()] == ["g"]


async def test_form_without_values_is_noted(forms: FormPage) -> None:
    await forms.open(form('<input name="a">'))
    assert await forms.submit() == {}
    assert forms.sent()[0]["form_id"] == "f"


@pytest.mark.parametrize("old", [False, True])
async def test_two_snippets_send_once(forms: FormPage, *, old: bool) -> None:
    element = snippet(forms.instance, "form", forms.create(), old=old)
    cookie = visitor_cookie(APP_ID, VISITOR)
    await forms.page.goto(forms.site.put(html(cookie, element, element, form(FIELDS))))
    await forms.page.wait_for_load_state("load")
    await until(forms.page, "ppms.am.form.isLoaded")
    await forms.submit()
    await forms.submit()
    assert len(forms.sent()) == 2


async def test_names_and_form_ids_longer_than_the_service_takes_lose_no_submission(
    app: App, instance: ServiceProcess, site: Site, page: Page
) -> None:
    names = {length: "n" * length for length in (255, 256)}
    fields = "".join(f'<input name="{name}" value="{length}">' for length, name in names.items())
    form_ids = ["i" * 300, "\U0001f600" * 128]
    config = f"{{{', '.join(json.dumps(one) + ': true' for one in form_ids)}}}"
    parts = (
        visitor_cookie(app.app_id, VISITOR),
        snippet(instance, "form", create(instance, "form", app.app_id, config)),
        *(form(fields, one) for one in form_ids),
    )
    await page.goto(site.put(html(*parts)))
    await until(page, "ppms.am.form.isLoaded")
    await page.evaluate("for (const form of document.forms) form.requestSubmit()")

    async def stored() -> Any:
        found = await app.profiles("analytics_visitor_id", VISITOR)
        return found[0] if found and len(found[0]["forms"]) == 2 else None

    document = await eventually(stored)
    assert min(document["forms"]) == "i" * 255
    assert document["attributes"] == {names[255]: "255"}
