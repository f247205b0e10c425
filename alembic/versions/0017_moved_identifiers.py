"""Identifiers that the merge ledger still tells of, though their profile has lost them."""

import sqlalchemy as sa

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Moved identifiers, with those that the ledger tells of already."""
    op.create_table(
        "moved_identifiers",
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("identifier_name", sa.Text(), nullable=False),
        sa.Column("identifier_value", sa.Text(), nullable=False),
        sa.Column("former_profile_id", sa.Uuid(), nullable=False),
        sa.Column("is_erased", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id"],
            ["apps.app_id"],
            name=op.f("fk__moved_identifiers__apps"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "app_id",
            "identifier_name",
            "identifier_value",
            "former_profile_id",
            name=op.f("pk__moved_identifiers"),
        ),
    )
    # Of every merge each identifier that the profile, or the one it lives on in, does not have.
    op.execute(
        """
        WITH RECURSIVE living(app_id, profile_id, lives_in) AS (
            SELECT app_id, profile_id, profile_id FROM profiles JOIN (
                SELECT app_id, survivor_profile_id AS profile_id FROM profile_merges
                UNION
                SELECT app_id, absorbed_profile_id FROM profile_merges
            ) named USING (app_id, profile_id)
            UNION
            SELECT m.app_id, m.absorbed_profile_id, living.lives_in
            FROM living JOIN profile_merges m ON m.app_id = living.app_id
                AND m.survivor_profile_id = living.profile_id AND m.undone_at IS NULL
        ), told(app_id, profile_id, name, value) AS (
            SELECT m.app_id, side.profile_id, one.name, one.value
            FROM profile_merges m
            CROSS JOIN LATERAL (VALUES (m.survivor_profile_id, m.survivor_before),
                (m.absorbed_profile_id, m.absorbed_before)) AS side(profile_id, document)
            CROSS JOIN LATERAL (
                SELECT 'user_id', side.document->>'user_id'
                UNION ALL SELECT 'email', side.document->>'email'
                UNION ALL SELECT 'device_id', jsonb_array_elements_text(
                    side.document->'device_ids')
                UNION ALL SELECT 'analytics_visitor_id', jsonb_array_elements_text(
                    side.document->'analytics_visitor_ids')
                UNION ALL SELECT pair->>0, pair->>1 FROM jsonb_array_elements(m.identifiers) AS pair
            ) AS one(name, value)
            WHERE one.value IS NOT NULL
        )
        INSERT INTO moved_identifiers
        SELECT DISTINCT told.app_id, told.name, told.value, told.profile_id, false
        FROM told
        LEFT JOIN living USING (app_id, profile_id)
        LEFT JOIN profile_identifiers i ON i.app_id = told.app_id
            AND i.identifier_name = told.name AND i.identifier_value = told.value
        WHERE living.lives_in IS NULL OR i.profile_id IS DISTINCT FROM living.lives_in
        """
    )
    op.create_index(
        "ix__moved_identifiers__former_profile_id",
        "moved_identifiers",
        ["former_profile_id"],
        unique=False,
    )
    op.create_index(
        "ix__moved_identifiers__is_erased",
        "moved_identifiers",
        ["former_profile_id"],
        unique=False,
        postgresql_where=sa.text("is_erased"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index("ix__moved_identifiers__is_erased", table_name="moved_identifiers")
    op.drop_index("ix__moved_identifiers__former_profile_id", table_name="moved_identifiers")
    op.drop_table("moved_identifiers")
