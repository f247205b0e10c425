"""Evaluates definitions on profiles in Python: is the profile a member, and until when at least.

Pure: standard library only. `population_sql.py` says the same in SQL; tests/cases/rules.json and a
property test keep the two together. Source: issue "Audiences", Definitions; architecture 5.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from audience.audiences.condition_values import CompilePattern
from audience.audiences.definition import (
    Definition,
    Group,
    Node,
    node_document,
)
from audience.audiences.leaf_tests import (
    Change,
    CompiledNode,
    Context,
    Test,
    compile_leaf,
    reader,
)
from audience.audiences.time_bounds import NEVER
from audience.profiles.profile import Profile, timestamp_text

__all__ = ["Compiled", "Context", "compile_definition", "explain_definition"]

_MEMBER = (True, None)
_NO_MEMBER = (False, None)
_PAIR = 2


@dataclass(frozen=True, slots=True)
class Compiled:
    """A definition as Python closures; keeps no state but the last `now` it was asked about.

    evaluate: (profile, context) -> (is_member, changes_at). changes_at: later than now; the answer
    stays as it is until then unless the profile changes, and may differ from then on. It may come
    a few days before the answer really changes: evaluate again then. None: never by time alone.
    """

    evaluate: Callable[[Profile, Context], tuple[bool, datetime | None]]
    depends_on_time: bool


def compile_definition(
    definition: Definition, compile_pattern: CompilePattern, timezone: tzinfo
) -> Compiled:
    """The definition, compiled once for many profiles. timezone: the app's, for calendar time."""
    test, change = _compile_node(definition.root, compile_pattern, timezone)
    if change is None:
        return Compiled(
            lambda profile, context: _MEMBER if test(profile, context) else _NO_MEMBER,
            depends_on_time=False,
        )

    def evaluate(profile: Profile, context: Context) -> tuple[bool, datetime | None]:
        changes_at = change(profile, context)
        return test(profile, context), None if changes_at is NEVER else changes_at

    return Compiled(evaluate, depends_on_time=True)


def explain_definition(
    definition: Definition,
    compile_pattern: CompilePattern,
    timezone: tzinfo,
    profile: Profile,
    context: Context,
) -> dict[str, Any]:
    """The tree with the answer of each node, for showing why a profile is a member or not.

    Shape: the nodes of the definition, each with `is_met`, leaves also with `seen`: the value of
    the profile as JSON (membership: true or false), null when missing.
    """

    def explain(node: Node) -> dict[str, Any]:
        is_met = _compile_node(node, compile_pattern, timezone).test(profile, context)
        if isinstance(node, Group):
            children = [explain(child) for child in node.conditions]
            return {"operator": node.operator, "is_met": is_met, "conditions": children}
        if node.audience_id is not None:
            seen: Any = context.is_member(node.audience_id)
        else:
            seen = reader(node.field)(profile, context)
        if isinstance(seen, datetime):
            seen = timestamp_text(seen)
        return node_document(node) | {"is_met": is_met, "seen": None if seen == [] else seen}

    return explain(definition.root)


def _compile_node(node: Node, compile_pattern: CompilePattern, zone: tzinfo) -> CompiledNode:
    if not isinstance(node, Group):
        return compile_leaf(node, compile_pattern, zone)
    children = [_compile_node(child, compile_pattern, zone) for child in node.conditions]
    if len(children) == 1:
        (child,) = children
        return child if node.operator != "not" else CompiledNode(_not(child.test), child.change)
    is_or = node.operator == "or"
    tests = [child.test for child in children]
    test = _any_test(tests) if is_or else _all_tests(tests)
    is_static = all(child.change is None for child in children)
    change = None if is_static else _group_change(children, decisive=is_or)
    return CompiledNode(test, change)


def _not(test: Test) -> Test:
    return lambda profile, context: not test(profile, context)


def _all_tests(tests: list[Test]) -> Test:
    if len(tests) == _PAIR:
        first, second = tests
        return lambda profile, context: first(profile, context) and second(profile, context)

    def all_hold(profile: Profile, context: Context) -> bool:
        for test in tests:  # noqa: SIM110 - a generator would take twice as long
            if not test(profile, context):
                return False
        return True

    return all_hold


def _any_test(tests: list[Test]) -> Test:
    if len(tests) == _PAIR:
        first, second = tests
        return lambda profile, context: first(profile, context) or second(profile, context)

    def any_holds(profile: Profile, context: Context) -> bool:
        for test in tests:  # noqa: SIM110 - a generator would take twice as long
            if test(profile, context):
                return True
        return False

    return any_holds


def _group_change(children: list[CompiledNode], *, decisive: bool) -> Change:
    """When the answer of a group may change.

    decisive: the answer of one child that settles the group's (true for or, false for and). As
    long as one such child stays, so does the group: it waits for the last of them. Without one,
    any change may change the group.
    """

    def change(profile: Profile, context: Context) -> datetime:
        soonest, latest = NEVER, None
        for test, child_change in children:
            is_decisive = test(profile, context) == decisive
            if child_change is None:
                if is_decisive:
                    return NEVER
                continue
            changes_at = child_change(profile, context)
            if not is_decisive:
                soonest = min(soonest, changes_at)
            elif latest is None or changes_at > latest:
                latest = changes_at
        return soonest if latest is None else latest

    return change
