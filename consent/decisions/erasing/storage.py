"""SQL of removing a deleted app's consents, in bounded steps."""

import asyncpg

from consent.decisions.storage import consent_lock_key

#: Tables with many rows of an app and no foreign key to it; history last but one, so that whoever
#: looks meanwhile never finds a state without its proof.
_TABLES = (
    "consent_visitors",
    "consent_visitor_keys",
    "consent_day_visitors",
    "consent_counters",
    "consent_decisions",
    "consent_texts",
    "consent_chains",
)
#: What the service's role may not delete.
PROOF = ("consent_decisions", "consent_texts")

LOCK = "SELECT pg_advisory_xact_lock($1)"
ALLOW = "GRANT DELETE ON {} TO CURRENT_USER"
FORBID = "REVOKE DELETE ON {} FROM CURRENT_USER"
DELETE_SOME = """
DELETE FROM {} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {} WHERE app_id = $1 LIMIT $2))
"""


async def delete_some_consents(conn: asyncpg.Connection, app_id: str, most: int) -> bool:
    """Delete up to `most` rows of the first table that has any of the app; False: none has.

    Takes the app's consent lock. The right to delete from history is given and taken back within
    the open transaction: nobody else ever sees it given, and a rollback takes it back too.
    """
    await conn.execute(LOCK, consent_lock_key(app_id))
    for table in _TABLES:
        if table in PROOF:
            await conn.execute(ALLOW.format(table))
        deleted = await conn.execute(DELETE_SOME.format(table, table), app_id, most)
        if table in PROOF:
            await conn.execute(FORBID.format(table))
        if deleted != "DELETE 0":
            return True
    return False
