"""Compiles a definition to a WHERE clause over `profiles p`: counts, previews, the first fill.

It says in SQL what `evaluate.py` says in Python; both build on the same tables of operators,
fields and windows. Every name, value and time is a parameter, nothing of a definition is in the
text. Works on PostgreSQL 15 and later. Source: issue "Audiences", Definitions; architecture 5.
"""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from audience.audiences.definition import Definition, Group, Leaf, Node
from audience.audiences.operators import POSITIVE_OF, is_membership_wanted, reading_of
from audience.audiences.population_sql_elements import (
    ElementSql,
    Parameters,
    element_sql,
    is_expressible,
)
from audience.audiences.population_sql_values import (
    StoredValue,
    TimeColumn,
    stored_value,
)

_EVERYBODY = "true"


@dataclass(frozen=True, slots=True)
class PopulationClause:
    """A condition on `profiles p`, to stand behind `p.app_id = ... AND`.

    sql: with parameters numbered from the `first_parameter` asked for; never NULL.
    is_exact: False when it also lets profiles through that are no members; never the other way
    round. Then each profile found has to be evaluated in Python as well.
    """

    sql: str
    parameters: list[Any]
    is_exact: bool


def compile_population(
    definition: Definition,
    *,
    now: datetime,
    timezone: tzinfo,
    first_parameter: int = 2,
) -> PopulationClause:
    """The clause for the members at `now`; relative times are reckoned here, in the app's zone.

    `matches` is not exact: PostgreSQL's expressions are another language than RE2.
    """
    compiler = _Compiler(Parameters(first_parameter), now, timezone)
    sql = compiler.node(definition.root, is_wanted=True)
    return PopulationClause(sql, compiler.parameters.values, compiler.is_exact)


class _Compiler:
    def __init__(self, parameters: Parameters, now: datetime, zone: tzinfo) -> None:
        self.parameters = parameters
        self.is_exact = True
        self._now = now
        self._zone = zone

    def node(self, node: Node, *, is_wanted: bool) -> str:
        """The profiles whose answer is as wanted, and perhaps more.

        `not` is carried down to the leaves, so that a leaf that can only narrow lets more through
        under any number of them.
        """
        if isinstance(node, Leaf):
            return self._leaf(node, is_wanted=is_wanted)
        if node.operator == "not":
            return self.node(node.conditions[0], is_wanted=not is_wanted)
        clauses = [self.node(child, is_wanted=is_wanted) for child in node.conditions]
        return f"({_joint(node, is_wanted=is_wanted).join(clauses)})"

    def _leaf(self, leaf: Leaf, *, is_wanted: bool) -> str:
        if leaf.audience_id is not None:
            wanted = is_membership_wanted(leaf.operator, leaf.value) == is_wanted
            return self._membership(leaf.audience_id, is_wanted=wanted)
        if not is_expressible(leaf):
            self.is_exact = False
            return self._narrowing(leaf, is_wanted=is_wanted)
        value = stored_value(leaf.field, self.parameters)
        element = element_sql(leaf, self.parameters, self._now, self._zone)
        answer = _answer(leaf, value, element)
        return answer if is_wanted else f"(NOT {answer})"

    def _narrowing(self, leaf: Leaf, *, is_wanted: bool) -> str:
        """A leaf that SQL can't decide: a missing value at least has a known answer."""
        is_positive = leaf.operator not in POSITIVE_OF
        if is_positive != is_wanted:
            return _EVERYBODY
        return stored_value(leaf.field, self.parameters).is_present()

    def _membership(self, audience_id: str, *, is_wanted: bool) -> str:
        placeholder = self.parameters.add(audience_id, "uuid")
        return (
            f"({'' if is_wanted else 'NOT '}EXISTS (SELECT FROM audience_members m"
            f" WHERE m.app_id = p.app_id AND m.audience_id = {placeholder}"
            " AND m.profile_id = p.profile_id))"
        )


def _joint(group: Group, *, is_wanted: bool) -> str:
    return " AND " if (group.operator == "and") == is_wanted else " OR "


def _answer(leaf: Leaf, value: StoredValue | TimeColumn, element: ElementSql) -> str:
    """The leaf's answer as SQL that is true or false, never NULL. See `operators.Reading`."""
    reading = reading_of(leaf.value_selector, leaf.operator)
    found = f"({value.quantified(element, reading.quantifier)})"
    if not reading.is_negated:
        found = f"({found} IS TRUE)"
        return f"({found} OR NOT {value.is_present()})" if reading.when_missing else found
    found = f"({found} IS NOT TRUE)"
    if reading.when_missing or reading.quantifier == "count":
        return found
    return f"({value.is_present()} AND {found})"
