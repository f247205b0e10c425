"""The page of an access export: every member of data.json under a name that people read."""

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

from consent.data_subject_requests.execution.exports.labels import labels_in
from consent.data_subject_requests.execution.exports.page import record
from consent.data_subject_requests.texts import LANGUAGES
from tests.conftest import App
from tests.data_subjects import Office
from tests.privacy.executing import execute, export_of
from tests.privacy.people import VISITOR, make_people, verified_request

#: Members whose own members are not named by us.
NAMED_BY_DATA = ("attributes", "forms", "goals", "content")


class _Shown(HTMLParser):
    """What a page shows, by element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Text until its end is the element's."""
        self.open.append(tag)
        self.texts.setdefault(f"{tag} {dict(attrs).get('scope') or ''}".strip(), [])

    def handle_endtag(self, tag: str) -> None:
        """The element ends; those that have no end were in it."""
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Text of the innermost element."""
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(data)


def _names_in(value: Any, parent: str = "") -> set[str]:
    """Names of members that are ours; consent types as `consents.<type>`."""
    if isinstance(value, list):
        return {name for element in value for name in _names_in(element)}
    if not isinstance(value, dict):
        return set()
    found: set[str] = set()
    for name, member in value.items():
        if parent not in NAMED_BY_DATA:
            found.add(f"consents.{name}" if parent == "consents" else name)
        found |= _names_in(member, name)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_member_has_a_readable_name_in_the_requester_s_language(
    app: App, office: Office, language: str
) -> None:
    await make_people(app, office)
    await app.write({"device_id": "marker-jane-phone", "attributes": []})
    named_alike = [{"name": "first_seen_at", "value": "x"}, {"name": "status_code", "value": "y"}]
    await app.write(
        {"device_id": "marker-jane-phone", "email": "jane@shop.example", "attributes": named_alike}
    )
    request_id = await verified_request(office, "view_data", language=language)
    await execute(office, request_id)
    data, page = await export_of(office, request_id)
    labels = labels_in(language)
    names = {name for section in data if section != "about" for name in _names_in(data[section])}
    assert {"identifiers", "written_at", "consents.analytics", "history", "documents"} <= names
    assert names <= labels.keys()
    shown = _Shown(page).texts
    assert f'<html lang="{language}">' in page
    headings = {*shown["dt"], *shown["th"]}
    assert labels["first_seen_at"] in headings
    # Names that the app has given are data: they stay as they are.
    own = {"first_seen_at", "status_code", "color", "age", "marker-form", "2"}
    assert not [name for name in headings - own if re.search(r"[a-z]_[a-z]", name)]
    assert headings - own <= set(labels.values())
    assert labels["user_id"] in shown["td"]
    assert "user_id" not in shown["td"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_names_the_same_members(language: str) -> None:
    labels = labels_in(language)
    assert labels.keys() == labels_in("en").keys()
    assert all(label.strip() == label != "" for label in labels.values())
    assert language == "en" or labels["identifiers"] != labels_in("en")["identifiers"]


def test_records_that_are_alike_are_a_table_with_headers() -> None:
    labels = {"rows": "Rows", "a": "First", "b": "Second", "yes": "yes", "no": "no"}
    rows = [{"a": 1, "b": None, "c": []}, {"a": True, "b": ["<x>", "y"], "c": None}]
    shown = record({"rows": rows}, "Entry 1", labels)
    assert shown == (
        "<article>\n<h3>Entry 1</h3>\n<dl><dt>Rows</dt><dd>"
        '<table aria-label="Rows"><thead><tr><th scope="col">First</th><th scope="col">Second</th>'
        "</tr></thead><tbody><tr><td>1</td><td></td></tr>"
        "<tr><td>yes</td><td><ul><li>&lt;x&gt;</li><li>y</li></ul></td></tr></tbody></table>"
        "</dd>\n</dl></article>\n"
    )


async def test_headings_lead_through_the_page(app: App, office: Office) -> None:
    await make_people(app, office)
    request_id = await verified_request(office, "view_data")
    await execute(office, request_id)
    _, page = await export_of(office, request_id)
    levels = [(int(level), unescape(text)) for level, text in _HEADING.findall(page)]
    assert [text for level, text in levels if level == 1] == ["Your data"]
    assert levels[1] == (2, "Profiles")
    assert levels[2] == (3, "Entry 1")
    decisions = levels.index((2, "Your decisions"))
    assert levels[decisions + 1 : decisions + 3] == [(3, "Entry 1"), (3, "Entry 2")]
    assert VISITOR in page


_HEADING = re.compile(r"<h(\d)[^>]*>([^<]+)</h\d>")
