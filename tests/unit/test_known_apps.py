"""What a process remembers of apps: bounded, and only what stays true."""

import gc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from audience.attributes.value_types import ValueType
from audience.profile_changes import known_apps
from audience.profile_changes.loaded_app import KnownApp

NOTHING: frozenset[str] = frozenset()


class _Source:
    """Stands for a connection."""


ONE = _Source()


def _app(version: str = "1", **types: ValueType | None) -> KnownApp:
    return KnownApp(version, "organization", NOTHING, types, None, "UTC", None, has_erased=False)


@pytest.fixture(autouse=True)
def source() -> Iterator[_Source]:
    """What was read through it goes with it."""
    yield ONE
    known_apps._known.pop(ONE, None)  # noqa: SLF001


def test_an_app_is_recalled_with_the_types_of_all_wanted_attributes_or_not_at_all() -> None:
    known_apps.remember(ONE, "one", _app(city="text", age="numeric"))
    assert known_apps.recall(ONE, "one", {"city"}) == _app(city="text", age="numeric")
    assert known_apps.recall(ONE, "one", NOTHING) is not None
    assert known_apps.recall(ONE, "one", {"city", "plan"}) is None
    assert known_apps.recall(ONE, "other", NOTHING) is None


def test_an_attribute_without_a_type_is_not_remembered() -> None:
    known_apps.remember(ONE, "one", _app(city="text", declared=None))
    assert known_apps.recall(ONE, "one", {"declared"}) is None
    assert known_apps.recall(ONE, "one", {"city"}) == _app(city="text")


def test_types_come_together_while_the_app_is_the_same() -> None:
    known_apps.remember(ONE, "one", _app(city="text"))
    known_apps.remember(ONE, "one", _app(age="numeric"))
    assert known_apps.recall(ONE, "one", {"city", "age"}) is not None


def test_of_another_version_only_what_was_read_counts() -> None:
    known_apps.remember(ONE, "one", _app(city="text", age="numeric"))
    known_apps.remember(ONE, "one", _app("2", city="numeric"))
    assert known_apps.recall(ONE, "one", {"city"}) == _app("2", city="numeric")
    assert known_apps.recall(ONE, "one", {"age"}) is None


def test_what_changed_is_forgotten() -> None:
    known_apps.remember(ONE, "one", _app(city="text"))
    known_apps.forget(ONE, "one")
    known_apps.forget(ONE, "one")
    assert known_apps.recall(ONE, "one", NOTHING) is None


def test_the_attributes_read_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_apps, "_MAX_TYPES", 3)
    known_apps.remember(ONE, "one", _app(a="text", b="text"))
    known_apps.remember(ONE, "one", _app(a="text", c="text", d="text"))
    assert known_apps.recall(ONE, "one", {"a", "c", "d"}) is not None
    assert known_apps.recall(ONE, "one", {"b"}) is None
    known_apps.remember(ONE, "one", replace(_app(), types={f"n{n}": "text" for n in range(5)}))
    assert known_apps.recall(ONE, "one", {"n2", "n3", "n4"}) is not None
    assert known_apps.recall(ONE, "one", {"n1"}) is None


def test_the_app_used_longest_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_apps, "_MAX_APPS", 2)
    known_apps.remember(ONE, "one", _app())
    known_apps.remember(ONE, "two", _app())
    assert known_apps.recall(ONE, "one", NOTHING) is not None
    known_apps.remember(ONE, "three", _app())
    assert known_apps.recall(ONE, "two", NOTHING) is None
    assert known_apps.recall(ONE, "one", NOTHING) is not None
    assert known_apps.recall(ONE, "three", NOTHING) is not None


def test_what_another_connection_has_read_is_not_recalled() -> None:
    other = _Source()
    known_apps.remember(other, "one", _app(city="text"))
    assert known_apps.recall(ONE, "one", NOTHING) is None
    known_apps.forget(ONE, "one")
    assert known_apps.recall(other, "one", NOTHING) is not None
    before = len(known_apps._known)  # noqa: SLF001
    del other
    gc.collect()
    assert len(known_apps._known) == before - 1  # noqa: SLF001
