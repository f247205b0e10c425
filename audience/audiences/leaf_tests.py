"""One condition compiled to closures: does a profile satisfy it, and until when at least.

Pure: standard library only. Source: issue "Audiences", Definitions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from audience.audiences.condition_values import CompilePattern, RelativeTime
from audience.audiences.definition import Leaf
from audience.audiences.element_tests import ElementTest, element_test
from audience.audiences.fields import Field
from audience.audiences.moments import parse_moment
from audience.audiences.operators import (
    POSITIVE_OF,
    TIME_OPERATORS,
    Quantifier,
    Reading,
    is_membership_wanted,
    reading_of,
)
from audience.audiences.time_bounds import NEVER
from audience.audiences.time_windows import Window, window_of
from audience.profiles.profile import Profile


def _no_member(_audience_id: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Context:
    """What an evaluation needs beside the profile; one serves all audiences of a profile.

    now: aware. is_member: asks about another audience, by its lower-case id.
    """

    now: datetime
    is_member: Callable[[str], bool] = _no_member


Test = Callable[[Profile, Context], bool]
#: The moment until which the answer surely stays, later than now; NEVER for ever.
Change = Callable[[Profile, Context], datetime]
Read = Callable[[Profile, Context], Any]
Quantify = Callable[[Any, ElementTest], bool]


class CompiledNode(NamedTuple):
    """A node as closures; change is None when time alone never changes the answer."""

    test: Test
    change: Change | None


def compile_leaf(leaf: Leaf, compile_pattern: CompilePattern, zone: tzinfo) -> CompiledNode:
    """The leaf as closures."""
    if leaf.audience_id is not None:
        return CompiledNode(_membership_test(leaf, leaf.audience_id), None)
    reading = reading_of(leaf.value_selector, leaf.operator)
    read = reader(leaf.field)
    positive = POSITIVE_OF.get(leaf.operator, leaf.operator)
    if positive in TIME_OPERATORS:
        assert isinstance(leaf.value, str | RelativeTime)  # noqa: S101 - by parse_definition
        return _compile_time(read, window_of(positive, leaf.value, zone), reading, zone)
    test = element_test(leaf, compile_pattern)
    if reading.quantifier == "any" and not leaf.field.may_be_list:
        found: Test = lambda profile, context: test(read(profile, context))  # noqa: E731
    elif reading.quantifier == "any" and leaf.field.column == "attributes":
        found = _any_attribute(leaf.name, test)
    else:
        found = _quantified(read, test, reading.quantifier)
    return CompiledNode(_completed(found, read, reading), None)


def compile_value_test(leaf: Leaf, compile_pattern: CompilePattern) -> ElementTest:
    """The leaf as a test of the stored value alone; not for time and memberships."""
    reading = reading_of(leaf.value_selector, leaf.operator)
    test = element_test(leaf, compile_pattern)
    quantify = _QUANTIFIERS[reading.quantifier]
    is_negated, when_missing = reading.is_negated, reading.when_missing
    if reading.quantifier == "count":
        return lambda value: quantify(value, test) != is_negated
    return lambda value: (
        when_missing if value is None or value == [] else quantify(value, test) != is_negated
    )


def reader(field: Field) -> Read:
    """Reads the field's value of a profile; None when it has none."""
    column = field.column
    match field.keys:
        case (key,) if column == "attributes":
            return lambda profile, _: profile.attributes.get(key)
        case (key,):
            return lambda profile, _: getattr(profile, column).get(key)
        case (item_id, member):
            return lambda profile, _: getattr(profile, column).get(item_id, {}).get(member)
        case _:
            return lambda profile, _: getattr(profile, column)


def _membership_test(leaf: Leaf, audience_id: str) -> Test:
    wanted = is_membership_wanted(leaf.operator, leaf.value)
    return lambda _, context: context.is_member(audience_id) == wanted


def _any_attribute(name: str, test: ElementTest) -> Test:
    """By far the most frequent condition, hence without a call to read the value."""

    def found(profile: Profile, _context: Context) -> bool:
        value = profile.attributes.get(name)
        if value.__class__ is not list:
            return test(value)
        return any(map(test, value))

    return found


def _any_of(value: Any, test: ElementTest) -> bool:
    return any(map(test, value)) if value.__class__ is list else test(value)


def _all_of(value: Any, test: ElementTest) -> bool:
    return bool(value) and all(map(test, value)) if value.__class__ is list else test(value)


def _first_of(value: Any, test: ElementTest) -> bool:
    return bool(value) and test(value[0]) if value.__class__ is list else test(value)


def _last_of(value: Any, test: ElementTest) -> bool:
    return bool(value) and test(value[-1]) if value.__class__ is list else test(value)


def _count_of(value: Any, test: ElementTest) -> bool:
    if value.__class__ is list:
        return test(len(value))
    return test(0 if value is None else 1)


_QUANTIFIERS: dict[Quantifier, Quantify] = {
    "any": _any_of,
    "all": _all_of,
    "first": _first_of,
    "last": _last_of,
    "count": _count_of,
}


def _quantified(read: Read, test: ElementTest, quantifier: Quantifier) -> Test:
    quantify = _QUANTIFIERS[quantifier]
    return lambda profile, context: quantify(read(profile, context), test)


def _completed(found: Test, read: Read, reading: Reading) -> Test:
    """Negates as the reading says. A missing value is never `found`, so mostly that's enough."""
    if not reading.is_negated:
        if not reading.when_missing:
            return found
        return lambda profile, context: (
            read(profile, context) in (None, []) or found(profile, context)
        )
    if reading.when_missing or reading.quantifier == "count":
        return lambda profile, context: not found(profile, context)

    def present_but_not_found(profile: Profile, context: Context) -> bool:
        return read(profile, context) not in (None, []) and not found(profile, context)

    return present_but_not_found


def _compile_time(read: Read, window: Window, reading: Reading, zone: tzinfo) -> CompiledNode:
    quantify = _QUANTIFIERS[reading.quantifier]
    holds = window.holds

    def found(profile: Profile, context: Context) -> bool:
        value = read(profile, context)
        if value is None:
            return False
        now = context.now

        def test(element: Any) -> bool:
            moment = moment_of(element, zone)
            return moment is not None and holds(moment, now)

        return quantify(value, test)

    def change(profile: Profile, context: Context) -> datetime:
        value = read(profile, context)
        elements = value if value.__class__ is list else (value,)
        moments = (moment_of(element, zone) for element in elements)
        crossings = (
            window.next_crossing(moment, context.now) for moment in moments if moment is not None
        )
        return min(crossings, default=NEVER)

    return CompiledNode(_completed(found, read, reading), change if window.is_moving else None)


def moment_of(value: Any, zone: tzinfo) -> datetime | None:
    """The moment a stored value stands for: a datetime, or a text that is one."""
    if value.__class__ is str:
        return parse_moment(value, zone)
    return value if isinstance(value, datetime) else None
