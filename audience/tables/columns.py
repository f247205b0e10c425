"""The one MetaData of every table, and the columns that many of them have.

Statements live in the features' `storage.py`.
"""

from sqlalchemy import Column, DateTime, MetaData, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(
    naming_convention={
        "pk": "pk__%(table_name)s",
        "fk": "fk__%(table_name)s__%(referred_table_name)s",
        "uq": "uq__%(table_name)s__%(column_0_N_name)s",
        "ix": "ix__%(table_name)s__%(column_0_N_name)s",
        "ck": "ck__%(table_name)s__%(constraint_name)s",
    }
)


def moment(name: str, *, nullable: bool = False) -> Column[object]:
    """A column with a point in time."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def facts(name: str) -> Column[object]:
    """A column with a JSON object, `{}` unless given."""
    return Column(name, JSONB, nullable=False, server_default=text("'{}'::jsonb"))


def texts(name: str) -> Column[object]:
    """A column with a list of texts, empty unless given."""
    return Column(name, ARRAY(Text), nullable=False, server_default=text("'{}'::text[]"))
