"""The description of the authorized API, made from its routes, schemas and docstrings (apispec).

A handler says with `described` what it takes and answers; the same schemas check the requests, so
the description can't differ from what the service does.
"""

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from audience.server.json_api import JSON, JSON_API

_DESCRIPTION = "__description__"
Handler = TypeVar("Handler", bound=Callable[..., Any])
_PARAMETER = re.compile(r"\{(\w+)(?::[^{}]*(?:\{[^{}]*\}[^{}]*)*)?\}")


@dataclass(frozen=True, slots=True)
class Description:
    """What a handler takes and answers.

    query, body, answer: schemas; resource: the JSON:API type that body and answer are the
    attributes of, None for plain JSON; is_list, is_body_list: the answer, the body is a list of
    them. body_type, answer_type: the media type of what is no JSON.
    """

    query: type[Schema] | None = None
    body: type[Schema] | None = None
    answer: type[Schema] | None = None
    status: int = 200
    resource: str | None = None
    is_list: bool = False
    is_body_list: bool = False
    body_type: str = JSON
    answer_type: str = JSON


def described(**members: Any) -> Callable[[Handler], Handler]:
    """Attach a Description (its members) to a handler."""

    def attach(handler: Handler) -> Handler:
        setattr(handler, _DESCRIPTION, Description(**members))
        return handler

    return attach


def build_openapi(
    routes: Iterable[tuple[str, str, Callable[..., Any]]],
    permissions: Mapping[str, str],
    *,
    schemas: Mapping[str, dict[str, Any]],
    version: str,
    server_url: str,
) -> dict[str, Any]:
    """The OpenAPI 3 document of the routes: (method, path, handler).

    permissions: {handler's name: scope}; handlers without one need no token.  schemas: {name:
    JSON schema} that fields refer to as `#/components/schemas/<name>`.
    """
    spec = APISpec(
        title="audience-consent",
        version=version,
        openapi_version="3.0.3",
        plugins=[MarshmallowPlugin()],
        servers=[{"url": server_url or "/"}],
        info={"description": "The authorized API. Get a token with POST /auth/token."},
    )
    spec.components.security_scheme(
        "token", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    )
    for name, schema in schemas.items():
        spec.components.schema(name, schema)
    uses: Counter[str] = Counter()
    for method, path, handler in routes:
        operation = _operation(path, handler, permissions.get(handler.__name__))
        uses[handler.__name__] += 1
        if uses[handler.__name__] > 1:
            # A handler with two paths: ids of operations are unique.
            operation["operationId"] += f"_{uses[handler.__name__]}"
        spec.path(path=described_path(path), operations={method.lower(): operation})
    return spec.to_dict()


def described_path(path: str) -> str:
    """The path of a route as OpenAPI writes it: parameters without their patterns."""
    return _PARAMETER.sub(r"{\1}", path)


def _operation(path: str, handler: Callable[..., Any], scope: str | None) -> dict[str, Any]:
    description: Description = getattr(handler, _DESCRIPTION, Description())
    # Where a rule comes from is for developers.
    text = re.sub(r"\s*Source:.*", "", inspect.getdoc(handler) or "", flags=re.DOTALL)
    operation: dict[str, Any] = {
        "operationId": handler.__name__,
        "summary": handler.__name__.replace("_", " ").capitalize(),
        "description": text,
        "tags": [_tag(path)],
        "parameters": [
            {"in": "path", "name": name, "required": True, "schema": {"type": "string"}}
            for name in _PARAMETER.findall(path)
        ],
        "responses": {str(description.status): _answer(description), "default": _REFUSAL},
    }
    if description.query is not None:
        operation["parameters"].append({"in": "query", "schema": description.query})
    if description.body is not None:
        schema = _wrapped(description.body, description.resource, is_list=description.is_body_list)
        media_type = JSON_API if description.resource else description.body_type
        operation["requestBody"] = {"required": True, "content": {media_type: {"schema": schema}}}
    elif description.body_type != JSON:
        content = {description.body_type: {"schema": {"type": "string"}}}
        operation["requestBody"] = {"required": True, "content": content}
    if scope is not None:
        operation["security"] = [{"token": [scope]}]
        operation["description"] += f"\n\nNeeds the scope `{scope}`."
    return operation


def _answer(description: Description) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "done"}
    if description.answer is not None:
        schema = _wrapped(description.answer, description.resource, is_list=description.is_list)
        answer["content"] = {description.answer_type: {"schema": schema}}
    elif description.answer_type != JSON:
        answer["content"] = {description.answer_type: {"schema": {"type": "string"}}}
    return answer


def _wrapped(schema: type[Schema], resource: str | None, *, is_list: bool) -> Any:
    if resource is None:
        return {"type": "array", "items": schema} if is_list else schema
    one = {
        "type": "object",
        "required": ["type", "attributes"],
        "properties": {
            "type": {"type": "string", "enum": [resource]},
            "id": {"type": "string"},
            "attributes": schema,
        },
    }
    data = {"type": "array", "items": one} if is_list else one
    return {"type": "object", "required": ["data"], "properties": {"data": data}}


def _tag(path: str) -> str:
    parts = [part for part in path.split("/") if part and not part.startswith("{")]
    named = [part for part in parts if part != "api" and not re.fullmatch(r"v\d+", part)]
    return " ".join(named[:2]) if named[:1] == ["audiences"] else (named or ["service"])[0]


_REFUSAL = {
    "description": "refused; nothing was changed",
    "content": {
        JSON_API: {
            "schema": {
                "type": "object",
                "properties": {
                    "errors": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "status": {"type": "string"},
                                "code": {"type": "string"},
                                "title": {"type": "string"},
                                "detail": {"type": "string"},
                                "source": {
                                    "type": "object",
                                    "properties": {
                                        "parameter": {"type": "string"},
                                        "pointer": {"type": "string"},
                                    },
                                },
                            },
                        },
                    }
                },
            }
        }
    },
}
