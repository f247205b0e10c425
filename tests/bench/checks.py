"""Do the contenders answer rightly, and does data arrive? A fast wrong answer is worth nothing."""

import json
import random
import urllib.error
import urllib.request

import asyncpg

from tests.bench.population import AUDIENCES, Population, is_member, visitor_of
from tests.bench.servers import Server
from tests.bench.wrk import BenchError

_ASKED = 200

_STORED = """
SELECT p.attributes ->> 'plan' FROM {table}profiles p
JOIN {table}profile_identifiers i USING (app_id, profile_id)
WHERE i.app_id = $1 AND i.identifier_name = 'analytics_visitor_id' AND i.identifier_value = $2
"""
_COUNT = "SELECT count(*) FROM profiles"


def require_right_answers(server: Server, population: Population) -> None:
    """Errors: BenchError when a check gives another answer than the population's rule."""
    chosen = random.Random(1)  # noqa: S311 - a sample, no secret
    for _ in range(_ASKED):
        number = chosen.randrange(population.size)
        audience = chosen.randrange(len(AUDIENCES))
        url = (
            f"{server.base}/audiences/public/api/profiles/{visitor_of(number)}/audiences/check/"
            f"?website_id={population.app_of(number)}&audience_id={AUDIENCES[audience]}"
        )
        found = json.loads(_send(url))
        if found != {"result": is_member(number, audience)}:
            raise BenchError(f"{server.name} answers {found} to {url}")


async def require_arrival(
    server: Server, population: Population, url: str, table_prefix: str
) -> None:
    """Write one attribute to a visitor of each app and find it in the database.

    Errors: BenchError when it is not there, or when writes made profiles that were not asked for.
    """
    conn = await asyncpg.connect(url)
    try:
        for number in (1, population.size - 1):
            app_id, visitor = population.app_of(number), visitor_of(number)
            value = f"arrived at {server.name} {random.getrandbits(32)}"
            item = {
                "website_id": app_id,
                "user_id": f"user-{number}",
                "analytics_visitor_id": visitor,
                "attributes": [{"name": "plan", "value": value}],
            }
            _send(server.base + "/audiences/tracker/attributes/", json.dumps([item]).encode())
            stored = await conn.fetchval(_STORED.format(table=table_prefix), app_id, visitor)
            if stored != value:
                raise BenchError(f"{server.name} took {value!r}, but {stored!r} is stored")
        count = await conn.fetchval(_COUNT)
        if count != population.size:
            raise BenchError(f"there are {count} profiles instead of {population.size}")
    finally:
        await conn.close()


def _send(url: str, body: bytes | None = None) -> bytes:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - our own server
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        raise BenchError(f"{error.code} from {url}: {error.read().decode()}") from None
