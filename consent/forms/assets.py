"""The built scripts and templates: `static/dist/` of a checkout, inside the package of a wheel."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from audience.errors import NotFound
from consent.forms.container import TEMPLATE_KEYS, TemplateSource

_PACKAGE = Path(__file__).resolve().parents[2]


class Scripts(NamedTuple):
    """The script with the built-in form, the one for apps with a form of their own, its widgets."""

    form: str
    commands: str
    widgets: str


@cache
def container_scripts() -> Scripts:
    """Read once.  Errors: NotFound when they were not built."""
    names = ("consent-form", "consent-commands", "consent-widgets")
    return Scripts(*(_read(f"{name}.min.js") for name in names))


@cache
def template_sources() -> Mapping[str, TemplateSource]:
    """{template key: markup with placeholders, styles}; read once.  Errors: NotFound."""
    return {
        key: TemplateSource(
            _read(f"consent_templates/{key}.html"), _read(f"consent_templates/{key}.css")
        )
        for key in TEMPLATE_KEYS
    }


def _read(name: str) -> str:
    installed = _PACKAGE / "audience" / "static" / "dist"
    folder = installed if installed.is_dir() else _PACKAGE / "static" / "dist"
    path = folder / name
    if not path.is_file():
        message = f"{name} was not built: run `make widgets`"
        raise NotFound(message)
    return path.read_text("utf-8")
