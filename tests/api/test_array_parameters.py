"""Arrays that go as text arrive as the values they were made of, whatever those are."""

from datetime import UTC, datetime
from itertools import count
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience.server.array_parameters.storage import (
    number_array,
    row_parameters,
    rows_sql,
    text_array,
    uuid_array,
)

_COLUMNS = (
    "app_id uuid, id uuid, name text, small smallint, big bigint, is_so boolean, digest bytea,"
    "moment timestamptz, document jsonb, hash bytea(3)"
)
#: PostgreSQL has no NUL in texts; who takes texts in refuses them.
_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_AWKWARD = st.sampled_from(["", "NULL", "null", " ", '"', "\\", '\\"', "{", "}", "{}", ",", "a,b"])
_UUIDS = st.uuids().map(str)


def _rows(app_ids: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    row = st.tuples(
        app_ids,
        st.none() | _UUIDS,
        st.none() | _AWKWARD | _TEXTS,
        st.none() | st.integers(-(2**15), 2**15 - 1),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.booleans(),
        st.none() | st.binary(max_size=10),
        st.none()
        | st.datetimes(datetime(1800, 1, 1), datetime(2255, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the bounds are of the time zone that is asked for
        st.none() | st.sampled_from(["1", '{"a": "b\\\\c"}', '"x"']),
        st.none() | st.binary(min_size=3, max_size=3).filter(any),
    )
    return st.lists(row, min_size=1, max_size=5)


async def _read(rows: asyncpg.Connection, given_rows: list[Any], *, is_one_app: bool) -> list[Any]:
    found = await rows.fetch(
        rows_sql(_COLUMNS, count(1), is_one_app=is_one_app),
        *row_parameters(_COLUMNS, given_rows, is_one_app=is_one_app),
    )
    return [(str(row[0]), None if row[1] is None else str(row[1]), *list(row)[2:]) for row in found]


@pytest.mark.parametrize("is_one_app", [True, False])
@settings(
    max_examples=300,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_rows_come_back_as_they_were_given(
    rows: asyncpg.Connection, data: st.DataObject, *, is_one_app: bool
) -> None:
    app_ids = st.just(data.draw(_UUIDS)) if is_one_app else _UUIDS
    wanted = data.draw(_rows(app_ids))
    assert await _read(rows, wanted, is_one_app=is_one_app) == wanted


async def test_rows_of_nothing_but_an_app_are_one_row(rows: asyncpg.Connection) -> None:
    app_id = "0a9c2d4e-5b61-4f7a-8c3d-1e2f3a4b5c6d"
    for is_one_app in (True, False):
        found = await rows.fetch(
            rows_sql("app_id uuid", count(1), is_one_app=is_one_app),
            *row_parameters("app_id uuid", [(app_id,)], is_one_app=is_one_app),
        )
        assert [str(row[0]) for row in found] == [app_id]


async def test_arrays_may_be_empty(rows: asyncpg.Connection) -> None:
    for array, column_type in (
        (uuid_array, "uuid"),
        (number_array, "bigint"),
        (text_array, "text"),
    ):
        assert await rows.fetchval(f"SELECT $1::text::{column_type}[]", array([])) == []


@pytest.mark.parametrize("texts", [["a\0b"], ["a", "\0"], ["\0", None]])
async def test_a_nul_is_refused_and_never_makes_two_texts(
    rows: asyncpg.Connection, texts: list[str | None]
) -> None:
    with pytest.raises(asyncpg.CharacterNotInRepertoireError):
        await rows.fetchval("SELECT $1::text::text[]", text_array(texts))
