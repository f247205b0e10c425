"""Shapes of statistics in the authorized API."""

from datetime import date, timedelta
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from consent.decisions.statistics.metrics import DIMENSIONS, METRICS
from consent.forms.schemas import AppQuery

MAX_DAYS = 366
HOUR, DAY = "hour", "day"


class Day(fields.Field[date]):
    """A date like 2026-11-25."""

    def _deserialize(
        self,
        value: Any,
        attr: str | None,  # noqa: ARG002 - marshmallow's signature
        data: Any,  # noqa: ARG002
        **_kwargs: Any,
    ) -> date:
        message = "must be a date like 2026-11-25"
        if not isinstance(value, str) or len(value) != len("2026-11-25"):
            raise ValidationError(message)
        try:
            found = date.fromisoformat(value)
        except ValueError:
            raise ValidationError(message) from None
        if not 2000 <= found.year <= 2200:  # noqa: PLR2004 - what clocks and zones can reckon with
            raise ValidationError(message)
        return found


class Dimensions(fields.Field[list[str]]):
    """Names with commas between them."""

    def _deserialize(
        self,
        value: Any,
        attr: str | None,  # noqa: ARG002 - marshmallow's signature
        data: Any,  # noqa: ARG002
        **_kwargs: Any,
    ) -> list[str]:
        names = [name.strip() for name in str(value).split(",") if name.strip()]
        if len(set(names)) < len(names) or not set(names) <= set(DIMENSIONS):
            message = f"must be some of {', '.join(DIMENSIONS)}, each once"
            raise ValidationError(message)
        return names


class StatisticsQuery(AppQuery):
    """Which time, by hour or day of the app's clocks, split by what."""

    date_from = Day(required=True, metadata={"type": "string", "format": "date"})
    date_to = Day(
        required=True,
        metadata={"type": "string", "format": "date", "description": "The last day, counted too."},
    )
    granularity = fields.String(load_default=DAY, validate=validate.OneOf((HOUR, DAY)))
    dimensions = Dimensions(
        load_default=list,
        metadata={"type": "string", "description": f"Comma separated: {', '.join(DIMENSIONS)}."},
    )
    hostname = fields.String(load_default=None, validate=validate.Length(0, 253))

    @validates_schema
    def _is_a_time(self, data: dict[str, Any], **_: Any) -> None:
        if not timedelta() <= data["date_to"] - data["date_from"] < timedelta(days=MAX_DAYS):
            message = f"must not be before date_from, and at most {MAX_DAYS} days in all"
            raise ValidationError(message, "date_to")


_StatisticsAnswer: dict[str, Any] = {
    "period": fields.String(metadata={"description": "The day, or the hour's beginning."}),
    **{
        name: fields.Raw(metadata={"description": "Only when asked for; null: does not apply."})
        for name in DIMENSIONS
    },
    **{metric: fields.Integer(allow_none=True) for metric in METRICS},
}
StatisticsAnswer = Schema.from_dict(_StatisticsAnswer, name="StatisticsAnswer")
