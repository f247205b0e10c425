"""One rule on many people: our evaluator beside those of `growthbook` and `posthog`."""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from growthbook.core import evalCondition
from posthog.feature_flags import match_property_group

from audience.audiences.definition import parse_definition
from audience.audiences.evaluate import Context, compile_definition
from audience.audiences.patterns import compile_pattern
from audience.profiles.profile import Profile
from tests.bench.audiences import rules
from tests.bench.wrk import BenchError

OURS, GROWTHBOOK, POSTHOG = "ours", "growthbook", "posthog"


def measure_evaluators(people: int, rounds: int) -> dict[str, float]:
    """Microseconds of processor time an evaluation takes, medians; contenders take turns.

    Errors: BenchError when they do not agree.
    """
    attributes = rules.attributes(people)
    now = datetime.now(UTC)
    profiles = [
        Profile(profile_id=str(number), created_at=now, updated_at=now, attributes=found)
        for number, found in enumerate(attributes)
    ]
    definition = parse_definition(rules.NESTED, compile_pattern)
    evaluate = compile_definition(definition, compile_pattern, UTC).evaluate
    context = Context(now)
    contenders: dict[str, Callable[[], list[bool]]] = {
        OURS: lambda: [evaluate(profile, context)[0] for profile in profiles],
        GROWTHBOOK: lambda: [evalCondition(found, rules.GROWTHBOOK) for found in attributes],
        POSTHOG: lambda: [match_property_group(rules.POSTHOG, found, {}) for found in attributes],
    }
    answers: dict[str, Any] = {name: contender() for name, contender in contenders.items()}
    if not answers[OURS] == answers[GROWTHBOOK] == answers[POSTHOG] or True not in answers[OURS]:
        raise BenchError("the evaluators do not agree on who matches the rule")
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            started = time.process_time()
            contender()
            times[name].append((time.process_time() - started) / people * 1e6)
    return {name: statistics.median(found) for name, found in times.items()}
