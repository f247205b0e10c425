"""Merges are undone in the order in which they happened, whatever a clock says of it."""

from datetime import timedelta
from typing import Any

import pytest

from audience.profile_changes.curation import handlers
from audience.server import clock
from tests.conftest import App, Authorized

API = "/api/audiences/v1"


async def _make_three(app: App) -> tuple[str, str]:
    """A user's profile without a color, and two of devices; (the user's id, the second device's).

    The color of the second device is the newer one.
    """
    for device_id, color in (("d1", "old"), ("d2", "new")):
        entries = [{"name": "color", "value": color}]
        await app.write({"device_id": device_id, "attributes": entries})
    await app.write({"user_id": "u"})
    return (await app.profile("user_id", "u"))["id"], (await app.profile("device_id", "d2"))["id"]


async def _undo_both(app: App, client: Authorized, survivor: str, last: str) -> None:
    """Undo the earlier merge first: its share is to be taken out of the later one's documents."""
    query = f"?website_id={app.app_id}"
    _, listed = await client.get(f"{API}/profiles/{survivor}/merges/{query}")
    merges = sorted(
        listed["data"], key=lambda one: one["attributes"]["absorbed_profile_id"] == last
    )
    assert len(merges) == 2
    for merge in merges:
        assert (await client.post(f"{API}/merges/{merge['id']}/undo/{query}"))[0] == 200
    assert (await app.profile("user_id", "u"))["attributes"] == {}
    assert (await app.profile("device_id", "d1"))["attributes"] == {"color": "old"}
    assert (await app.profile("device_id", "d2"))["attributes"] == {"color": "new"}


async def test_merge_by_hand_that_waited_for_a_write(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch
) -> None:
    survivor, absorbed = await _make_three(app)
    access_app = handlers.access_app

    async def be_late(*arguments: Any) -> Any:
        monkeypatch.undo()
        assert await app.write({"user_id": "u", "device_id": "d1"}) == (204, "")
        return await access_app(*arguments)

    monkeypatch.setattr(handlers, "access_app", be_late)
    url = f"{API}/profiles/{survivor}/merge/?website_id={app.app_id}"
    assert (await authorized.post(url, json={"profile_id": absorbed}))[0] == 200
    await _undo_both(app, authorized, survivor, absorbed)


async def test_merge_by_a_process_whose_clock_is_behind(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch
) -> None:
    survivor, absorbed = await _make_three(app)
    assert await app.write({"user_id": "u", "device_id": "d1"}) == (204, "")
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() - timedelta(seconds=10))
    assert await app.write({"user_id": "u", "device_id": "d2"}) == (204, "")
    monkeypatch.undo()
    await _undo_both(app, authorized, survivor, absorbed)
