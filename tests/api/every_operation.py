"""One valid request for every operation of the authorized API, on an app that has everything."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.api.audience_api import document, leaf
from tests.conftest import App, Authorized
from tests.data_subjects import KIND as REQUEST_KIND
from tests.privacy.executing import run

VISITOR, OTHER_VISITOR = "fedcba9876543210", "fedcba9876543211"
CONSENT_VISITOR = "fade0fab-0000-4000-8000-00000000c0de"
#: What may appear in no log: everything personal in the world below and in the requests.
MARKERS = (
    "marker-user",
    "marker-other",
    "marker@shop.example",
    "marker-else",
    "marker-device",
    "marker-value",
    "marker-note",
    VISITOR,
    OTHER_VISITOR,
    CONSENT_VISITOR,
)
_AM, _CM, _PRIVACY = "/api/audiences/v1", "/api/consents/v1", "/api/privacy/v1"
_RULE = leaf("eq", "marker-value", name="color")


@dataclass(frozen=True)
class Ids:
    """What requests name: the ids of the world, or others that nobody has."""

    app: str
    audience: str
    profile: str
    other: str
    merge: str
    import_: str
    text: str
    visitor: str
    asked: str
    noted: str
    done: str
    opendsr: str

    @classmethod
    def unknown(cls) -> "Ids":
        """Ids of nothing."""
        return cls(*(str(uuid4()) for _ in range(12)))


@dataclass(frozen=True)
class Operation:
    """A request: `path` with the names of ids; `query` beside website_id; body, when it has one."""

    method: str
    path: str
    body: Callable[[Ids], Any] | None = None
    query: Callable[[Ids], dict[str, str]] = lambda _: {}
    expected: int = 200

    def url(self, ids: Ids) -> tuple[str, dict[str, str]]:
        """Path and query."""
        query = {} if "/requests" in self.path else {"website_id": ids.app}
        return self.path.format(**vars(ids)), query | self.query(ids)

    async def send(self, client: Authorized, ids: Ids, **headers: str) -> tuple[int, Any]:
        """Status and body of the answer."""
        path, query = self.url(ids)
        options: dict[str, Any] = {}
        if self.body is not None:
            body = self.body(ids)
            is_csv = isinstance(body, str)
            options["data"] = body if is_csv else json.dumps(body)
            kind = "text/csv" if is_csv else headers.get("Content-Type", "application/json")
            headers = {**headers, "Content-Type": kind}
        return await client.request(self.method, path, params=query, headers=headers, **options)


def _resource(kind: str, **attributes: Any) -> Callable[[Ids], Any]:
    return lambda _: {"data": {"type": kind, "attributes": attributes}}


def _request(**attributes: Any) -> Callable[[Ids], Any]:
    return _resource(REQUEST_KIND, **attributes)


def _opendsr(ids: Ids, email: str = "marker@shop.example") -> Any:
    identity = {"identity_type": "email", "identity_value": email}
    return {
        "regulation": "gdpr",
        "subject_request_id": str(uuid4()),
        "subject_request_type": "access",
        "submitted_time": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "subject_identities": [identity | {"identity_format": "raw"}],
        "api_version": "2.0",
        "property_id": ids.app,
    }


_FIND = {"identifier": "email", "value": "marker@shop.example"}
_COLOR = {"name": "color", "field_type": "attributes"}
_DAYS = {"date_from": "2026-01-01", "date_to": "2026-01-02"}

#: In an order in which each finds what it needs: what removes something comes last.
OPERATIONS: dict[str, Operation] = {
    "list_apps": Operation("GET", "/api/apps/v2"),
    "create_app": Operation(
        "POST", "/api/apps/v2", _resource("ppms/app", name="New"), expected=201
    ),
    "get_app": Operation("GET", "/api/apps/v2/{app}"),
    "update_app": Operation(
        "PATCH",
        "/api/apps/v2/{app}",
        lambda ids: {"data": {"type": "ppms/app", "id": ids.app, "attributes": {"name": "Shop"}}},
        expected=204,
    ),
    "list_audit_entries": Operation("GET", "/api/audit/v1/entries"),
    "list_app_audiences": Operation("GET", f"{_AM}/audiences/"),
    "create_audience": Operation(
        "POST", f"{_AM}/audiences/", lambda _: document(_RULE, "Second"), expected=201
    ),
    "preview_audience": Operation(
        "POST", f"{_AM}/audiences/preview/", lambda _: {"definition": _RULE}
    ),
    "get_audience": Operation("GET", f"{_AM}/audiences/{{audience}}/"),
    "replace_audience": Operation(
        "PUT", f"{_AM}/audiences/{{audience}}/", lambda _: document(_RULE)
    ),
    "explain_audience": Operation(
        "POST", f"{_AM}/audiences/{{audience}}/explain/", lambda _: _FIND
    ),
    "list_attributes": Operation("GET", f"{_AM}/attributes/"),
    "create_attribute": Operation(
        "POST",
        f"{_AM}/attributes/",
        _resource("Attribute", name="size", field_type="attributes", value_type="numeric"),
        expected=201,
    ),
    "update_attribute": Operation(
        "PATCH",
        f"{_AM}/attributes/attributes:color/",
        lambda _: {
            "data": {
                "type": "Attribute",
                "id": "attributes:color",
                "attributes": {"is_public": True},
            }
        },
        expected=204,
    ),
    "add_facts": Operation(
        "POST",
        f"{_AM}/analytics/",
        lambda ids: {
            "website_id": ids.app,
            "analytics_visitor_id": VISITOR,
            "occurred_at": "2026-01-01T00:00:00Z",
            "analytics": {"city": "marker-value"},
        },
    ),
    "export_profiles": Operation(
        "POST",
        f"{_AM}/profiles/",
        lambda ids: {"website_id": ids.app, "audience_id": ids.audience, "columns": [_COLOR]},
    ),
    "find_profiles": Operation("GET", f"{_AM}/profiles/get", query=lambda _: _FIND),
    "import_profiles": Operation(
        "POST",
        f"{_AM}/profiles/import/",
        lambda _: "user_id,color\r\nmarker-user,marker-value\r\nmarker-user,\r\n",
        expected=202,
    ),
    "list_imports": Operation("GET", f"{_AM}/profiles/import/"),
    "get_import": Operation("GET", f"{_AM}/profiles/import/{{import_}}/"),
    "get_profile": Operation("GET", f"{_AM}/profiles/{{profile}}/"),
    "list_merges": Operation("GET", f"{_AM}/profiles/{{profile}}/merges/"),
    "get_consent_settings": Operation("GET", f"{_CM}/settings/"),
    "update_consent_settings": Operation(
        "PATCH",
        f"{_CM}/settings/",
        lambda ids: {
            "data": {
                "type": "ConsentSettings",
                "id": ids.app,
                "attributes": {"consent_types": ["analytics"]},
            }
        },
        expected=204,
    ),
    "list_consent_texts": Operation("GET", f"{_CM}/forms/"),
    "publish_consent_text": Operation(
        "POST",
        f"{_CM}/forms/publish/",
        _resource(
            "ConsentText", language="en", text_key="analytics", content={"label": "Counting"}
        ),
        expected=201,
    ),
    "list_consent_text_versions": Operation("GET", f"{_CM}/versions/"),
    "get_consent_text_version": Operation("GET", f"{_CM}/versions/{{text}}/"),
    "list_consent_history": Operation("GET", f"{_CM}/visitors/{{visitor}}/history/"),
    "get_consent_state": Operation("GET", f"{_CM}/visitors/{{visitor}}/state/"),
    "get_consent_receipt": Operation("GET", f"{_CM}/visitors/{{visitor}}/receipt/"),
    "export_consent_history": Operation("GET", f"{_CM}/history/export/"),
    "get_consent_statistics": Operation("GET", f"{_CM}/statistics/", query=lambda _: _DAYS),
    "get_request_settings": Operation("GET", f"{_PRIVACY}/settings"),
    "update_request_settings": Operation(
        "PATCH",
        f"{_PRIVACY}/settings",
        lambda ids: {
            "data": {
                "type": "privacy/settings",
                "id": ids.app,
                "attributes": {"team_email": "marker@shop.example"},
            }
        },
        expected=204,
    ),
    "list_requests": Operation(
        "GET", f"{_PRIVACY}/requests", query=lambda ids: {"website_id": ids.app}
    ),
    "create_request": Operation(
        "POST",
        f"{_PRIVACY}/requests",
        lambda ids: _request(
            website_id=ids.app,
            request_type="view_data",
            email="marker@shop.example",
            content="marker-note",
        )(ids),
        expected=201,
    ),
    "get_request": Operation("GET", f"{_PRIVACY}/requests/{{asked}}"),
    "update_request": Operation(
        "PATCH",
        f"{_PRIVACY}/requests/{{asked}}",
        lambda ids: {
            "data": {
                "type": REQUEST_KIND,
                "id": ids.asked,
                "attributes": {"note": "marker-note", "assignee": "marker@shop.example"},
            }
        },
        expected=204,
    ),
    "verify_request": Operation(
        "POST", f"{_PRIVACY}/requests/{{noted}}/verify", _request(reason="marker-note")
    ),
    "extend_request": Operation(
        "POST", f"{_PRIVACY}/requests/{{asked}}/extend", _request(reason="marker-note")
    ),
    "preview_request": Operation("GET", f"{_PRIVACY}/requests/{{asked}}/preview"),
    "preview_execution": Operation("POST", f"{_PRIVACY}/requests/{{asked}}/preview", _request()),
    "execute_request": Operation(
        "POST", f"{_PRIVACY}/requests/{{asked}}/execute", _request(), expected=202
    ),
    "get_execution": Operation("GET", f"{_PRIVACY}/requests/{{done}}/execution"),
    "get_receipt": Operation("GET", f"{_PRIVACY}/requests/{{done}}/receipt"),
    "download_export": Operation("GET", f"{_PRIVACY}/requests/{{done}}/export"),
    "submit_opendsr_request": Operation("POST", "/opendsr/v1/requests", _opendsr, expected=201),
    "get_opendsr_request": Operation("GET", "/opendsr/v1/requests/{opendsr}"),
    "cancel_opendsr_request": Operation("DELETE", "/opendsr/v1/requests/{opendsr}", expected=202),
    "undo_merge": Operation("POST", f"{_AM}/merges/{{merge}}/undo/"),
    "split_profile": Operation(
        "POST",
        f"{_AM}/profiles/{{profile}}/split/",
        lambda _: {"identifiers": [{"identifier": "device_id", "value": "marker-device"}]},
        expected=201,
    ),
    "merge_profiles": Operation(
        "POST", f"{_AM}/profiles/{{profile}}/merge/", lambda ids: {"profile_id": ids.other}
    ),
    "delete_profile": Operation("DELETE", f"{_AM}/profiles/{{profile}}/", expected=204),
    "delete_audience": Operation("DELETE", f"{_AM}/audiences/{{audience}}/", expected=204),
    "delete_app": Operation(
        "DELETE", "/api/apps/v2/{app}", query=lambda _: {"confirm": "Shop"}, expected=204
    ),
}


async def _made(client: Authorized, operation: str, ids: Ids) -> Any:
    status, body = await OPERATIONS[operation].send(client, ids)
    assert status == OPERATIONS[operation].expected, (operation, body)
    return body


async def make_world(app: App, client: Authorized) -> Ids:
    """Everything there is in one app: persons, decisions, requests; the ids of it."""
    color = [{"name": "color", "value": "marker-value"}]
    user = {"user_id": "marker-user", "device_id": "marker-device"}
    mail = {"email": "marker@shop.example", "analytics_visitor_id": VISITOR}
    await app.write({**user, "attributes": color}, {**mail, "attributes": color})
    await app.write({**user, **mail}, {"device_id": "marker-other", "attributes": color})
    found = {"app": app.app_id, "visitor": CONSENT_VISITOR, "opendsr": str(uuid4())}
    found["profile"] = (await app.profile("user_id", "marker-user"))["id"]
    found["other"] = (await app.profile("device_id", "marker-other"))["id"]
    ids = Ids(**{**vars(Ids.unknown()), **found})
    (merge,) = (await _made(client, "list_merges", ids))["data"]
    decision = {
        "websiteId": app.app_id,
        "visitorId": CONSENT_VISITOR,
        "hostname": "shop.example",
        "event": "consent_change",
        "consents": {"analytics": {"status": 1}},
        "cookies": f"_pk_id.{app.app_id}.1fff={VISITOR}.1.2.3",
    }
    assert (await app.service.post("/consent/collect", json=decision)).status == 204
    found |= {
        "merge": merge["id"],
        "audience": (await _made(client, "create_audience", ids))["data"]["id"],
        "import_": (await _made(client, "import_profiles", ids))["data"]["id"],
        "text": (await _made(client, "publish_consent_text", ids))["data"]["id"],
    }
    for name in ("done", "asked", "noted"):
        made = (await _made(client, "create_request", ids))["data"]["id"]
        ids = Ids(**{**vars(ids), **found, "noted": made, "asked": made})
        found[name] = made
        if name != "noted":
            await _made(client, "verify_request", ids)
        if name == "done":
            await _made(client, "execute_request", ids)
            await run(app)
    body = {**_opendsr(ids, "marker-else@shop.example"), "subject_request_id": found["opendsr"]}
    status, answer = await client.post("/opendsr/v1/requests", json=body)
    assert status == 201, answer
    return Ids(**{**vars(ids), **found})


def without_ids(answer: tuple[int, Any], ids: Ids) -> tuple[int, str]:
    """Status and body with names in place of ids, to compare what two requests say."""
    text = answer[1] if isinstance(answer[1], str) else json.dumps(answer[1], sort_keys=True)
    for name, value in vars(ids).items():
        text = text.replace(value, f"<{name}>")
    return answer[0], text
