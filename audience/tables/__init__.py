"""Every table of the audience manager, SQLAlchemy Core, one MetaData; one module per feature.

A table that grows has `app_id` first in its primary key, and no second index starts with `app_id`:
such an index makes the planner scan a whole app that is younger than the table's statistics
(ARCHITECTURE.md, decision 4). Statements live in the features' `storage.py`.
"""

from audience.tables.access import api_credentials, audit_entries, signing_keys
from audience.tables.apps import apps, organizations
from audience.tables.attributes import (
    attribute_conversions,
    attribute_counts,
    attribute_definitions,
    attribute_statistics,
    attribute_whitelist,
)
from audience.tables.audiences import (
    audience_count_snapshots,
    audience_members,
    audiences,
    profile_reevaluations,
)
from audience.tables.columns import metadata
from audience.tables.counted_events import counted_events
from audience.tables.erasures import erased_identifiers, erasures
from audience.tables.imports import profile_import_chunks, profile_imports
from audience.tables.profiles import (
    merge_refusals,
    moved_identifiers,
    profile_identifiers,
    profile_merges,
    profiles,
)

__all__ = [
    "api_credentials",
    "apps",
    "attribute_conversions",
    "attribute_counts",
    "attribute_definitions",
    "attribute_statistics",
    "attribute_whitelist",
    "audience_count_snapshots",
    "audience_members",
    "audiences",
    "audit_entries",
    "counted_events",
    "erased_identifiers",
    "erasures",
    "merge_refusals",
    "metadata",
    "moved_identifiers",
    "organizations",
    "profile_identifiers",
    "profile_import_chunks",
    "profile_imports",
    "profile_merges",
    "profile_reevaluations",
    "profiles",
    "signing_keys",
]
