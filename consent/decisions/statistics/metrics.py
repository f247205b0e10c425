"""The fifteen consent metrics and the dimensions they may be split by.

Pure: standard library only. Source: contract H2, H4-H6; decision 7.
"""

from typing import Any

from consent.decisions.counting import DECISION, FORM_CLICKED, FORM_SHOWN
from consent.decisions.enums import (
    CONSENT_ACTIONS,
    CONSENT_FORM_BUTTONS,
    CONSENT_SCOPES,
    CONSENT_SOURCES,
)
from consent.forms.consent_types import CONSENT_TYPES

#: {consent type: its column and metric have this in their names} (H2).
COLUMN_OF = {
    "ab_testing_and_personalization": "ab_testing_personalization",
    "custom_consent": "custom_1",
}
TYPE_METRICS = {name: f"consents_{COLUMN_OF.get(name, name)}" for name in CONSENT_TYPES}
TYPE_DIMENSIONS = {name: f"consent_type_{COLUMN_OF.get(name, name)}" for name in CONSENT_TYPES}
NO_DECISION_METRIC = "consents_no_decision"

#: {metric: (event type, column that must have a value, the value)}.
COUNTED = {
    "consent_form_impressions": (FORM_SHOWN, None, None),
    "consent_form_clicks": (FORM_CLICKED, None, None),
    "consents_first": (DECISION, "consent_action", 1),
    "consents_changed": (DECISION, "consent_action", 2),
    "consents_full": (DECISION, "consent_scope", 1),
    "consents_any": (DECISION, "consent_scope", 2),
    "consents_none": (DECISION, "consent_scope", 3),
}
METRICS = (*COUNTED, NO_DECISION_METRIC, *TYPE_METRICS.values())

LABELS = {
    "consent_source": CONSENT_SOURCES,
    "consent_form_button": CONSENT_FORM_BUTTONS,
    "consent_scope": CONSENT_SCOPES,
    "consent_action": CONSENT_ACTIONS,
}
HOSTNAME = "hostname"
DIMENSIONS = (*LABELS, *TYPE_DIMENSIONS.values(), HOSTNAME)


def shown_dimension(name: str, value: Any) -> Any:
    """A dimension's value on the wire: [id, label], 0 or 1, a host name; null: does not apply."""
    if name in LABELS:
        return [value, LABELS[name][value]] if value else None
    if name == HOSTNAME:
        return value
    return int(value) if value in ("0", "1") else None
