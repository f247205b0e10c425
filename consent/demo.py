"""The demo app of `audience-consent serve --demo`: something to look at from the first minute."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.server import clock
from audience.server.database import Database
from audience.server.settings import Settings

_VISITOR = "0123456789abcdef"


def _leaf(name: str, operator: str, value: str | int) -> dict[str, Any]:
    condition = {"operator": operator, "value": value}
    return {
        "condition_type": "profile",
        "field_type": "attributes",
        "name": name,
        "condition": condition,
    }


#: Name -> definition.
_AUDIENCES = {
    "Likes green": _leaf("color", "eq", "green"),
    "Wants a kettle": _leaf("wish_list", "eq", "kettle"),
    "Came three times": _leaf("visits", "gte", 3),
    "Reads the newsletter": _leaf("newsletter", "eq", "yes"),
}
#: What a page may read. Not the e-mail: anybody who has a visitor ID could read it.
_PUBLIC_ATTRIBUTES = ("color", "wish_list", "visits", "newsletter", "first_name")


@dataclass(frozen=True, slots=True)
class Demo:
    """What there is to try: an app and audiences of it, id -> name."""

    app_id: str
    audiences: Mapping[str, str]


def ensure_demo(url: str) -> Demo:
    """The demo app with public attributes and audiences; made on first start.

    On repeat: the same; what the user has changed of it stays.
    """

    async def ensure() -> Demo:
        database = Database(url)
        try:
            async with database.transaction() as conn:
                return await _ensure(conn, clock.now())
        finally:
            await database.close()

    return asyncio.run(ensure())


async def _ensure(conn: AsyncConnection, now: datetime) -> Demo:
    app = await public.ensure_demo_app(conn, str(uuid4()), str(uuid4()), now)
    audiences: dict[str, str] = {}
    for name, definition in _AUDIENCES.items():
        audience_id = await public.find_audience_id(conn, app.app_id, name)
        if audience_id is None:
            fields = public.AudienceFields(
                name=name,
                description="Made on first start, to be tried and deleted.",
                definition=definition,
                membership_duration_days=None,
            )
            audience_id = await public.create_audience(conn, app.app_id, fields, "demo", now)
            for attribute_name in _PUBLIC_ATTRIBUTES:
                await public.allow_attribute(conn, app.app_id, "attributes", attribute_name, now)
        audiences[audience_id] = name
    return Demo(app.app_id, audiences)


def greeting(settings: Settings, demo: Demo | None) -> str:
    """Where the service is, and with a demo app how to use it."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = f"http://{host}:{settings.port}{settings.root_path}"
    lines = [f"audience-consent serves on {base}  (Ctrl-C stops it)"]
    if demo is not None:
        profile = f"{base}/audiences/public/api/profiles/{_VISITOR}"
        body = (
            f'[{{"website_id": "{demo.app_id}", "analytics_visitor_id": "{_VISITOR}", '
            '"attributes": [{"name": "color", "value": "green"}]}]'
        )
        audience_id, audience_name = next(iter(demo.audiences.items()))
        check_query = f"?website_id={demo.app_id}&audience_id={audience_id}"
        lines += [
            "",
            f"Demo app: {demo.app_id}",
            "",
            "Write attributes:",
            f"  curl -i -X POST {base}/audiences/tracker/attributes/ -d '{body}'",
            "Read them (only what `audience-consent attributes allow` made public, here color):",
            f"  curl -i '{profile}/attributes/?website_id={demo.app_id}'",
            f"Check an audience (here {audience_name!r}):",
            f"  curl -i '{profile}/audiences/check/{check_query}'",
            "",
            f"See it all at work:  {base}/demo/",
            f"The whole API:       {base}/api/docs",
            "",
        ]
    return "\n".join(lines)
