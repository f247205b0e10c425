"""The small page behind a confirmation's link. Pure: markup from values; no script at all.

It loads nothing from anywhere: one inline style sheet, which the policy allows by its hash.
"""

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from typing import Final

from consent.data_subject_requests.texts import LANGUAGES, text

LANGUAGE_NAMES = {
    "en": "English",
    "de": "Deutsch",
    "fr": "Français",
    "pl": "Polski",
    "es": "Español",
}
#: Names of the form's fields.
CODE, ACTION, SEND_AGAIN = "code", "action", "send_again"

#: Pages whose title and text are `page_<state>_title` and `page_<state>_text`.
NOTES = ("verified", "used", "locked", "expired", "sent", "too_many", "unknown", "gone", "failed")

STYLES: Final = (
    ":root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--ground:#eef1f4;--line:#6b7480;"
    "--accent:#0b5cad;--on-accent:#fff;--wrong:#a11d12}"
    "@media(prefers-color-scheme:dark){:root{--ink:#eceff2;--paper:#1d2126;--ground:#121518;"
    "--line:#98a2ad;--accent:#7cb8f5;--on-accent:#0a1520;--wrong:#ff9d92}}"
    "*{box-sizing:border-box}"
    "body{margin:0;min-height:100vh;background:var(--ground);color:var(--ink);"
    "font:1.0625rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}"
    "main,nav{max-width:34rem;margin:0 auto;padding:1.25rem}"
    "main{padding-top:clamp(1rem,8vh,5rem)}"
    ".card{background:var(--paper);border-radius:.75rem;padding:clamp(1.25rem,5vw,2.25rem);"
    "border:1px solid transparent}"
    "h1{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem}"
    "p{margin:0 0 1.25rem}"
    "label{display:block;font-weight:600}"
    ".hint{margin:0 0 .375rem}"
    ".wrong{color:var(--wrong);font-weight:600;margin:0 0 .375rem}"
    "input{font:inherit;font-size:1.5rem;letter-spacing:.2em;width:100%;max-width:12rem;"
    "min-height:3rem;padding:.25rem .75rem;color:inherit;background:var(--paper);"
    "border:2px solid var(--line);border-radius:.375rem;display:block;margin:0 0 1.25rem}"
    "input[aria-invalid]{border-color:var(--wrong)}"
    "button{font:inherit;font-weight:600;min-height:3rem;padding:.5rem 1.5rem;border:0;"
    "border-radius:.375rem;background:var(--accent);color:var(--on-accent);cursor:pointer}"
    "nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1rem;list-style:none;margin:0;padding:0}"
    "nav a{color:inherit;display:inline-block;padding:.5rem 0}"
    "nav a[aria-current]{font-weight:600;text-decoration:none}"
    ":focus-visible{outline:3px solid var(--accent);outline-offset:3px}"
    "@media(forced-colors:active){.card{border-color:CanvasText}button{border:1px solid}}"
)
_STYLES_HASH = base64.b64encode(hashlib.sha256(STYLES.encode()).digest()).decode()

HEADERS: Final[Mapping[str, str]] = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLES_HASH}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    # The address is the secret.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


def code_page(language: str, values: Mapping[str, object], tries_left: int | None = None) -> str:
    """The page that asks for the code; values: site, date, what.

    tries_left: after a wrong code.
    """
    problem = described = invalid = ""
    if tries_left is not None:
        wrong = escape(text(language, "page_wrong_code", tries=tries_left))
        problem = f'<p class="wrong" id="wrong" role="alert">{wrong}</p>'
        described, invalid = "wrong ", ' aria-invalid="true"'
    form = (
        f'<form method="post"><label for="code">{_text(language, "page_code")}</label>'
        f'<p class="hint" id="hint">{_text(language, "page_code_hint")}</p>{problem}'
        f'<input id="code" name="{CODE}" inputmode="numeric" autocomplete="one-time-code" '
        f'maxlength="12" required autofocus aria-describedby="{described}hint"{invalid}>'
        f'<button type="submit">{_text(language, "page_confirm")}</button></form>'
    )
    intro = escape(text(language, "page_intro", **values))
    title = text(language, "page_title")
    prefix = f"{text(language, 'page_error')}: " if tries_left is not None else ""
    return _page(language, prefix + title, title, f"<p>{intro}</p>{form}")


def note_page(language: str, state: str, values: Mapping[str, object]) -> str:
    """The page that says how things stand; state: one of NOTES."""
    title = text(language, f"page_{state}_title")
    body = f"<p>{escape(text(language, f'page_{state}_text', **values))}</p>"
    if state == "expired":
        label = _text(language, "page_send_again")
        body += (
            f'<form method="post"><button type="submit" name="{ACTION}" value="{SEND_AGAIN}">'
            f"{label}</button></form>"
        )
    return _page(language, title, title, body)


def _page(language: str, window_title: str, title: str, body: str) -> str:
    current = {language: ' aria-current="true"'}
    links = "".join(
        f'<li><a href="?language={code}" hreflang="{code}" lang="{code}"{current.get(code, "")}>'
        f"{LANGUAGE_NAMES[code]}</a></li>"
        for code in LANGUAGES
    )
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        f"<title>{escape(window_title)}</title>"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLES}</style></head><body>"
        f'<main><div class="card"><h1>{escape(title)}</h1>{body}</div></main>'
        f'<nav aria-label="{_text(language, "page_language")}"><ul>{links}</ul></nav>'
        "</body></html>\n"
    )


def _text(language: str, key: str) -> str:
    return escape(text(language, key))
