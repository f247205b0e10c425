"""The service whose plain writes put back what they have read of a profile's attributes."""

from audience.profile_changes.plain_writes import storage
from consent.cli import main

_CHANGES = {
    "SELECT q.ctid AS place": "SELECT q.ctid AS place, q.attributes AS before, q.profile_id",
    "SELECT given.write, stored.place": "SELECT given.write, stored.before, stored.profile_id",
    "p.ctid = given.place": "p.profile_id = given.profile_id",
    "attributes = p.attributes ||": "attributes = given.before ||",
}

if __name__ == "__main__":
    statement = storage._SAVING  # noqa: SLF001 - the test takes the guard away
    for guarded, unguarded in _CHANGES.items():
        assert guarded in statement
        statement = statement.replace(guarded, unguarded)
    storage._SAVING = statement  # noqa: SLF001
    main()
