"""Attribute actions, row by row of contract C2; the same rows run over HTTP in api/."""

from typing import Any

import pytest

from audience.errors import Invalid
from audience.profile_changes.items import parse_entry
from audience.profiles.actions import Outcome, Removed, apply_action, value_type_of
from tests.conftest import load_cases


@pytest.mark.parametrize(("given", "expected"), load_cases("actions"))
def test_action(given: dict[str, Any], expected: dict[str, Any]) -> None:
    raw = {"name": "x", **given["entry"]}
    if expected.get("malformed"):
        with pytest.raises(Invalid, match=r"^entry\.(value|action) "):
            parse_entry(0, raw, "entry")
        return
    entry = parse_entry(0, raw, "entry")
    stored = given.get("stored")
    value_type = None if stored is None else value_type_of(stored)
    outcome = apply_action(stored, value_type, entry.action, entry.value)
    if "value" in expected:
        assert outcome == Outcome(value=expected["value"])
        assert type(outcome.value) is type(expected["value"])
    elif "skipped" in expected:
        assert outcome == Outcome(skipped=expected["skipped"])
    elif expected.get("removed"):
        assert isinstance(outcome.value, Removed)
    else:
        assert outcome == Outcome() or (isinstance(outcome.value, Removed) and stored is None)


def test_apply_action_leaves_its_input_alone() -> None:
    stored = ["a", "b"]
    apply_action(stored, "text", "list-add", "c")
    apply_action(stored, "text", "list-remove", "a")
    assert stored == ["a", "b"]
