"""The real service moves memberships by itself: nobody writes, nobody calls a job."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.api.audience_api import Audiences, leaf
from tests.conftest import App, Authorized
from tests.service_process import ServiceProcess

VISITOR = "0123456789abcdef"


async def test_a_member_leaves_within_a_minute_without_traffic(
    app: App, authorized: Authorized, database_url: str, tmp_path: Path
) -> None:
    audiences = Audiences(app, authorized)
    minute = {"amount": 1, "unit": "minutes"}
    recent = await audiences.create(leaf("within_last", minute, name="seen"))
    lasting = await audiences.create(leaf("exists", name="seen"), membership_duration_days=1)
    flips_at = datetime.now(UTC) + timedelta(seconds=5)
    seen = (flips_at - timedelta(minutes=1)).isoformat()
    await app.write(
        {"analytics_visitor_id": VISITOR, "attributes": [{"name": "seen", "value": seen}]}
    )
    assert await audiences.check(recent, VISITOR)
    # A day without traffic, as far as the duration is concerned.
    await app.rows.execute("UPDATE profiles SET updated_at = updated_at - interval '23:59:55'")
    with ServiceProcess(tmp_path, "--workers", "2", DATABASE_URL=database_url):
        deadline = time.monotonic() + 60
        while await audiences.check(recent, VISITOR):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
        assert datetime.now(UTC) > flips_at
        while await audiences.check(lasting, VISITOR):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
    assert await app.count("profile_reevaluations") == 0
