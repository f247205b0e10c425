"""Ways to use the consent service in tests."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.conftest import App

ALL_TYPES = (
    "analytics",
    "ab_testing_and_personalization",
    "conversion_tracking",
    "marketing_automation",
    "remarketing",
    "user_feedback",
    "custom_consent",
)


@dataclass
class Visitor:
    """A consent visitor of an app; cookies: as its page would send them."""

    app: App
    visitor_id: str
    cookies: str | None = None

    async def send(self, body: dict[str, Any], **headers: str) -> tuple[int, str]:
        """POST a body with the members every one has; status and text."""
        whole: dict[str, Any] = {
            "websiteId": self.app.app_id,
            "visitorId": self.visitor_id,
            "hostname": "shop.example",
            "event": "consent_change",
        }
        if self.cookies is not None:
            whole["cookies"] = self.cookies
        whole = {name: value for name, value in {**whole, **body}.items() if value is not ...}
        answer = await self.app.service.post("/consent/collect", json=whole, headers=headers)
        return answer.status, await answer.text()

    async def decide(self, *, expected: int = 204, **members: Any) -> str:
        """Decide: `decide(analytics=1)`; members with a capital letter inside are the body's."""
        consents = {name: {"status": value} for name, value in members.items() if name in ALL_TYPES}
        rest = {name: value for name, value in members.items() if name not in ALL_TYPES}
        status, text = await self.send({"consents": consents, **rest})
        assert status == expected, text
        return text

    async def state(self) -> dict[str, int]:
        """{consent type: status} as stored."""
        row = await self.app.rows.fetchval(
            "SELECT state FROM consent_visitors WHERE app_id = $1 AND visitor_id = $2",
            self.app.app_id,
            self.visitor_id,
        )
        return {name: one[0] for name, one in json.loads(row or "{}").items()}


def new_visitor(app: App, analytics_visitor_id: str | None = None) -> Visitor:
    """A visitor nobody has seen yet, tied to a visitor of analytics if one is given."""
    cookies = None
    if analytics_visitor_id is not None:
        cookies = f"a=b; _pk_id.{app.app_id}.1fff={analytics_visitor_id}.1.2.3.4.; secret=x"
    return Visitor(app, str(uuid4()), cookies)


async def history(app: App) -> list[Any]:
    """The rows of the app's history, in order."""
    return await app.rows.fetch(
        "SELECT * FROM consent_decisions WHERE app_id = $1 ORDER BY sequence", app.app_id
    )
