"""All audiences of an app, compiled for evaluation.

Pure: standard library only. A set never changes; another revision of the app's audiences is another
set (`cache.py`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from audience.audiences.condition_values import CompilePattern
from audience.audiences.definition import Definition
from audience.audiences.evaluate import Compiled, Context, compile_definition
from audience.audiences.memberships.static_rules import StaticRules, is_static
from audience.audiences.references import audience_ids, field_names
from audience.profiles.profile import Profile

#: Selections remembered by a set; past them they are worked out anew.
_MAX_SELECTIONS = 1024


@dataclass(frozen=True, slots=True)
class AudienceRule:
    """What decides who is in an audience. duration: of the membership after the last match."""

    audience_id: str
    definition: Definition
    duration: timedelta | None = None


@dataclass(frozen=True, slots=True)
class CompiledAudience:
    """One audience, ready to be evaluated.

    attribute_names: the attributes that it or an audience it asks about looks at. is_always: it has
    to be evaluated at every change, not only of these attributes: time, a duration or the profile's
    updated_at plays a part. is_asked_about: another definition asks about its members.
    """

    audience_id: str
    evaluate: Callable[[Profile, Context], tuple[bool, datetime | None]]
    depends_on_time: bool
    duration: timedelta | None
    attribute_names: frozenset[str]
    is_always: bool
    is_asked_about: bool


class AudienceSet:
    """The audiences of an app, as a change of a profile needs them.

    revision, timezone: what it was compiled from. static: rules that depend on the profile alone,
    evaluated at once; static_ids are theirs in the order of the bits. dynamic: the others, each
    after those it asks about. may_change_by_time: some membership can. asks_attributes_only: every
    answer depends on attributes alone, at any time.
    """

    def __init__(
        self,
        revision: str,
        timezone: str,
        rules: Sequence[AudienceRule],
        compile_pattern: CompilePattern,
        zone: tzinfo,
    ) -> None:
        """rules: of all audiences of the app; zone: the time zone of that name."""
        self.revision, self.timezone = revision, timezone
        static = [rule for rule in rules if rule.duration is None and is_static(rule.definition)]
        self.static = StaticRules([rule.definition for rule in static], compile_pattern)
        self.static_ids = [rule.audience_id for rule in static]
        self.static_bits = {
            audience_id: 1 << position for position, audience_id in enumerate(self.static_ids)
        }
        compiled = compile_audiences(rules, compile_pattern, zone)
        self.asked_static_ids = [
            audience.audience_id
            for audience in compiled
            if audience.is_asked_about and audience.audience_id in self.static_bits
        ]
        self.dynamic = tuple(
            audience for audience in compiled if audience.audience_id not in self.static_bits
        )
        self.may_change_by_time = any(
            audience.depends_on_time or audience.duration is not None for audience in self.dynamic
        )
        self.durations = tuple(
            audience for audience in self.dynamic if audience.duration is not None
        )
        self.asks_attributes_only = not self.dynamic and self.static.asks_attributes_only
        self._always = 0
        self._by_attribute: dict[str, int] = {}
        self._selections: dict[int, tuple[CompiledAudience, ...]] = {}
        self._index()

    def _index(self) -> None:
        """Note which dynamic audiences look at which attribute, as bits of whole numbers."""
        for position, audience in enumerate(self.dynamic):
            bit = 1 << position
            if audience.is_always:
                self._always |= bit
            for name in audience.attribute_names:
                self._by_attribute[name] = self._by_attribute.get(name, 0) | bit

    def is_static_affected_by(self, attribute_names: Collection[str]) -> bool:
        """Whether a change of these attributes alone may change the answer of a static rule."""
        return not self.static.attribute_names.isdisjoint(attribute_names)

    def look_at(self, attribute_names: Collection[str]) -> bool:
        """Whether a change of these attributes alone may change any answer."""
        return self.is_static_affected_by(attribute_names) or bool(
            self.affected_by(attribute_names)
        )

    def affected_by(self, attribute_names: Iterable[str]) -> tuple[CompiledAudience, ...]:
        """The dynamic audiences whose answer may differ after a change of these alone."""
        bits = self._always
        for name in attribute_names:
            bits |= self._by_attribute.get(name, 0)
        found = self._selections.get(bits)
        if found is None:
            found = tuple(
                audience for position, audience in enumerate(self.dynamic) if bits >> position & 1
            )
            if len(self._selections) < _MAX_SELECTIONS:
                self._selections[bits] = found
        return found


def compile_audiences(
    rules: Sequence[AudienceRule],
    compile_pattern: CompilePattern,
    zone: tzinfo,
) -> tuple[CompiledAudience, ...]:
    """The rules of an app, compiled one by one, each after those it asks about.

    Rules must not ask about each other in a circle (`references.find_cycle`).
    """
    by_id = {rule.audience_id: rule for rule in rules}
    asked = {rule.audience_id: audience_ids(rule.definition) for rule in rules}
    asked_about = {audience_id for ids in asked.values() for audience_id in ids}
    done: dict[str, CompiledAudience] = {}
    for audience_id in dependency_order(asked):
        rule = by_id[audience_id]
        compiled = compile_definition(rule.definition, compile_pattern, zone)
        behind = [done[other] for other in asked[audience_id] if other in done]
        done[audience_id] = _compiled_audience(
            rule, compiled, behind, is_asked_about=audience_id in asked_about
        )
    return tuple(done.values())


def dependency_order(asked: Mapping[str, Collection[str]]) -> list[str]:
    """The audiences, each after those it asks about; ids without an entry are left out.

    asked: {audience_id: ids its definition asks about}.
    """
    order: dict[str, None] = {}
    pending = list(asked)[::-1]
    entered: set[str] = set()
    while pending:
        audience_id = pending[-1]
        if audience_id in entered:
            pending.pop()
            order.setdefault(audience_id)
            continue
        entered.add(audience_id)
        pending += [
            other
            for other in asked[audience_id]
            if other in asked and other not in order and other not in entered
        ]
    return list(order)


def _compiled_audience(
    rule: AudienceRule,
    compiled: Compiled,
    behind: Sequence[CompiledAudience],
    *,
    is_asked_about: bool,
) -> CompiledAudience:
    fields = field_names(rule.definition)
    names = {name for field_type, name in fields if field_type == "attributes"}
    return CompiledAudience(
        audience_id=rule.audience_id,
        evaluate=compiled.evaluate,
        depends_on_time=compiled.depends_on_time,
        duration=rule.duration,
        attribute_names=frozenset(names).union(*(other.attribute_names for other in behind)),
        is_always=(
            compiled.depends_on_time
            or rule.duration is not None
            or ("profile", "updated_at") in fields
            or any(other.is_always for other in behind)
        ),
        is_asked_about=is_asked_about,
    )
