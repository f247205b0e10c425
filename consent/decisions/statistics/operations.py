"""Statistics of an app, and the job that adds up days that are over."""

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from audience.server import clock
from audience.server.database import raw
from audience.server.keys import DATABASE
from consent.decisions.known import zone_of
from consent.decisions.statistics import storage
from consent.decisions.statistics.metrics import METRICS, shown_dimension
from consent.decisions.statistics.storage import Asked

_DELETED_AT_ONCE = 5000
DAY = "day"


async def get_statistics(
    conn: AsyncConnection, app_id: str, timezone: str, query: dict[str, Any]
) -> list[dict[str, Any]]:
    """A row for each period and set of dimensions that has anything, by period.

    query: date_from and date_to (both are counted), granularity, dimensions, hostname.
    """
    zone = zone_of(timezone)
    is_by_day = query["granularity"] == DAY
    asked = Asked(
        app_id,
        datetime.combine(query["date_from"], time(), zone),
        datetime.combine(query["date_to"] + timedelta(days=1), time(), zone),
        timezone,
        is_by_day=is_by_day,
        dimensions=query["dimensions"],
        hostname=query["hostname"],
    )
    rows = await storage.count_events(await raw(conn), asked)
    return [_shown(row, asked, zone) for row in rows]


async def close_days(app: web.Application) -> bool:
    """A step of the job: add up a day that ended an hour ago; True when more is waiting."""
    async with app[DATABASE].transaction() as conn:
        return await storage.close_day(await raw(conn), clock.now(), _DELETED_AT_ONCE)


def _shown(row: dict[str, Any], asked: Asked, zone: ZoneInfo) -> dict[str, Any]:
    period = row["period"] if asked.is_by_day else row["period"].astimezone(zone)
    return {
        "period": period.isoformat(),
        **{name: shown_dimension(name, row[name]) for name in asked.dimensions},
        **{metric: row[metric] for metric in METRICS},
    }
