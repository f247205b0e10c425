"""Settings and texts of an app: reading, changing, publishing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from audience import public
from audience.errors import Invalid, NotFound
from audience.server.clock import new_id
from consent.forms import storage
from consent.forms.consent_types import CONSENT_TYPES
from consent.forms.container import Texts
from consent.forms.settings import ConsentSettings, consent_settings_of
from consent.forms.storage import PUBLISHED, READY_MADE, StoredVersion
from consent.forms.texts import TEXT_SLOTS, Content, ready_made_texts, text_version


@dataclass(frozen=True, slots=True)
class Form:
    """An app's settings with the texts of every language it offers."""

    settings: ConsentSettings
    texts: Mapping[str, Texts]


async def get_settings(conn: AsyncConnection, app_id: str) -> ConsentSettings:
    """The app's settings.  Errors: NotFound."""
    stored = await storage.find_settings(conn, app_id)
    if stored is None:
        message = f"there is no app with the id {app_id}"
        raise NotFound(message, path="website_id")
    complete = public.consent_settings_with_defaults(dict(stored.app_settings))
    return consent_settings_of(app_id, complete, stored.own, stored.gate_consent_type)


async def get_form(conn: AsyncConnection, app_id: str) -> Form:
    """The app's settings and the texts it shows: published ones, ready-made ones for the rest.

    askAgain of a type is the latest of its languages. Errors: NotFound.
    """
    settings = await get_settings(conn, app_id)
    published = await storage.list_current_texts(conn, app_id)
    texts = {
        language: {
            **ready_made_texts(language),
            **{
                one.version.text_key: one.version
                for one in published
                if one.version.language == language
            },
        }
        for language in settings.languages
    }
    return Form(_asking_again(settings, published), texts)


async def show_form(conn: AsyncConnection, app_id: str, now: datetime) -> Form:
    """As `get_form`, for showing it to visitors: the ready-made texts in it become versions.

    So whatever a visitor has read can be looked up later, also after an upgrade changed the
    ready-made wording.  On repeat: stores nothing new.
    """
    form = await get_form(conn, app_id)
    shown = {one.history_id: one for texts in form.texts.values() for one in texts.values()}
    missing = shown.keys() - await storage.list_stored_ids(conn, app_id, shown)
    versions = [shown[history_id] for history_id in sorted(missing)]
    await storage.insert_texts(conn, app_id, versions, READY_MADE, now)
    return form


async def update_settings(
    conn: AsyncConnection, app_id: str, changes: Mapping[str, Any], now: datetime
) -> None:
    """Change the named settings; others stay.

    Errors: Invalid for a language without all texts, or a default language that is not offered.
    """
    before = await get_form(conn, app_id)
    values = dict(changes)
    gate = values.pop("gate_consent_type", before.settings.gate_consent_type)
    languages = values.get("languages", before.settings.languages)
    default = values.get("default_language", before.settings.default_language)
    if default not in languages:
        message = "default_language must be one of languages"
        raise Invalid(message, path="default_language")
    published = await storage.list_current_texts(conn, app_id)
    for language in languages:
        found = {one.version.text_key for one in published if one.version.language == language}
        missing = TEXT_SLOTS.keys() - found - ready_made_texts(language).keys()
        if missing:
            message = (
                f"languages: {language} has no ready-made texts, publish its own first; missing: "
                f"{', '.join(sorted(missing))}"
            )
            raise Invalid(message, path="languages")
    is_honoured = values.get("is_gpc_honoured", before.settings.is_gpc_honoured)
    if is_honoured != before.settings.is_gpc_honoured:
        values["gpc_changed_at"] = now
    await storage.save_settings(conn, app_id, values, now)
    seconds = values.get("decision_period_seconds", before.settings.decision_period_seconds)
    await storage.save_gate(conn, app_id, gate, seconds)


async def publish_text(
    conn: AsyncConnection,
    app_id: str,
    language: str,
    text_key: str,
    content: Content,
    *,
    now: datetime,
    asks_again: bool = False,
) -> StoredVersion:
    """A new version of a text, shown from now on; the old ones stay for ever.

    content: its slots; those left out are taken from the version shown so far. asks_again: earlier
    decisions on the type count as not yet asked.
    Errors: Invalid for an unknown slot, one that is missing, or asking again for a mere widget.
    """
    slots = TEXT_SLOTS[text_key]
    unknown = sorted(content.keys() - set(slots))
    if unknown:
        message = f"content.{unknown[0]} is no text of {text_key}: expected {', '.join(slots)}"
        raise Invalid(message, path="content")
    if asks_again and text_key not in CONSENT_TYPES:
        message = "ask_again is for the text of a consent type"
        raise Invalid(message, path="ask_again")
    before = await _shown_content(conn, app_id, language, text_key)
    whole = {slot: content.get(slot, before.get(slot)) for slot in slots}
    missing = [slot for slot, text in whole.items() if text is None]
    if missing:
        message = f"content.{missing[0]} is required, {language} has no text for it yet"
        raise Invalid(message, path=f"content.{missing[0]}")
    complete = {slot: text for slot, text in whole.items() if text is not None}
    version = text_version(new_id(), language, text_key, complete)
    await storage.insert_texts(conn, app_id, [version], PUBLISHED, now)
    await storage.set_current_text(conn, app_id, version, now if asks_again else None)
    return StoredVersion(version, PUBLISHED, now, now if asks_again else None)


async def get_version(conn: AsyncConnection, app_id: str, history_id: str) -> StoredVersion:
    """The exact text that a decision names.  Errors: NotFound."""
    found = await storage.find_version(conn, app_id, history_id)
    if found is None:
        message = f"there is no version {history_id}"
        raise NotFound(message, path="history_id")
    return found


async def _shown_content(
    conn: AsyncConnection, app_id: str, language: str, text_key: str
) -> Content:
    for one in await storage.list_current_texts(conn, app_id):
        if (one.version.language, one.version.text_key) == (language, text_key):
            return one.version.content
    ready_made = ready_made_texts(language).get(text_key)
    return {} if ready_made is None else ready_made.content


def _asking_again(settings: ConsentSettings, published: list[StoredVersion]) -> ConsentSettings:
    moments: dict[str, datetime] = {}
    for one in published:
        key, moment = one.version.text_key, one.asks_again_at
        if moment is not None and moment >= moments.get(key, moment):
            moments[key] = moment
    return replace(settings, ask_again_at=moments)
