"""An instance of the service that misbehaves as told, for what a widget does about it."""

import asyncio
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class FaultyInstance:
    """status None: never answers. requests: (method, path and query, body, headers)."""

    domain: str = ""
    status: int | None = 200
    text: str = ""
    requests: list[tuple[str, str, str, dict[str, str]]] = field(default_factory=list)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        """What it was told to."""
        text = await request.text()
        self.requests.append((request.method, request.path_qs, text, dict(request.headers)))
        if self.status is None:
            await self.is_over.wait()
        headers = {"Access-Control-Allow-Origin": "*"}
        return web.Response(status=self.status or 200, text=self.text, headers=headers)
