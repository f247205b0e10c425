"""An attribute that changes its type changes the app's row, whose version processes look at."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# A new version of the row is all that is wanted; nothing in it changes.
_FUNCTION = """
CREATE FUNCTION note_changed_attribute_type() RETURNS trigger AS $$
BEGIN
    UPDATE apps SET updated_at = updated_at WHERE app_id = NEW.app_id;
    RETURN NULL;
END
$$ LANGUAGE plpgsql
"""

# A first type is no change: nobody remembers an attribute without one.
_TRIGGER = """
CREATE TRIGGER attribute_type_changed AFTER UPDATE OF value_type ON attribute_definitions
FOR EACH ROW WHEN (OLD.value_type IS NOT NULL AND OLD.value_type IS DISTINCT FROM NEW.value_type)
EXECUTE FUNCTION note_changed_attribute_type()
"""


def upgrade() -> None:
    """Add the trigger."""
    op.execute(_FUNCTION)
    op.execute(_TRIGGER)


def downgrade() -> None:
    """Take it back."""
    op.execute("DROP TRIGGER attribute_type_changed ON attribute_definitions")
    op.execute("DROP FUNCTION note_changed_attribute_type()")
