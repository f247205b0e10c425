"""The readable page of an access export: HTML that needs nothing from anywhere.

Pure: standard library only.
"""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

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


def record(value: Mapping[str, Any]) -> str:
    """One record of a section."""
    return f"<article>\n{''.join(_members(value))}</article>\n"


def _members(members: Mapping[str, Any]) -> Iterator[str]:
    yield "<dl>\n"
    for name, value in members.items():
        if value not in (None, {}, []):
            yield f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{''.join(_value(value))}</dd>\n"
    yield "</dl>\n"


def _value(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _members(value)
    elif isinstance(value, list):
        yield "<ul>\n"
        for element in value:
            yield f"<li>{''.join(_value(element))}</li>\n"
        yield "</ul>\n"
    else:
        yield escape(str(value))
