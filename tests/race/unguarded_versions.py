"""The service whose sharing writers don't look whether what they have read was changed."""

from collections.abc import Callable
from typing import Any

from audience.audiences.memberships import storage as memberships
from audience.profiles.touches import storage as touches
from consent.cli import main

_GUARD = "AND p.xmin = (touched.row ->> 7)::xid"


def unguard(patch: Callable[[object, str, Any], None]) -> None:
    """Leave the guard out of the statements.  patch: as `setattr`."""
    assert _GUARD in touches.TOUCH_UNCHANGED
    patch(touches, "TOUCH_UNCHANGED", touches.TOUCH_UNCHANGED.replace(_GUARD, ""))
    statements = memberships.TOUCH_UNCHANGED_AND_SAVE_MEMBERSHIPS
    assert all(_GUARD in statement for statement in statements.values())
    unguarded = {kind: statement.replace(_GUARD, "") for kind, statement in statements.items()}
    patch(memberships, "TOUCH_UNCHANGED_AND_SAVE_MEMBERSHIPS", unguarded)


if __name__ == "__main__":
    unguard(setattr)
    main()
