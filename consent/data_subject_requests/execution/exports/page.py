"""The readable page of an access export: HTML that needs nothing from anywhere.

Pure: standard library only.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

#: {name of a member: what it is called}; see `labels`.
Labels = Mapping[str, str]

_NOTHING: tuple[Any, ...] = (None, {}, [])
#: Members whose own members are named by the app or its visitors (unless it is a list), or are
#: consent types; what is ours among them has its label as `<member>.<name>`.
_NAMED_OTHERWISE = frozenset({"attributes", "forms", "goals", "consents"})
#: Members that are shown without names: texts as the person saw them.
_WORDINGS = frozenset({"content"})
_NAMES_OF_IDENTIFIERS = ("identifiers", "name")

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1, h2, h3 { line-height: 1.2; }
section { margin-block: 2rem; }
article { border: 1px solid #8886; border-radius: .5rem; margin-block: 1rem; padding: .5rem 1rem; }
dl { display: grid; gap: .25rem 1rem; grid-template-columns: minmax(8rem, 14rem) 1fr; margin: 0; }
dt { font-weight: 600; overflow-wrap: anywhere; }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
ul { margin: 0; padding-inline-start: 1.25rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid #8886; padding: .25rem .5rem; text-align: start; vertical-align: top; }
th, td { overflow-wrap: anywhere; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } }
"""


def page_start(language: str, title: str, intro: str) -> str:
    """The page up to its first section."""
    return (
        f'<!doctype html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n<p>{escape(intro)}</p>\n"
    )


def section_start(name: str, heading: str, about: str) -> str:
    """A section up to its first record."""
    return (
        f'<section aria-labelledby="{escape(name)}">\n'
        f'<h2 id="{escape(name)}">{escape(heading)}</h2>\n<p>{escape(about)}</p>\n'
    )


def section_end(nothing: str | None) -> str:
    """The end of a section; nothing: what to say in one without records."""
    said = "" if nothing is None else f"<p>{escape(nothing)}</p>\n"
    return f"{said}</section>\n"


def page_end() -> str:
    """The end of the page."""
    return "</main>\n</body>\n</html>\n"


def record(value: Mapping[str, Any], heading: str, labels: Labels) -> str:
    """One record of a section.

    labels: what members are called; a name that they lack is shown as it is.
    """
    return (
        f"<article>\n<h3>{escape(heading)}</h3>\n{''.join(_members(value, '', labels))}</article>\n"
    )


def _members(members: Mapping[str, Any], parent: str, labels: Labels) -> Iterator[str]:
    yield "<dl>"
    for name, value in members.items():
        if value not in _NOTHING:
            label = _label(name, parent, labels)
            yield f"<dt>{escape(label)}</dt><dd>{''.join(_value(value, name, labels))}</dd>\n"
    yield "</dl>"


def _value(value: Any, name: str, labels: Labels) -> Iterator[str]:
    if isinstance(value, Mapping):
        is_wording = name in _WORDINGS
        yield from _list(value.values(), labels) if is_wording else _members(value, name, labels)
    elif isinstance(value, list):
        is_table = bool(value) and all(_is_flat(element) for element in value)
        yield from _table(value, name, labels) if is_table else _list(value, labels)
    elif isinstance(value, bool):
        yield escape(labels["yes" if value else "no"])
    else:
        yield escape(str(value))


def _list(elements: Iterable[Any], labels: Labels) -> Iterator[str]:
    yield "<ul>"
    for element in elements:
        yield f"<li>{''.join(_value(element, '', labels))}</li>"
    yield "</ul>"


def _table(rows: Sequence[Mapping[str, Any]], name: str, labels: Labels) -> Iterator[str]:
    """A column for each member that some row has."""
    columns = dict.fromkeys(
        column for row in rows for column, value in row.items() if value not in _NOTHING
    )
    yield f'<table aria-label="{escape(_label(name, "", labels))}"><thead><tr>'
    for column in columns:
        yield f'<th scope="col">{escape(_label(column, "", labels))}</th>'
    yield "</tr></thead><tbody>"
    for row in rows:
        yield "<tr>"
        for column in columns:
            yield f"<td>{''.join(_cell(row.get(column), column, name, labels))}</td>"
        yield "</tr>"
    yield "</tbody></table>"


def _cell(value: Any, column: str, name: str, labels: Labels) -> Iterator[str]:
    if value in _NOTHING:
        return
    if (name, column) == _NAMES_OF_IDENTIFIERS:
        yield escape(labels.get(value, value))
    else:
        yield from _value(value, column, labels)


def _is_flat(value: Any) -> bool:
    return isinstance(value, Mapping) and not any(
        isinstance(member, Mapping) for member in value.values()
    )


def _label(name: str, parent: str, labels: Labels) -> str:
    if parent in _NAMED_OTHERWISE:
        return labels.get(f"{parent}.{name}", name)
    return labels.get(name, name.replace("_", " "))
