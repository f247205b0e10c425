"""Settings and texts over the authorized API, and what browsers then load."""

import gzip
import hashlib
import json
import re
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.forms import operations
from consent.forms.texts import TEXT_SLOTS, ready_made_texts
from tests.conftest import App, Authorized, MakeApp, MakeClient
from tests.consents import ALL_TYPES, history, new_visitor

API = "/api/consents/v1"


async def change_settings(
    authorized: Authorized, app: App, *, expected: int = 204, **attributes: Any
) -> Any:
    """PATCH the consent settings of the app; the answer's body."""
    document = {"data": {"type": "ConsentSettings", "id": app.app_id, "attributes": attributes}}
    status, body = await authorized.patch(
        f"{API}/settings/", params={"website_id": app.app_id}, json=document
    )
    assert status == expected, body
    return body


async def publish(authorized: Authorized, app: App, **attributes: Any) -> tuple[int, Any]:
    """POST a new version of a text."""
    return await authorized.post(
        f"{API}/forms/publish/",
        params={"website_id": app.app_id},
        json={"data": {"type": "ConsentText", "attributes": attributes}},
    )


async def _get(authorized: Authorized, app: App, path: str, **query: Any) -> Any:
    status, body = await authorized.get(
        f"{API}/{path}/", params={"website_id": app.app_id, **query}
    )
    assert status == 200, body
    return body["data"]


async def _configuration(app: App, query: str = "") -> dict[str, Any]:
    answer = await app.service.get(f"/containers/{app.app_id}.js{query}")
    text = await answer.text()
    assert answer.status == 200, text
    found = re.fullmatch(r"\(function\(ppmsConfig\)\{.*\n\}\)\((.*)\);\n", text, re.DOTALL)
    assert found is not None
    configuration: dict[str, Any] = json.loads(found[1])
    return configuration


async def test_defaults_ask_nobody_anything(authorized: Authorized, app: App) -> None:
    found = await _get(authorized, app, "settings")
    assert (found["type"], found["id"]) == ("ConsentSettings", app.app_id)
    assert found["attributes"] == {
        "consent_types": [],
        "position": "popup",
        "has_reminder": True,
        "is_reminder_kept": True,
        "stale_period_seconds": -1,
        "decision_period_seconds": 31536000,
        "is_gpc_honoured": True,
        "has_consent_mode": False,
        "languages": ["en"],
        "default_language": "en",
        "privacy_policy_url": None,
        "origins": [],
        "gate_consent_type": None,
        "is_erased_on_withdrawal": False,
        "controller": {},
    }
    assert await _configuration(app) == {
        "appId": app.app_id,
        "dataLayer": "dataLayer",
        "enabled": True,
        "types": [],
        "languages": ["en"],
        "defaultLanguage": "en",
        "cookieDomains": [],
        "cookieSeconds": 31536000,
        "staleSeconds": -1,
        "validSeconds": 31536000,
        "askAgain": {},
        "gpc": True,
    }


SETTINGS: dict[str, Any] = {
    "consent_types": ["remarketing", "analytics"],
    "position": "bar",
    "has_reminder": False,
    "stale_period_seconds": 3600,
    "decision_period_seconds": 0,
    "is_gpc_honoured": False,
    "has_consent_mode": True,
    "languages": ["de", "en"],
    "default_language": "de",
    "privacy_policy_url": "https://shop.example/privacy",
    "origins": ["shop.example", "*.shop.example"],
    "gate_consent_type": "analytics",
    "is_erased_on_withdrawal": True,
    "controller": {"name": "Shop Ltd", "email": "privacy@shop.example"},
}


async def test_settings_are_changed_and_reach_the_container(
    authorized: Authorized, app: App
) -> None:
    await change_settings(authorized, app, **SETTINGS)
    await change_settings(authorized, app, has_reminder=True)
    found = (await _get(authorized, app, "settings"))["attributes"]
    assert found == {**found, **SETTINGS, "has_reminder": True}
    changes = {
        "gdpr": False,
        "privacyCookieDomainsEnabled": True,
        "privacyCookieDomains": ["*.shop.example"],
        "privacyCookieExpirationPeriod": 86400,
    }
    document = {"data": {"type": "ppms/app", "id": app.app_id, "attributes": changes}}
    assert await authorized.patch(f"/api/apps/v2/{app.app_id}", json=document) == (204, "")
    configuration = await _configuration(app, "?data_layer_name=layer")
    mapping = configuration.pop("consentMode")
    assert configuration == {
        "appId": app.app_id,
        "dataLayer": "layer",
        "enabled": False,
        "types": ["remarketing", "analytics"],
        "languages": ["de", "en"],
        "defaultLanguage": "de",
        "cookieDomains": ["*.shop.example"],
        "cookieSeconds": 86400,
        "staleSeconds": 3600,
        "validSeconds": 0,
        "askAgain": {},
        "gpc": False,
    }
    assert mapping["analytics_storage"] == "analytics"


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"consent_types": ["analytics", "nonsense"]}, "consent_types/1"),
        ({"consent_types": ["analytics", "analytics"]}, "consent_types"),
        ({"position": "left"}, "position"),
        ({"has_reminder": "yes"}, "has_reminder"),
        ({"stale_period_seconds": -2}, "stale_period_seconds"),
        ({"decision_period_seconds": 1.5}, "decision_period_seconds"),
        ({"languages": []}, "languages"),
        ({"languages": ["xx"], "default_language": "xx"}, "languages/0"),
        ({"languages": ["it"], "default_language": "it"}, "languages"),
        ({"languages": ["de"]}, "default_language"),
        ({"privacy_policy_url": "javascript:alert(1)"}, "privacy_policy_url"),
        ({"origins": ["https://shop.example"]}, "origins/0"),
        ({"gate_consent_type": "nonsense"}, "gate_consent_type"),
        ({"controller": {"shoe_size": 43}}, "controller/shoe_size"),
        ({"unknown": 1}, "unknown"),
    ],
)
async def test_wrong_settings_name_the_field_and_change_nothing(
    authorized: Authorized, app: App, attributes: dict[str, Any], pointer: str
) -> None:
    body = await change_settings(authorized, app, expected=400, **attributes)
    assert body["errors"][0]["source"] == {"pointer": f"/data/attributes/{pointer}"}
    assert await app.count("consent_settings") == 0


async def test_publishing_makes_an_immutable_version_that_decisions_prove(
    authorized: Authorized, app: App
) -> None:
    await change_settings(authorized, app, consent_types=["analytics"])
    content = {"label": "Statistics", "description": "We count <visits>."}
    status, body = await publish(
        authorized, app, language="en", text_key="analytics", content=content
    )
    assert status == 201, body
    first = body["data"]
    canonical = json.dumps(
        {"content": content, "language": "en", "text_key": "analytics"},
        separators=(",", ":"),
        sort_keys=True,
    )
    assert first["attributes"]["sha256"] == hashlib.sha256(canonical.encode()).hexdigest()
    shown = await _templates(app)
    form = shown["simple_consent_form"]["en"]
    assert "We count &lt;visits&gt;." in form["html"]
    assert form["templateHistory"]["analytics"] == first["id"]
    visitor = new_visitor(app)
    consents = {
        "analytics": {"status": 1, "historyId": first["id"]},
        "intro": {"historyId": form["templateHistory"]["intro"]},
    }
    assert (await visitor.send({"consents": consents}))[0] == 204
    assert json.loads((await history(app))[0]["consents"]) == consents


async def test_every_version_can_be_read_for_ever(authorized: Authorized, app: App) -> None:
    content = {"label": "Statistics", "description": "We count."}
    await change_settings(authorized, app, consent_types=["analytics"])
    _, body = await publish(authorized, app, language="en", text_key="analytics", content=content)
    first = body["data"]
    form = (await _templates(app))["simple_consent_form"]["en"]
    _, second = await publish(
        authorized, app, language="en", text_key="analytics", content={"label": "Counting"}
    )
    assert second["data"]["attributes"]["content"] == {**content, "label": "Counting"}
    assert second["data"]["id"] != first["id"]
    assert await _get(authorized, app, f"versions/{first['id']}") == {
        **first,
        "attributes": {**first["attributes"], "asks_again_at": None},
    }
    versions = await _get(authorized, app, "versions", text_key="analytics")
    assert [one["id"] for one in versions] == [second["data"]["id"], first["id"]]
    intro = await _get(authorized, app, f"versions/{form['templateHistory']['intro']}")
    assert intro["attributes"]["origin"] == "ready_made"
    assert intro["attributes"]["content"] == dict(ready_made_texts("en")["intro"].content)


async def test_asking_again_reaches_the_container(authorized: Authorized, app: App) -> None:
    attributes = {"language": "de", "text_key": "remarketing", "content": {"label": "Werbung"}}
    await publish(authorized, app, **attributes)
    assert (await _configuration(app))["askAgain"] == {}
    _, body = await publish(authorized, app, **attributes, ask_again=True)
    moment = body["data"]["attributes"]["asks_again_at"]
    assert (await _configuration(app, "?data_layer_name=x"))["askAgain"] == {
        "remarketing": moment[:23] + "Z"
    }
    # A further version that does not ask again leaves it as it is.
    await publish(authorized, app, **attributes)
    assert (await _configuration(app, "?data_layer_name=y"))["askAgain"].keys() == {"remarketing"}


async def test_a_language_of_its_own_needs_all_texts(authorized: Authorized, app: App) -> None:
    for text_key in TEXT_SLOTS:
        body = await change_settings(
            authorized, app, expected=400, languages=["it"], default_language="it"
        )
        assert text_key in body["errors"][0]["detail"]
        content = dict(ready_made_texts("en")[text_key].content)
        status, _ = await publish(
            authorized, app, language="it", text_key=text_key, content=content
        )
        assert status == 201
    await change_settings(authorized, app, languages=["it"], default_language="it")
    assert (await _templates(app))["reminder_widget"].keys() == {"it"}


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"language": "xx"}, "language"),
        ({"text_key": "else"}, "text_key"),
        ({"content": {}}, "content"),
        ({"content": {"label": ""}}, "content/label/value"),
        ({"content": {"label": 5}}, "content/label/value"),
        ({"content": {"label": "x" * 10_001}}, "content/label/value"),
        ({"content": {"title": "x"}}, "content"),
        ({"language": "it"}, "content/description"),
        ({"text_key": "intro", "content": {"title": "x"}, "ask_again": True}, "ask_again"),
    ],
)
async def test_wrong_text_names_the_field_and_publishes_nothing(
    authorized: Authorized, app: App, attributes: dict[str, Any], pointer: str
) -> None:
    right = {"language": "en", "text_key": "analytics", "content": {"label": "x"}}
    status, body = await publish(authorized, app, **{**right, **attributes})
    assert status == 400, body
    assert body["errors"][0]["source"] == {"pointer": f"/data/attributes/{pointer}"}
    assert await app.count("consent_texts") == 0


async def test_texts_are_listed_with_ready_made_ones(authorized: Authorized, app: App) -> None:
    await change_settings(authorized, app, languages=["en", "pl"])
    await publish(
        authorized, app, language="pl", text_key="analytics", content={"label": "Statystyki"}
    )
    listed = await _get(authorized, app, "forms", language="pl")
    assert [one["attributes"]["text_key"] for one in listed] == list(TEXT_SLOTS)
    origins = {one["attributes"]["text_key"]: one["attributes"]["origin"] for one in listed}
    assert origins.pop("analytics") == "published"
    assert set(origins.values()) == {"ready_made"}
    assert len(await _get(authorized, app, "forms")) == 2 * len(TEXT_SLOTS)


async def test_another_organization_finds_nothing(make_client: MakeClient, app: App) -> None:
    foreign = await make_client("admin", organization="other")
    for path in ("settings", "forms", "versions", f"versions/{uuid4()}"):
        status, _ = await foreign.get(f"{API}/{path}", params={"website_id": app.app_id})
        assert status == 404, path
    reader = await make_client("read")
    status, body = await publish(
        reader, app, language="en", text_key="analytics", content={"label": "x"}
    )
    assert (status, body["errors"][0]["code"]) == (403, "missing_scope")


async def _templates(app: App, name: str = "privacy-templates", **query: str) -> dict[str, Any]:
    answer = await app.service.get(f"/containers/{app.app_id}/{name}.json", params=query)
    assert answer.status == 200, await answer.text()
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    found: dict[str, Any] = await answer.json()
    return found


async def test_templates_of_one_language_or_of_all(authorized: Authorized, app: App) -> None:
    languages = ["en", "de", "fr", "pl", "es"]
    await change_settings(
        authorized, app, consent_types=list(ALL_TYPES), languages=languages, default_language="fr"
    )
    keys = {
        "simple_consent_form",
        "extended_consent_form",
        "extended_consent_form_success_note",
        "reminder_widget",
        "consent_form_link",
        "data_subject_request",
        "data_subject_request_confirmation_note",
        "data_subject_request_failure_note",
    }
    everything = await _templates(app)
    assert everything.keys() == keys
    for by_language in everything.values():
        assert list(by_language) == languages
        for template in by_language.values():
            assert template.keys() == {"html", "styles", "configuration", "templateHistory"}
            is_on = template["configuration"]["enabled"]
            assert bool(template["html"]) == bool(template["styles"]) == is_on
    polish = await _templates(app, language="pl")
    common = {key: {"pl": found["pl"]} for key, found in everything.items() if "request" not in key}
    assert polish == common, "the data request form is fetched where a page has it"
    assert (await _templates(app, language="it"))["reminder_widget"].keys() == {"fr"}
    widgets = await _templates(app, "privacy-widgets", language="de")
    assert widgets.keys() == {key for key in keys if "request" in key or key.endswith("link")}


async def test_languages_that_nobody_knows_are_one_answer_that_is_made_once(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    show_form = operations.show_form

    async def show(conn: AsyncConnection, app_id: str, now: datetime) -> operations.Form:
        made.append(app_id)
        return await show_form(conn, app_id, now)

    monkeypatch.setattr(operations, "show_form", show)
    answers = [await _templates(app, language=word) for word in ("xx", "x" * 500, "?")]
    assert answers == [answers[0]] * 3
    assert answers[0]["reminder_widget"].keys() == {"en"}
    assert made == [app.app_id]


async def test_an_app_with_its_own_form_gets_the_script_without_one(
    authorized: Authorized, app: App
) -> None:
    built_in = await (await app.service.get(f"/containers/{app.app_id}.sync.js")).text()
    change = {"customConsentForm": True}
    document = {"data": {"type": "ppms/app", "id": app.app_id, "attributes": change}}
    assert (await authorized.patch(f"/api/apps/v2/{app.app_id}", json=document))[0] == 204
    own = await (await app.service.get(f"/containers/{app.app_id}.js?data_layer_name=a")).text()
    assert len(own) < len(built_in) * 0.7
    widgets = await app.service.get("/audiences/static/widget/consent-widgets.min.js")
    assert widgets.status == 200


async def test_container_is_compressed_revalidated_and_open_to_all(app: App) -> None:
    path = f"/containers/{app.app_id}.js"
    plain = await app.service.get(path, headers={"Accept-Encoding": "identity"})
    zipped = await app.service.get(path, headers={"Accept-Encoding": "br, gzip"})
    assert plain.headers["Content-Type"] == "application/javascript; charset=utf-8"
    assert "Content-Encoding" not in plain.headers
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert await plain.text() == await zipped.text()
    assert len(gzip.compress(await plain.read(), 9)) < 20_000
    assert plain.headers["ETag"] != zipped.headers["ETag"]
    for answer in (plain, zipped):
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "max-age=60" in answer.headers["Cache-Control"]
        headers = {
            "If-None-Match": answer.headers["ETag"],
            "Accept-Encoding": answer.headers.get("Content-Encoding", "identity"),
        }
        again = await app.service.get(path, headers=headers)
        assert (again.status, await again.read()) == (304, b"")


async def test_data_layer_names_that_are_none_are_ignored(app: App) -> None:
    for name in ("1x", "a-b", "x" * 65, "</script>"):
        answer = await app.service.get(
            f"/containers/{app.app_id}.js", params={"data_layer_name": name}
        )
        assert '"dataLayer":"dataLayer"' in await answer.text()


async def test_noscript_and_unknown_apps(app: App) -> None:
    answer = await app.service.get(f"/containers/{app.app_id}/noscript.html")
    assert (answer.status, answer.content_type) == (200, "text/html")
    for path in (f"{uuid4()}.js", f"{uuid4()}/privacy-templates.json"):
        answer = await app.service.get(f"/containers/{path}")
        assert (answer.status, answer.content_type) == (404, "text/plain")
    answer = await app.service.get("/containers/nonsense.js")
    assert answer.status == 400


async def test_gpc_resource_says_who_honours_the_signal(
    authorized: Authorized, make_app: MakeApp
) -> None:
    app, other = await make_app(), await make_app()
    path = "/.well-known/gpc.json"

    async def gpc(**query: str) -> Any:
        answer = await app.service.get(path, params=query)
        assert answer.headers["Content-Type"] == "application/json"
        found = await answer.json()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["lastUpdate"])
        assert found.keys() == {"gpc", "lastUpdate"}
        return found["gpc"]

    assert await gpc() is True
    assert await gpc(website_id=app.app_id) is True
    await change_settings(authorized, other, is_gpc_honoured=False)
    assert await gpc(website_id=app.app_id) is True
    assert await gpc(website_id=other.app_id) is False
    assert await gpc() is False
    assert (await app.service.get(path, params={"website_id": "x"})).status == 400
