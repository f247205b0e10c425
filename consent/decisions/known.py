"""What a process remembers between batches, so that the usual batch need not ask for it."""

from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from audience import public
from consent.decisions.counting import MAX_HOSTNAMES
from consent.forms.settings import ConsentSettings, consent_settings_of

_MAX_HISTORY_IDS = 100_000
_MAX_DAY_KEYS = 10_000


class Known:
    """Facts that never change once they are true: versions of texts, host names, keys of days."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.history_ids: set[tuple[str, str]] = set()
        self.day_keys: dict[tuple[str, date], bytes] = {}
        self._hostnames: dict[str, set[str]] = {}
        self._made_at: dict[str, datetime] = {}

    def meet(self, app_id: str, created_at: datetime) -> bool:
        """False when what is known is of an app that is gone and had the same id: now forgotten."""
        if self._made_at.setdefault(app_id, created_at) == created_at:
            return True
        self._made_at[app_id] = created_at
        self._hostnames.pop(app_id, None)
        self.history_ids = {pair for pair in self.history_ids if pair[0] != app_id}
        self.day_keys = {key: value for key, value in self.day_keys.items() if key[0] != app_id}
        return False

    def has_hostname(self, app_id: str, hostname: str) -> bool:
        """Whether it is known how to count the host name: as itself, or as too many."""
        found = self._hostnames.get(app_id, set())
        return hostname in found or len(found) >= MAX_HOSTNAMES

    def hostnames(self, app_id: str) -> set[str]:
        """The app's counted host names."""
        return self._hostnames.setdefault(app_id, set())

    def remember(self, history_ids: set[tuple[str, str]], hostnames: set[tuple[str, str]]) -> None:
        """Add what was read, or was written for good."""
        if len(self.history_ids) > _MAX_HISTORY_IDS:
            self.history_ids.clear()
        self.history_ids |= history_ids
        for app_id, hostname in hostnames:
            self.hostnames(app_id).add(hostname)

    def remember_day_key(self, app_id: str, day: date, key: bytes) -> None:
        """Keep a day's key; of old days nothing is needed any more."""
        if len(self.day_keys) > _MAX_DAY_KEYS:
            self.day_keys.clear()
        self.day_keys[app_id, day] = key


@lru_cache(maxsize=10_000)
def parsed_settings(
    app_id: str, app_settings: str, own: str | None, gate_consent_type: str | None
) -> ConsentSettings:
    """The settings of the JSON texts that a batch reads; the usual ones are parsed once."""
    stored: Mapping[str, Any] = orjson.loads(app_settings)
    complete = public.consent_settings_with_defaults(dict(stored))
    row = None if own is None else orjson.loads(own)
    return consent_settings_of(app_id, complete, row, gate_consent_type)


@lru_cache(maxsize=1000)
def zone_of(name: str) -> ZoneInfo:
    """The time zone of an app."""
    return ZoneInfo(name)
