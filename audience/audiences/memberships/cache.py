"""The compiled audiences of an app, remembered by the process and never stale.

An app's row names the revision of its audiences. It is another one after every change, made under
the app's lock. So whoever reads it under the lock knows whether the set remembered here holds;
if not, the set is made anew.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import asyncpg
import orjson
import structlog

from audience.audiences.definition import parse_definition
from audience.audiences.memberships import storage
from audience.audiences.memberships.audience_set import AudienceRule, AudienceSet
from audience.audiences.patterns import compile_pattern
from audience.errors import Invalid

#: Apps whose audiences a process remembers; the one used longest ago goes first.
_MAX_APPS = 256
_known: OrderedDict[str, AudienceSet] = OrderedDict()


def known_audiences(app_id: str) -> AudienceSet | None:
    """The set this process used last, perhaps of an earlier revision."""
    found = _known.get(app_id)
    if found is not None:
        _known.move_to_end(app_id)
    return found


async def audiences_of(
    conn: asyncpg.Connection, app_id: str, revision: str | None, timezone: str
) -> AudienceSet | None:
    """The app's audiences at the revision that was read under the app's lock; None without any.

    One statement when the process does not know this revision yet, else none.
    """
    if revision is None:
        _known.pop(app_id, None)
        return None
    found = _known.get(app_id)
    if found is None or found.revision != revision or found.timezone != timezone:
        found = await _load(conn, app_id)
        if found is None:
            return None
    _known[app_id] = found
    _known.move_to_end(app_id)
    if len(_known) > _MAX_APPS:
        _known.popitem(last=False)
    return found


async def load_audiences(conn: asyncpg.Connection, app_id: str) -> AudienceSet | None:
    """The app's audiences as they are now; None without any. The caller holds the app's lock."""
    return await audiences_of(conn, app_id, *await storage.get_revision(conn, app_id))


async def _load(conn: asyncpg.Connection, app_id: str) -> AudienceSet | None:
    rows = await storage.list_rules(conn, app_id)
    if not rows or rows[0]["revision"] is None:
        return None
    timezone = rows[0]["timezone"]
    zone = zone_of(timezone)
    return AudienceSet(rows[0]["revision"], timezone, _rules(rows), compile_pattern, zone)


def _rules(rows: Sequence[asyncpg.Record]) -> list[AudienceRule]:
    rules = []
    for row in rows:
        if row["audience_id"] is None:
            continue
        try:
            definition = parse_definition(orjson.loads(row["definition"]), compile_pattern)
        except Invalid as error:
            # Written by another version of the service: its members stay as they are.
            structlog.get_logger().error(
                "audience not understood", audience_id=row["audience_id"], path=error.path
            )
            continue
        days = row["membership_duration_days"]
        duration = None if days is None else timedelta(days=days)
        rules.append(AudienceRule(row["audience_id"], definition, duration))
    return rules


@lru_cache(maxsize=512)
def zone_of(timezone: str) -> ZoneInfo:
    """The time zone of that name; UTC when this system does not know it."""
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        # Unknown names are KeyErrors, names like "../x" ValueErrors.
        return ZoneInfo("UTC")
