"""A merge by hand that waits while a write merges: the ledger has them as they happened."""

from typing import Any

import pytest

from audience.profile_changes.curation import handlers
from tests.conftest import App, Authorized


def _colored(device_id: str, color: str) -> dict[str, Any]:
    return {"device_id": device_id, "attributes": [{"name": "color", "value": color}]}


async def test_merges_are_undone_in_whatever_order_they_waited(
    app: App, authorized: Authorized, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.write(_colored("d1", "old"), {"user_id": "u"})
    await app.write(_colored("d2", "new"))
    survivor = (await app.profile("user_id", "u"))["id"]
    absorbed = (await app.profile("device_id", "d2"))["id"]
    access_app = handlers.access_app

    async def be_late(*arguments: Any) -> Any:
        monkeypatch.undo()
        assert await app.write({"user_id": "u", "device_id": "d1"}) == (204, "")
        return await access_app(*arguments)

    monkeypatch.setattr(handlers, "access_app", be_late)
    api, query = "/api/audiences/v1", f"?website_id={app.app_id}"
    url = f"{api}/profiles/{survivor}/merge/{query}"
    assert (await authorized.post(url, json={"profile_id": absorbed}))[0] == 200
    _, listed = await authorized.get(f"{api}/profiles/{survivor}/merges/{query}")
    # The earlier one first: its share is taken out of the later one's documents.
    merges = sorted(
        listed["data"], key=lambda one: one["attributes"]["absorbed_profile_id"] == absorbed
    )
    for merge in merges:
        assert (await authorized.post(f"{api}/merges/{merge['id']}/undo/{query}"))[0] == 200
    assert (await app.profile("user_id", "u"))["attributes"] == {}
    assert (await app.profile("device_id", "d1"))["attributes"] == {"color": "old"}
    assert (await app.profile("device_id", "d2"))["attributes"] == {"color": "new"}
