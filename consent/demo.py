"""The demo app of `audience-consent serve --demo`: something to look at from the first minute."""

import asyncio
from dataclasses import dataclass
from uuid import uuid4

from audience import public
from audience.server import clock
from audience.server.database import Database
from audience.server.settings import Settings

_VISITOR = "0123456789abcdef"
_AUDIENCE_NAME = "Likes green"
_DEFINITION = {
    "condition_type": "profile",
    "field_type": "attributes",
    "name": "color",
    "condition": {"operator": "eq", "value": "green"},
}


@dataclass(frozen=True, slots=True)
class Demo:
    """What there is to try: an app and one audience of it."""

    app_id: str
    audience_id: str


def ensure_demo(url: str) -> Demo:
    """The demo app with a public attribute and an audience; made on first start.

    On repeat: the same; what the user has changed of it stays.
    """

    async def ensure() -> Demo:
        database = Database(url)
        try:
            async with database.transaction() as conn:
                now = clock.now()
                app = await public.ensure_demo_app(conn, str(uuid4()), str(uuid4()), now)
                audience_id = await public.find_audience_id(conn, app.app_id, _AUDIENCE_NAME)
                if audience_id is None:
                    fields = public.AudienceFields(
                        name=_AUDIENCE_NAME,
                        description="Made on first start, to be tried and deleted.",
                        definition=_DEFINITION,
                        membership_duration_days=None,
                    )
                    audience_id = await public.create_audience(
                        conn, app.app_id, fields, "demo", now
                    )
                    await public.allow_attribute(conn, app.app_id, "attributes", "color", now)
                return Demo(app.app_id, audience_id)
        finally:
            await database.close()

    return asyncio.run(ensure())


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
        check_query = f"?website_id={demo.app_id}&audience_id={demo.audience_id}"
        lines += [
            "",
            f"Demo app: {demo.app_id}",
            "",
            "Write attributes:",
            f"  curl -i -X POST {base}/audiences/tracker/attributes/ -d '{body}'",
            "Read them (only what `audience-consent attributes allow` made public, here color):",
            f"  curl -i '{profile}/attributes/?website_id={demo.app_id}'",
            f"Check an audience (here {_AUDIENCE_NAME!r}):",
            f"  curl -i '{profile}/audiences/check/{check_query}'",
            "",
            f"See it all at work:  {base}/demo/",
            f"The whole API:       {base}/api/docs",
            "",
        ]
    return "\n".join(lines)
