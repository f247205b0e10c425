"""In SQL: the moment until which a profile's answer to a definition surely stays.

As `changes_at` of `evaluate.py`, but reckoned from how far each condition reaches, without looking
at the others: it may come earlier than that, never later. So a fill can note when profiles have to
be evaluated again without evaluating them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from audience.audiences.condition_values import RelativeTime
from audience.audiences.definition import Definition, Leaf
from audience.audiences.memberships.audience_set import AudienceRule
from audience.audiences.moments import DATE_EXPRESSION, DATE_TIME_EXPRESSION
from audience.audiences.operators import POSITIVE_OF, TIME_OPERATORS
from audience.audiences.population_sql import compile_population
from audience.audiences.population_sql_elements import Parameters, as_moment
from audience.audiences.population_sql_values import StoredValue, TimeColumn, stored_value
from audience.audiences.time_windows import window_of


@dataclass(frozen=True, slots=True)
class FillSql:
    """Expressions over `profiles p`: who is a member, and when that may change (NULL: never)."""

    is_member: str
    changes_at: str
    parameters: list[Any]


def compile_fill(
    rule: AudienceRule, *, now: datetime, timezone: tzinfo, first_parameter: int
) -> FillSql | None:
    """What SQL needs to work out the members of an audience that nobody stays in from before.

    None when SQL can't tell exactly who is one.
    """
    clause = compile_population(
        rule.definition, now=now, timezone=timezone, first_parameter=first_parameter
    )
    if not clause.is_exact:
        return None
    parameters = Parameters(first_parameter + len(clause.parameters))
    is_member, changes = clause.sql, due_sql(rule.definition, parameters, now, timezone)
    if rule.duration is not None:
        lasting = parameters.add(rule.duration, "interval")
        until = f"p.updated_at + {lasting}"
        is_member = f"({is_member} AND {parameters.add(now, 'timestamptz')} < {until})"
        ends = f"CASE WHEN {is_member} THEN {until} END"
        changes = ends if changes is None else f"LEAST({changes}, {ends})"
    values = [*clause.parameters, *parameters.values]
    return FillSql(is_member, changes or "NULL::timestamptz", values)


#: The start of a day in any zone is at most so far from midnight in UTC.
_DATE_SLACK = timedelta(hours=30)


def due_sql(
    definition: Definition, parameters: Parameters, now: datetime, zone: tzinfo
) -> str | None:
    """An expression over `profiles p`: a timestamptz from `now` on, or NULL for never.

    None: for no profile at all. A list with a condition on time is due at once.
    """
    found = [
        expression
        for leaf in definition.leaves()
        for expression in _leaf_due(leaf, parameters, now, zone)
    ]
    return f"LEAST({', '.join(found)})" if found else None


def _leaf_due(leaf: Leaf, parameters: Parameters, now: datetime, zone: tzinfo) -> Iterator[str]:
    positive = POSITIVE_OF.get(leaf.operator, leaf.operator)
    if positive not in TIME_OPERATORS or leaf.value_selector == "count":
        return
    assert isinstance(leaf.value, str | RelativeTime)  # noqa: S101 - by parse_definition
    for reach in window_of(positive, leaf.value, zone).reaches():
        value = stored_value(leaf.field, parameters)
        crossing = _Crossing(parameters, now, *reach)
        if isinstance(value, TimeColumn):
            yield crossing.of(value.column)
        else:
            yield _text_due(value, crossing)


class _Crossing:
    """When a bound of this reach may cross a moment."""

    def __init__(
        self, parameters: Parameters, now: datetime, nearest: timedelta, farthest: timedelta
    ) -> None:
        self.parameters, self.now = parameters, parameters.add(now, "timestamptz")
        self._nearest, self._farthest = nearest, farthest

    def of(self, moment: str, slack: timedelta = timedelta()) -> str:
        """As `Bound.next_crossing`, for a moment that may lie `slack` earlier or later."""
        last = self.parameters.add(self._nearest - slack, "interval")
        first = self.parameters.add(self._farthest + slack, "interval")
        return (
            f"CASE WHEN {self.now} <= {moment} - {last}"
            f" THEN GREATEST({moment} - {first}, {self.now}) END"
        )


def _text_due(value: StoredValue, crossing: _Crossing) -> str:
    date_time, only_date = (
        crossing.parameters.add(pattern, "text")
        for pattern in (DATE_TIME_EXPRESSION, DATE_EXPRESSION)
    )
    midnight = f"({value.text}::date::timestamp AT TIME ZONE 'UTC')"
    of_text = (
        f"CASE WHEN {value.text} ~ {date_time} THEN {crossing.of(as_moment(value.text))}"
        f" WHEN {value.text} ~ {only_date} THEN {crossing.of(midnight, _DATE_SLACK)} END"
    )
    return (
        f"CASE jsonb_typeof({value.json}) WHEN 'string' THEN {of_text}"
        f" WHEN 'array' THEN {crossing.now} END"
    )
