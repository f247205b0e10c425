"""Answers, refusals and callbacks that are signed: the body, whose they are, the signature.

Source: OpenDSR specification 2.0, sections 3.1 (a processor signs its answers), 7.3 and 8.3.
"""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.server.settings import Settings

JSON = "application/json"


def domain_of(settings: Settings) -> str:
    """The domain under which the service is an OpenDSR processor: that of PUBLIC_URL."""
    return urlsplit(settings.origin).hostname or "localhost"


async def signed(
    conn: AsyncConnection, document: Mapping[str, Any], settings: Settings, now: datetime
) -> tuple[bytes, dict[str, str]]:
    """(body, headers): signed with the key of the certificate that `discovery` names."""
    body = orjson.dumps(dict(document))
    return body, {"Content-Type": JSON, **await signature_headers(conn, body, settings, now)}


async def signature_headers(
    conn: AsyncConnection, body: bytes, settings: Settings, now: datetime
) -> dict[str, str]:
    """The headers that say whose these bytes are and prove it."""
    signature = await public.sign_bytes(conn, body, now)
    return {
        "X-OpenDSR-Processor-Domain": domain_of(settings),
        "X-OpenDSR-Signature": base64.b64encode(signature).decode(),
    }
