"""Filling the built-in templates; the placeholders are described in static/consent_templates.

Pure: standard library only.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

#: {name: text, None, or a list of such mappings}.
Values = Mapping[str, Any]

_SECTION = re.compile(r"\{\{#(\w+)\}\}(.*?)\{\{/\1\}\}", re.DOTALL)
_NAME = re.compile(r"\{\{(\w+)\}\}")


def fill_template(template: str, values: Values) -> str:
    """The template with every `{{name}}` replaced by the escaped text of that name.

    `{{#name}}...{{/name}}` is left out when the value is missing or empty, and repeated for each
    item when it is a list; inside, the item's own names come first. Sections don't nest.
    What was filled in is not looked at again: a text may contain braces.
    Errors: KeyError for a name without a value.
    """
    pieces: list[str] = []
    end = 0
    for found in _SECTION.finditer(template):
        pieces.append(_fill_names(template[end : found.start()], values))
        end = found.end()
        value = values.get(found[1])
        items: Sequence[Values] = value if isinstance(value, list) else [{}] if value else []
        pieces += [_fill_names(found[2], {**values, **item}) for item in items]
    pieces.append(_fill_names(template[end:], values))
    return "".join(pieces)


def _fill_names(template: str, values: Values) -> str:
    return _NAME.sub(lambda found: escape(str(values[found[1]] or "")), template)
