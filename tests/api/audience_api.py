"""Short ways to the audiences of an app, for tests."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audience.audiences.upkeep import jobs
from audience.server import clock
from audience.server.keys import DATABASE
from tests.conftest import App, Authorized

PATH = "/api/audiences/v1/audiences"


def leaf(operator: str, value: Any = ..., *, name: str = "plan", **members: Any) -> dict[str, Any]:
    """A condition, on an attribute unless a field type is given."""
    condition = {"operator": operator} | ({} if value is ... else {"value": value})
    found = {"condition_type": "profile", "field_type": "attributes", "name": name}
    return found | members | {"condition": condition}


def group(operator: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    """A group of conditions."""
    return {"operator": operator, "conditions": list(conditions)}


def document(definition: Any, name: str = "Gold", **attributes: Any) -> dict[str, Any]:
    """The body that writes an audience."""
    members = {"name": name, "definition": definition, **attributes}
    return {"data": {"type": "Audience", "attributes": members}}


@dataclass
class Audiences:
    """The audiences of one app through the authorized API."""

    app: App
    client: Authorized

    @property
    def query(self) -> dict[str, str]:
        return {"website_id": self.app.app_id}

    async def create(self, definition: Any, **attributes: Any) -> str:
        """Make an audience; its id."""
        body = document(definition, **attributes)
        status, found = await self.client.post(f"{PATH}/", params=self.query, json=body)
        assert status == 201, found
        audience_id: str = found["data"]["id"]
        return audience_id

    async def replace(self, audience_id: str, definition: Any, **attributes: Any) -> Any:
        """Replace it; its attributes."""
        body = document(definition, **attributes)
        status, found = await self.client.put(
            f"{PATH}/{audience_id}/", params=self.query, json=body
        )
        assert status == 200, found
        return found["data"]["attributes"]

    async def get(self, audience_id: str) -> Any:
        """Its attributes."""
        status, found = await self.client.get(f"{PATH}/{audience_id}/", params=self.query)
        assert status == 200, found
        return found["data"]["attributes"]

    async def delete(self, audience_id: str) -> tuple[int, Any]:
        """Delete it."""
        return await self.client.delete(f"{PATH}/{audience_id}/", params=self.query)

    async def list(self, **query: Any) -> tuple[int, Any]:
        """List them."""
        return await self.client.get(f"{PATH}/", params=self.query | query)

    async def preview(self, definition: Any) -> Any:
        """Whom a definition matches."""
        status, found = await self.client.post(
            f"{PATH}/preview/", params=self.query, json={"definition": definition}
        )
        assert status == 200, found
        return found["data"]["attributes"]

    async def explain(self, audience_id: str, identifier: str, value: str) -> tuple[int, Any]:
        """Why somebody is a member or not."""
        return await self.client.post(
            f"{PATH}/{audience_id}/explain/",
            params=self.query,
            json={"identifier": identifier, "value": value},
        )

    async def check(self, audience_id: str, visitor_id: str) -> bool:
        """The public answer."""
        answer = await self.app.service.get(
            f"/data/public/api/profiles/{visitor_id}/audiences/check/",
            params=self.query | {"audience_id": audience_id},
        )
        assert answer.status == 200
        found = await answer.json()
        assert isinstance(found["result"], bool)
        return found["result"]

    async def members(self, audience_id: str) -> int:
        """How many are stored."""
        count: int = (await self.get(audience_id))["count"]
        return count

    async def run_jobs(self) -> None:
        """Do everything that waits in the background now."""
        server = self.app.service.server
        assert server is not None
        application = server.app  # type: ignore[attr-defined]
        assert DATABASE in application
        for job in jobs.JOBS:
            while await job.step(application):
                pass


@dataclass
class Clock:
    """The service's clock, standing still."""

    moment: datetime

    def __call__(self) -> datetime:
        return self.moment


def stop_clock(monkeypatch: Any, moment: datetime) -> Clock:
    """Let the clock of the service stand; it moves when `moment` is set."""
    stopped = Clock(moment)
    monkeypatch.setattr(clock, "now", stopped)
    return stopped
