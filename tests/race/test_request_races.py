"""Two members of the team who change data subject requests at the same time."""

import asyncio
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from consent.data_subject_requests import storage
from consent.data_subject_requests.storage import DataSubjectRequest
from tests.data_subjects import Office


async def test_of_two_requests_one_leads_whoever_is_quicker(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_form = await office.ask_and_confirm("jane@shop.example")
    by_letter = await office.ask_and_confirm("jane.doe@shop.example")
    find_request = storage.find_request
    both_look = asyncio.Barrier(2)

    async def look_at_once(
        conn: AsyncConnection, request_id: str, **options: Any
    ) -> DataSubjectRequest | None:
        found = await find_request(conn, request_id, **options)
        if not options.get("for_update"):
            await both_look.wait()
        return found

    monkeypatch.setattr(storage, "find_request", look_at_once)
    answers = await asyncio.gather(
        office.change(by_form, status="duplicate", leader_id=by_letter),
        office.change(by_letter, status="duplicate", leader_id=by_form),
    )
    monkeypatch.undo()
    refused = [body["errors"][0]["code"] for status, body in answers if status == 409]
    assert set(refused) == {"leader_changing"}
    statuses = [(await office.get(one))["status"] for one in (by_form, by_letter)]
    assert statuses != ["duplicate", "duplicate"]
