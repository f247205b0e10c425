"""UUIDs as clients write them. Pure: standard library only."""

import re

from audience.errors import Invalid

UUID_FORM = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
UUID_PATTERN = re.compile(UUID_FORM)


def uuid_or_none(value: object) -> str | None:
    """A UUID in its 36-character form, lower-cased; None when it is none."""
    return value.lower() if isinstance(value, str) and UUID_PATTERN.fullmatch(value) else None


def parse_uuid(value: object, path: str) -> str:
    """A UUID in its 36-character form, lower-cased.

    Errors: Invalid naming the field when it is missing or has another form.
    """
    if value is None or value == "":
        message = f"{path} is required"
        raise Invalid(message, path=path)
    found = uuid_or_none(value)
    if found is None:
        message = f"{path} must be a UUID like 01234567-89ab-cdef-0123-456789abcdef"
        raise Invalid(message, path=path)
    return found
