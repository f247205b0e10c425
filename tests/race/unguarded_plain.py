"""The service whose plain writes put back what they have read of a profile's attributes.

Those that audiences ask about are not refused where a profile is not as it was found. Every batch
tries the plain way.
"""

from collections.abc import Callable
from typing import Any

from audience.profile_changes.plain_writes import operations, storage
from audience.profiles.touches.storage import REFUSE_CHANGED
from consent.cli import main

_CHANGES = {
    "SELECT q.ctid AS place": "SELECT q.ctid AS place, q.attributes AS before, q.profile_id",
    "SELECT given.write, stored.place": "SELECT given.write, stored.before, stored.profile_id",
    "p.ctid = given.place": "p.profile_id = given.profile_id",
    "attributes = p.attributes ||": "attributes = given.before ||",
}


def unguard_decided(patch: Callable[[object, str, Any], None]) -> None:
    """Have no write refused whose profile is not as it was found.  patch: as `setattr`."""
    for name in ("SAVE_DECIDED", "SAVE_DECIDED_AND_MEMBERSHIPS"):
        statement = getattr(storage, name)
        assert REFUSE_CHANGED in statement
        patch(storage, name, statement.replace(REFUSE_CHANGED, "SELECT 1"))


if __name__ == "__main__":
    statement = storage._SAVING  # noqa: SLF001 - the test takes the guard away
    for guarded, unguarded in _CHANGES.items():
        assert guarded in statement
        statement = statement.replace(guarded, unguarded)
    storage._SAVING = statement  # noqa: SLF001
    unguard_decided(setattr)
    # As in eager_plain.py: damage shows the sooner.
    operations._WORTH = 0  # noqa: SLF001
    main()
