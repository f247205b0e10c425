"""/api/openapi.json and /api/docs: complete, valid, and what the service does."""

import re
from typing import Any

import jsonschema_rs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from audience.audiences.definition import parse_definition
from audience.audiences.operators import OPERATORS
from audience.audiences.patterns import compile_pattern
from consent.api_description import all_routes
from tests.conftest import load_cases
from tests.unit.test_definition import REFUSED

Client = TestClient[Any, Any]
#: Not for clients: health, metrics, what SDKs send by the way.
_NO_API = ("/healthz", "/readyz", "/metrics", "/ppms.php", "/piwik.php")
#: Refused for what a schema can't say.
_NOT_IN_THE_DESCRIPTION = {
    *("too deep", "too many"),
    *("NUL in a name", "half a pair in a name", "NUL", "half a pair"),
    *("profile name", "visit", "form", "form id", "goal", "audience"),
    *("selector of an audience", "none exists", "count of text", "boolean"),
    *("pattern", "look-ahead", "huge pattern", "range order", "no time", "no such day"),
}
_API = ("/api/", "/auth/", "/audiences/", "/consent/", "/opendsr/")


async def _document(service: Client) -> dict[str, Any]:
    answer = await service.get("/api/openapi.json")
    assert answer.status == 200
    document: dict[str, Any] = await answer.json()
    return document


def _served_paths(app: web.Application) -> set[tuple[str, str]]:
    """(method, path) of every registered API route, as the description writes them."""
    found = set()
    for route in app.router.routes():
        info = route.resource.get_info() if route.resource is not None else {}
        path = info.get("path") or info.get("formatter") or ""
        path = re.sub(r"\{slash\}$", "", path)
        if path.startswith(_API) and route.method not in ("HEAD", "OPTIONS"):
            found.add((route.method, path))
    return found


async def test_no_route_is_missing(service: Client) -> None:
    document = await _document(service)
    described = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    served = {
        (method, path)
        for method, path in _served_paths(service.app)
        if "/static/" not in path and path not in _NO_API
    }
    assert served - described == set()
    assert {path for _, path in served if path.startswith("/opendsr/")}
    checked = {pair for pair in described if pair[1].startswith(("/api/", "/opendsr/"))}
    assert checked - served == set()


async def test_every_operation_is_explained(service: Client) -> None:
    document = await _document(service)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], path
            # A write that takes a JSON document says which one.
            if method in ("post", "put", "patch") and path.startswith("/api/"):
                is_action = path.rstrip("/").endswith(("undo", "publish", "verify", "execute"))
                assert is_action or "requestBody" in operation, f"{method} {path}"
    assert document["info"]["version"]


async def test_ids_of_operations_are_unique(service: Client) -> None:
    document = await _document(service)
    ids = [
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    ]
    assert len(ids) == len(set(ids))


async def test_references_lead_somewhere(service: Client) -> None:
    document = await _document(service)
    for reference in set(re.findall(r"#/components/schemas/([A-Za-z0-9_-]+)", str(document))):
        assert reference in document["components"]["schemas"]


def _definitions(document: dict[str, Any]) -> Any:
    """Checks definitions against the description, as a client would."""
    attributes = document["components"]["schemas"]["AudienceWrite"]["properties"]["definition"]
    return jsonschema_rs.Draft4Validator({**attributes, "components": document["components"]})


async def test_every_definition_that_is_taken_fits_its_description(service: Client) -> None:
    check = _definitions(await _document(service))
    operators = set()
    for row in load_cases("rules"):
        raw = row.values[0]["definition"]
        assert check.is_valid(raw), raw
        operators |= {leaf.operator for leaf in parse_definition(raw, compile_pattern).leaves()}
    assert operators == OPERATORS


async def test_definitions_that_are_refused_do_not_fit_their_description(service: Client) -> None:
    check = _definitions(await _document(service))
    assert {name for name, raw, *_ in REFUSED if check.is_valid(raw)} == _NOT_IN_THE_DESCRIPTION


async def test_page_shows_every_operation_without_outside_resources(service: Client) -> None:
    answer = await service.get("/api/docs")
    page = await answer.text()
    assert answer.status == 200
    assert answer.content_type == "text/html"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    for _, _, handler in all_routes():
        assert f'id="{handler.__name__}"' in page
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=\"(?!#|openapi\.json)", page)


@pytest.mark.parametrize("path", ["/api/docs/", "/api/openapi.json/"])
async def test_description_needs_no_token(service: Client, path: str) -> None:
    answer = await service.get(path)
    assert answer.status == 200
    assert "Access-Control-Allow-Origin" not in answer.headers
