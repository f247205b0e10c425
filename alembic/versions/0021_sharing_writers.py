"""Several writers of one app at a time: what one has read must not be changed by another one."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_FUNCTION = """
CREATE FUNCTION refuse_changed_profiles(saved bigint, wanted bigint) RETURNS void AS $$
BEGIN
    IF saved <> wanted THEN
        RAISE EXCEPTION 'profiles were changed by another writer: % of % saved', saved, wanted
            USING ERRCODE = 'serialization_failure';
    END IF;
END
$$ LANGUAGE plpgsql
"""


def upgrade() -> None:
    """Add the function that refuses a batch."""
    op.execute(_FUNCTION)


def downgrade() -> None:
    """Take it back."""
    op.execute("DROP FUNCTION refuse_changed_profiles(bigint, bigint)")
