"""The OpenAPI document of the whole service, made once when it is first asked for."""

from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import Any

from audience import permissions as audience_permissions
from audience import routes as audience_routes
from audience.server.openapi import build_openapi
from audience.server.surface import Handler
from consent import permissions, routes


def all_routes() -> list[tuple[str, str, Handler]]:
    """(method, path, handler) of everything a client may call; `/data` repeats `/audiences`."""
    public = [
        (method, f"/audiences{path}", handler)
        for method, path, handler in audience_routes.PUBLIC_ROUTES
    ]
    return [
        *public,
        *routes.PUBLIC_ROUTES,
        *routes.OPENDSR_ROUTES,
        *routes.OPENDSR_AUTHORIZED_ROUTES,
        *audience_routes.AUTH_ROUTES,
        *audience_routes.AUTHORIZED_ROUTES,
        *routes.AUTHORIZED_ROUTES,
        *audience_routes.DOCUMENTATION_ROUTES,
    ]


def api_description(root_path: str) -> Callable[[], dict[str, Any]]:
    """Makes the document; root_path is in front of every path."""

    @cache
    def describe() -> dict[str, Any]:
        return build_openapi(
            all_routes(),
            {**audience_permissions.PERMISSIONS, **permissions.PERMISSIONS},
            schemas=audience_routes.SCHEMAS,
            version=version("audience-consent"),
            server_url=root_path,
        )

    return describe
