"""Ways to use data subject requests in tests: as a visitor, as a requester, as the team."""

import itertools
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import asyncpg
from aiohttp.test_utils import TestClient

from consent.data_subject_requests.mails.operations import send_some_mails
from tests.mailbox import Mailbox, secrets_of

REQUESTS = "/api/privacy/v1/requests"
KIND = "privacy/request"
_ADDRESSES = (f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in itertools.count(1))


@dataclass
class Office:
    """One app's requests, its mailbox, and the team's client of the authorized API."""

    app_id: str
    service: TestClient[Any, Any]
    mailbox: Mailbox
    team: Any
    rows: asyncpg.Connection

    async def submit(
        self,
        email: Any = "jane@shop.example",
        event: Any = "view_data",
        address: str | None = None,
        language: str = "en",
        **members: Any,
    ) -> tuple[int, str]:
        """POST what the form sends, from an address of its own; status and text."""
        body = {
            "visitorId": "0a1b2c3d-0000-4000-8000-000000000001",
            "websiteId": self.app_id,
            "hostname": "shop.example",
            "event": event,
            "email": email,
            "userRequestedInfo": "please",
            "cookies": f"a=b; _pk_id.{self.app_id}.1fff=0123456789abcdef.1.2.3; secret=marker",
        } | members
        answer = await self.service.post(
            "/consent/collect",
            json={name: value for name, value in body.items() if value is not ...},
            headers={"X-Forwarded-For": address or next(_ADDRESSES), "Accept-Language": language},
        )
        return answer.status, await answer.text()

    async def deliver(self) -> list[EmailMessage]:
        """Send what waits; the mails that arrived now."""
        before = len(self.mailbox.mails)
        while await send_some_mails(self.service.app):  # type: ignore[arg-type]
            pass
        return self.mailbox.mails[before:]

    async def ask(self, email: str = "jane@shop.example", event: str = "view_data") -> str:
        """Submit a request; its id."""
        status, text = await self.submit(email, event)
        assert status == 204, text
        return str(
            await self.rows.fetchval(
                "SELECT max(request_id::text) FROM data_subject_requests WHERE app_id = $1",
                self.app_id,
            )
        )

    async def ask_and_get_mail(self, *arguments: str) -> tuple[str, str, str]:
        """Submit a request: (its id, the link's secret, the code)."""
        request_id = await self.ask(*arguments)
        mail = (await self.deliver())[-1]
        return (request_id, *secrets_of(mail))

    async def ask_and_confirm(self, *arguments: str) -> str:
        """Submit a request and prove it; its id."""
        request_id, link, code = await self.ask_and_get_mail(*arguments)
        assert (await self.confirm(link, code))[0] == 200
        return request_id

    async def look(self, link: str, **query: str) -> tuple[int, str, Any]:
        """Open the page of a link: status, page, headers."""
        answer = await self.service.get(f"/privacy/confirm/{link}", params=query)
        return answer.status, await answer.text(), answer.headers

    async def confirm(self, link: str, code: str) -> tuple[int, str]:
        """Press the page's button."""
        answer = await self.service.post(f"/privacy/confirm/{link}", data={"code": code})
        return answer.status, await answer.text()

    async def get(self, request_id: str) -> dict[str, Any]:
        """What the team sees of a request."""
        status, body = await self.team.get(f"{REQUESTS}/{request_id}")
        assert status == 200, body
        attributes: dict[str, Any] = body["data"]["attributes"]
        return attributes

    async def change(self, request_id: str, **attributes: Any) -> tuple[int, Any]:
        """PATCH a request."""
        document = {"data": {"type": KIND, "id": request_id, "attributes": attributes}}
        status, body = await self.team.patch(f"{REQUESTS}/{request_id}", json=document)
        return status, body

    async def act(self, request_id: str, action: str, **attributes: Any) -> tuple[int, Any]:
        """POST an action of a request."""
        document = {"data": {"type": KIND, "id": request_id, "attributes": attributes}}
        status, body = await self.team.post(f"{REQUESTS}/{request_id}/{action}", json=document)
        return status, body

    async def create(self, **attributes: Any) -> tuple[int, Any]:
        """Note a request that came by letter."""
        whole = {"website_id": self.app_id, "request_type": "view_data", **attributes}
        document = {"data": {"type": KIND, "attributes": whole}}
        status, body = await self.team.post(REQUESTS, json=document)
        return status, body

    async def row(self, request_id: str) -> Any:
        """The stored row of a request."""
        return await self.rows.fetchrow(
            "SELECT * FROM data_subject_requests WHERE request_id = $1::uuid", request_id
        )
