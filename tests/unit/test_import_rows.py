"""Files of profiles: records out of pieces, what columns become, what is wrong with a row."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience.errors import Invalid
from audience.profile_changes.imports.columns import map_columns
from audience.profile_changes.imports.csv_records import MAX_RECORD_CHARACTERS, CsvRecords
from audience.profile_changes.imports.rows import RowError, RowRules, parse_row
from audience.profile_changes.items import Item
from audience.profiles.identifiers import normalise_email


def _records(*pieces: str) -> list[list[str]]:
    records = CsvRecords()
    found = [record for piece in pieces for record in records.feed(piece)]
    return found + list(records.finish())


_CELL = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=8)


@given(
    st.lists(st.lists(_CELL, min_size=2, max_size=4), min_size=1, max_size=5),
    st.integers(1, 7),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_what_was_written_is_read_however_it_is_cut(
    rows: list[list[str]], size: int, end: str, quoting: Any
) -> None:
    header = ["first", "second"]
    text = io.StringIO()
    csv.writer(text, lineterminator=end, quoting=quoting).writerows([header, *rows])
    whole = text.getvalue()
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert _records(*pieces) == [header, *rows]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_header_decides_the_delimiter(delimiter: str) -> None:
    text = f"a{delimiter}b\n1,5{delimiter}2\n" if delimiter != "," else "a,b\n1;5,2\n"
    assert _records(text)[1] == (["1,5", "2"] if delimiter != "," else ["1;5", "2"])


def test_blank_lines_and_a_missing_last_line_end_do_not_matter() -> None:
    assert _records("a,b\n\n1,2\r\n\r\n3,4") == [["a", "b"], ["1", "2"], ["3", "4"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a\n"x', "line 2: a quote is opened and never closed"),
        ('a\nb\n"x"y"z"\n', "line 3 is not valid CSV"),
        ('a\n"' + "x\n" * (MAX_RECORD_CHARACTERS // 2 + 1), "line 2: a record may have at most"),
        ("x" * (MAX_RECORD_CHARACTERS + 1), "line 1: a record may have at most"),
        ("a\n" + "x" * 140_000 + "\n", "line 2 is not valid CSV, or has a cell"),
    ],
)
def test_what_is_no_csv_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        _records(text)


def test_columns_are_what_they_are_called() -> None:
    header = ["user_id", "device_ids", "age", "notes", "E-mail", "Stadt"]
    mapping = {
        "E-mail": {"identifier": "email"},
        "Stadt": {"attribute": "city", "type": "text"},
        "notes": None,
    }
    found = [
        (column.header, column.identifier, column.attribute, column.value_type, column.is_list)
        for column in map_columns(header, mapping)
    ]
    assert found == [
        ("user_id", "user_id", None, None, False),
        ("device_ids", "device_id", None, None, True),
        ("age", None, "age", None, False),
        ("E-mail", "email", None, None, False),
        ("Stadt", None, "city", "text", False),
    ]


@pytest.mark.parametrize(
    ("header", "mapping", "message"),
    [
        (["age"], {}, "no column is an identifier"),
        (["user_id", ""], {}, "column 2 has no name"),
        (["user_id", "a\0"], {"a\0": None}, "or one with NUL"),
        (["user_id", "a", "a"], {}, "two columns are called 'a'"),
        (["user_id"] + [f"a{n}" for n in range(1000)], {}, "at most 1000"),
        (["user_id"], {"x": None}, "which the file does not have"),
        (["user_id", "id"], {"id": {"identifier": "user_id"}}, "become the same"),
        (["user_id", "a", "b"], {"a": {"attribute": "b"}}, "become the same"),
        (["user_id", "a"], {"a": {"identifier": "cookie"}}, "must be one of user_id"),
        (["user_id", "a"], {"a": {"attribute": ""}}, "1 to 255 characters"),
        (["user_id", "x" * 256], {}, "1 to 255 characters"),
        (["user_id", "a"], {"a": {"attribute": "a", "type": "date"}}, "must be one of text"),
        (["user_id", "a"], {"a": {"name": "a"}}, "must be"),
        (["user_id", "a"], {"a": "email"}, "must be"),
    ],
)
def test_header_and_mapping_that_can_not_be_followed(
    header: list[str], mapping: dict[str, Any], message: str
) -> None:
    with pytest.raises(Invalid, match=message):
        map_columns(header, mapping)


def _check_email(value: str) -> str | None:
    return normalise_email(value) if "@" in value else None


def _parse(header: str, cells: list[str], **options: Any) -> Item | list[RowError]:
    names = header.split(",")
    rules = RowRules(
        "app",
        map_columns(names, options.pop("mapping", {})),
        len(names),
        _check_email,
        options.pop("types", {}),
        **options,
    )
    return parse_row(rules, 7, cells)


def test_row_becomes_an_item_with_its_strongest_identifier_first() -> None:
    header = "analytics_visitor_id,device_ids,age,likes,email,empty,user_id"
    cells = ["00000000000000A1", '["d1","d2"]', "40", '["a","b","a"]', " Kim@x.org", " ", "u"]
    item = _parse(header, cells, types={"age": "numeric"})
    assert isinstance(item, Item)
    assert item.identifiers == (
        ("user_id", "u"),
        ("email", "kim@x.org"),
        ("device_id", "d1"),
        ("device_id", "d2"),
        ("analytics_visitor_id", "00000000000000a1"),
    )
    assert item.email_as_given == "Kim@x.org"
    assert [tuple(entry) for entry in item.entries] == [
        (0, "age", "set", 40),
        (1, "likes", "set", ["a", "b"]),
    ]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("40", "40"),
        ("'=1+1", "=1+1"),
        ("'quoted'", "'quoted'"),
        ("'", "'"),
        ("[1]", "[1]"),
        ("[", "["),
        ("[]", "[]"),
        ('["\\ud800"]', '["\\ud800"]'),
        ('["a", "b"]', ["a", "b"]),
    ],
)
def test_texts_and_lists(cell: str, value: Any) -> None:
    item = _parse("user_id,a", ["u", cell])
    assert isinstance(item, Item)
    assert item.entries[0][3] == value


def test_mapping_says_the_type_of_a_new_attribute() -> None:
    mapping = {"a": {"attribute": "a", "type": "numeric"}}
    item = _parse("user_id,a", ["u", "-1.50"], mapping=mapping)
    assert isinstance(item, Item)
    assert item.entries[0][3] == -1.5
    with pytest.raises(Invalid, match="is text in this app"):
        _parse("user_id,a", ["u", "1"], mapping=mapping, types={"a": "text"})


@pytest.mark.parametrize(
    ("header", "cells", "errors"),
    [
        ("user_id,a", ["u"], [(None, "has 1 cells, the header has 2")]),
        ("user_id,a", ["", "x"], [(None, "has no usable identifier")]),
        ("user_id,a", ["undefined", "x"], [(None, "has no usable identifier")]),
        ("user_id,a", ["app-placeholder", "x"], [(None, "has no usable identifier")]),
        ("user_id,email", ["u", "nobody"], [("email", "must be a valid e-mail address")]),
        ("analytics_visitor_id,a", ["x", "1"], [("analytics_visitor_id", "must be 16 hex digits")]),
        ("user_id,a", ["u", "x" * 1025], [("a", "must have at most 1024 characters")]),
        ("user_id,a", ["u", "x\0"], [("a", "must not contain NUL")]),
        ("user_id,n", ["u", "ten"], [("n", "must be a number")]),
        ("user_id,device_ids", ["u", "x"], [("device_ids", "must be a JSON array of at most 20")]),
        (
            "user_id,email,n",
            ["x" * 513, "nobody", "1e999"],
            [
                ("user_id", "must have at most 512 characters"),
                ("email", "must be a valid e-mail address"),
                ("n", "must be a number"),
            ],
        ),
    ],
)
def test_wrong_row_tells_everything_and_repeats_no_value(
    header: str, cells: list[str], errors: list[tuple[str | None, str]]
) -> None:
    found = _parse(
        header, cells, types={"n": "numeric"}, also_blocked=frozenset({"app-placeholder"})
    )
    assert isinstance(found, list)
    assert [(error.row, error.column) for error in found] == [(7, column) for column, _ in errors]
    for error, (_, problem) in zip(found, errors, strict=True):
        assert error.problem.startswith(problem)
