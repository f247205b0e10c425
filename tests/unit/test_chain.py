"""The hash of a row of history: fixed for good, however it is computed."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consent.decisions.chain import DecisionRow, consents_text, row_hash

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
moments = st.datetimes(datetime(2018, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.none() | st.integers(0, 3)
members = st.fixed_dictionaries(
    {}, optional={"status": st.integers(-1, 1), "historyId": texts, "isUnknown": st.booleans()}
)
rows = st.builds(
    DecisionRow,
    decision_id=st.uuids().map(str),
    visitor_hash=st.binary(min_size=32, max_size=32),
    decided_at=moments,
    received_at=moments,
    consents=st.dictionaries(texts, members, max_size=4),
    hostname=texts,
    consent_scope=numbers,
    consent_action=numbers,
    method=st.none() | texts,
    consent_source=numbers,
    language=st.none() | texts,
    is_late=st.booleans(),
)


def _reference(row: DecisionRow, previous_hash: bytes) -> bytes:
    """As the first version wrote it: every chain that exists was made so."""
    values: list[Any] = list(row)
    values[1] = row.visitor_hash.hex()
    for place in (2, 3):
        values[place] = (values[place] - EPOCH) // timedelta(microseconds=1)
    content = json.dumps(values, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(previous_hash + content.encode()).digest()


@given(rows, st.binary(min_size=32, max_size=32))
def test_a_row_is_hashed_as_sorted_json(row: DecisionRow, previous_hash: bytes) -> None:
    expected = _reference(row, previous_hash)
    assert row_hash(row, previous_hash) == expected
    assert row_hash(row, previous_hash, consents_text(row.consents)) == expected


def test_the_hash_of_a_row_never_changes() -> None:
    row = DecisionRow(
        "01234567-89ab-cdef-0123-456789abcdef",
        bytes(range(32)),
        datetime(2026, 1, 31, 12, 0, 0, 123456, UTC),
        datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC),
        {"remarketing": {"status": 0}, "analytics": {"status": 1, "historyId": 'ä"\n'}},
        "shop.example",
        2,
        1,
        None,
        1,
        "pt-BR",
        is_late=False,
    )
    assert (
        row_hash(row, bytes(32)).hex()
        == "fcaf3417964d388a84412cddeba7cbf971f97500e6552a7c459a8e07e4b7eecd"
    )
