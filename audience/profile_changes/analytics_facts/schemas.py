"""Shapes of facts of the analytics system."""

import math
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from audience.attributes.analytics_keys import ANALYTICS_KEYS
from audience.profile_changes.analytics_facts.facts import ALL_GOALS
from audience.profiles.actions import MAX_VALUE_CHARACTERS
from audience.profiles.identifiers import (
    MAX_IDENTIFIER_CHARACTERS,
    normalise_analytics_visitor_id,
)
from audience.server.schema_fields import Moment, UuidText, text_field

MAX_ID_CHARACTERS = 255
#: Money of one event; sums of a million of them are exact to the cent.
MAX_REVENUE = 1e9


class EventId(fields.Field[str]):
    """The id of a goal, an event or an order: a text or a whole number."""

    def _deserialize(
        self,
        value: Any,
        attr: str | None,  # noqa: ARG002 - marshmallow's signature
        data: Any,  # noqa: ARG002
        **_kwargs: Any,
    ) -> str:
        text = str(value) if type(value) is int else value
        if not isinstance(text, str) or not 1 <= len(text) <= MAX_ID_CHARACTERS or "\x00" in text:
            message = f"must be a whole number or 1 to {MAX_ID_CHARACTERS} characters"
            raise ValidationError(message)
        return text


class Revenue(fields.Field[int | float]):
    """An amount of money, in the app's currency."""

    def _deserialize(
        self,
        value: Any,
        attr: str | None,  # noqa: ARG002 - marshmallow's signature
        data: Any,  # noqa: ARG002
        **_kwargs: Any,
    ) -> int | float:
        # By type, not isinstance: true is an int in Python.
        if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > MAX_REVENUE:
            message = f"must be a number from -{MAX_REVENUE:.0f} to {MAX_REVENUE:.0f}"
            raise ValidationError(message)
        amount: int | float = value
        return amount


class GoalFields(Schema):
    """One conversion of a goal."""

    id = EventId(
        required=True,
        validate=validate.NoneOf([ALL_GOALS], error=f"must not be {ALL_GOALS!r}: that is the sum"),
        metadata={"description": "The goal."},
    )
    revenue = Revenue(load_default=0)
    event_id = EventId(
        metadata={
            "description": "The conversion counts once. Without it the visitor and the moment "
            "tell conversions apart."
        }
    )


class OrderFields(Schema):
    """One order of the shop."""

    id = EventId(required=True, metadata={"description": "The order; it counts once."})
    revenue = Revenue(required=True)


AnalyticsFields = Schema.from_dict(
    {name: text_field(MAX_VALUE_CHARACTERS, shortest=0) for name in ANALYTICS_KEYS},
    name="AnalyticsFields",
)


def _is_visitor_id(value: str) -> None:
    if normalise_analytics_visitor_id(value) is None:
        message = "must be 16 hex digits"
        raise ValidationError(message)


class AnalyticsFact(Schema):
    """One fact about a visitor."""

    website_id = UuidText(required=True, metadata={"description": "The app ID."})
    analytics_visitor_id = fields.String(required=True, validate=_is_visitor_id)
    user_id = text_field(MAX_IDENTIFIER_CHARACTERS, shortest=0)
    occurred_at = Moment(required=True, metadata={"description": "When; not in the future."})
    analytics = fields.Nested(
        AnalyticsFields,
        load_default=dict,
        metadata={"description": "What is known of the visitor; replaces older knowledge whole."},
    )
    visit = fields.Boolean(truthy={True}, falsy={False}, load_default=False)
    goal = fields.Nested(GoalFields, load_default=None)
    order = fields.Nested(OrderFields, load_default=None)


class FactsAnswer(Schema):
    """What became of a batch of facts."""

    facts = fields.Integer(metadata={"description": "How many were taken."})
    orders = fields.Integer(metadata={"description": "Orders that count now."})
    conversions = fields.Integer(metadata={"description": "Goal conversions that count now."})
    repeated = fields.Integer(metadata={"description": "Orders and conversions known already."})
    erased = fields.Integer(metadata={"description": "Facts about erased persons: dropped."})
    skipped = fields.List(
        fields.Dict(), metadata={"description": "{fact, name, reason} of goals left out."}
    )
