"""Shapes of changes of attributes."""

from audience.profiles.authorized.schemas import WebsiteQuery
from audience.server.schema_fields import QueryBoolean


class AttributeChangeQuery(WebsiteQuery):
    """The safety catch of a conversion."""

    confirm = QueryBoolean(
        load_default=False,
        metadata={"description": "Convert to another type; without it nothing is changed."},
    )
