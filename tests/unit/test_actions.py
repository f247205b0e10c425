"""Attribute actions, row by row of contract C2; the same rows run over HTTP in api/."""

from typing import Any

import pytest

from audience.profile_changes.items import MalformedEntry, parse_entry
from audience.profiles.actions import Removed, apply_action, value_type_of
from tests.conftest import load_cases


@pytest.mark.parametrize(("given", "expected"), load_cases("actions"))
def test_action(given: dict[str, Any], expected: dict[str, Any]) -> None:
    raw = {"name": "x", **given["entry"]}
    if expected.get("malformed"):
        with pytest.raises(MalformedEntry) as malformed:
            parse_entry(0, raw)
        assert malformed.value.field in (".value", ".action")
        return
    _, _, action, value = parse_entry(0, raw)
    stored = given.get("stored")
    value_type = None if stored is None else value_type_of(stored)
    outcome = apply_action(stored, value_type, action, value)
    if "value" in expected:
        assert outcome == (expected["value"], None)
        assert type(outcome[0]) is type(expected["value"])
    elif "skipped" in expected:
        assert outcome == (None, expected["skipped"])
    elif expected.get("removed"):
        assert isinstance(outcome[0], Removed)
    else:
        assert outcome == (None, None) or (isinstance(outcome[0], Removed) and stored is None)


def test_apply_action_leaves_its_input_alone() -> None:
    stored = ["a", "b"]
    apply_action(stored, "text", "list-add", "c")
    apply_action(stored, "text", "list-remove", "a")
    assert stored == ["a", "b"]
