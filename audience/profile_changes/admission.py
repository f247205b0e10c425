"""Which items of a checked request may be applied at all: nobody erased, nobody without consent.

No I/O: what it needs to know was loaded with the app.
"""

from collections.abc import Sequence
from datetime import datetime

from audience.profile_changes.consent_gate import pass_gate
from audience.profile_changes.erasure.memory import without_erased
from audience.profile_changes.items import Item, Skip
from audience.profile_changes.loaded_app import LoadedApp
from audience.profiles.profile_set import ProfileSet


def admit(
    app: LoadedApp,
    items: Sequence[Item],
    profiles: ProfileSet,
    now: datetime,
    taken_at: datetime | None,
) -> tuple[Sequence[Item], Sequence[Skip]]:
    """(items to apply, what is told to be skipped of the others); the usual app admits all.

    taken_at: when the items were taken in, None for now.
    """
    if app.erased:
        blocked = profiles.also_blocked
        items = without_erased(items, app.erased, blocked, now, taken_at=taken_at)
    if app.gate is None:
        return items, ()
    return pass_gate(app.gate, items, profiles, now)
