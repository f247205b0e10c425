"""The definitions that the bench measures, ours and the same for others."""

import random
from typing import Any


def leaf(name: str, operator: str, value: Any) -> dict[str, Any]:
    return {
        "condition_type": "profile",
        "field_type": "attributes",
        "name": name,
        "condition": {"operator": operator, "value": value},
    }


def group(operator: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {"operator": operator, "conditions": list(conditions)}


def audience_definitions(count: int) -> list[dict[str, Any]]:
    """Definitions of five conditions on attributes of which the measured writes change some.

    The age is another one in each write, so with a hundred of them about one membership changes.
    """
    dice = random.Random(3)  # noqa: S311 - the same on every run, no secret
    definitions = []
    for _ in range(count):
        score = dice.randrange(900)
        definitions.append(
            group(
                "and",
                group(
                    "or",
                    leaf("plan", "eq", dice.choice(["silver", "gold", "basic"])),
                    leaf("interests", "contains", f"topic-{dice.randrange(100)}"),
                ),
                leaf("score", "between", [score, score + 100]),
                group("not", leaf("newsletter", "eq", dice.choice(["yes", "no", "later"]))),
                leaf("age", dice.choice(["gte", "lt"]), dice.randrange(25, 80)),
            )
        )
    return definitions


#: One nested rule of five conditions: for previews, fills, and beside other evaluators.
NESTED = group(
    "and",
    group("or", leaf("plan", "eq", "silver"), leaf("score", "gte", 700)),
    group("not", leaf("newsletter", "eq", "no")),
    leaf("city", "in", ["Ulm", "Bonn", "Kiel"]),
    leaf("age", "lt", 60),
)

#: The same as somebody who knows the table would write it.
NESTED_SQL = """
SELECT count(*) FROM profiles WHERE app_id = $1
    AND (attributes ->> 'plan' = 'silver'
        OR jsonb_typeof(attributes -> 'score') = 'number'
            AND (attributes ->> 'score')::numeric >= 700)
    AND attributes ->> 'newsletter' IS DISTINCT FROM 'no'
    AND attributes ->> 'city' IN ('Ulm', 'Bonn', 'Kiel')
    AND jsonb_typeof(attributes -> 'age') = 'number' AND (attributes ->> 'age')::numeric < 60
"""

GROWTHBOOK = {
    "$and": [
        {"$or": [{"plan": "silver"}, {"score": {"$gte": 700}}]},
        {"$not": {"newsletter": "no"}},
        {"city": {"$in": ["Ulm", "Bonn", "Kiel"]}},
        {"age": {"$lt": 60}},
    ]
}


def _property(key: str, operator: str, value: Any) -> dict[str, Any]:
    return {"key": key, "operator": operator, "value": value, "type": "person"}


POSTHOG = {
    "type": "AND",
    "values": [
        {
            "type": "OR",
            "values": [_property("plan", "exact", "silver"), _property("score", "gte", 700)],
        },
        _property("newsletter", "is_not", "no"),
        _property("city", "exact", ["Ulm", "Bonn", "Kiel"]),
        _property("age", "lt", 60),
    ],
}


def attributes(count: int) -> list[dict[str, Any]]:
    """Random attributes of so many people, complete: not every evaluator takes missing ones."""
    dice = random.Random(5)  # noqa: S311 - the same on every run, no secret
    return [
        {
            "plan": dice.choice(["silver", "gold"]),
            "score": dice.randrange(1000),
            "newsletter": dice.choice(["yes", "no"]),
            "city": dice.choice(["Ulm", "Bonn", "Rome"]),
            "age": dice.randrange(18, 78),
            "color": "green",
            "last_product": f"sku-{dice.randrange(100_000)}",
            "interests": ["bikes", f"topic-{dice.randrange(100)}"],
        }
        for _ in range(count)
    ]
