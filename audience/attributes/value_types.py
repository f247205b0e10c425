"""The types of attribute values. Pure: standard library only. Source: contract C1.2."""

from typing import Literal

#: One string, one number, or a list of strings without duplicates.
AttributeValue = str | int | float | list[str]
#: The type of a custom attribute, the same for all profiles of an app; a list is text.
ValueType = Literal["text", "numeric"]
