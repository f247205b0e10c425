"""The enumerations of statistics and history, shown as [id, label] (contract H4).

Pure: standard library only.
"""

CONSENT_SOURCES = {1: "Popup or bottom bar", 2: "Reminder", 3: "Privacy settings on a page"}
CONSENT_FORM_BUTTONS = {1: "Agree to all", 2: "Reject all", 3: "Save choices", 4: "Close"}
CONSENT_SCOPES = {1: "Full consent", 2: "Any consent", 3: "No consent"}
CONSENT_ACTIONS = {1: "First consent", 2: "Changed consent"}


def labelled(labels: dict[int, str], value: int | None) -> list[int | str] | None:
    """[id, label], or None for None and 0 (does not apply)."""
    return [value, labels[value]] if value else None
