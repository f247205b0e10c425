"""The only door through which `consent` reaches the audience manager."""

from audience.apps.operations import (
    DEFAULT_ORGANIZATION,
    create_app,
    ensure_demo_app,
    get_app,
)
from audience.apps.storage import App, list_apps
from audience.attributes.operations import FIELD_TYPES, allow_attribute, deny_attribute
from audience.profile_changes.operations import set_profile_consents
from audience.profile_changes.visitor_consents import VisitorConsents, use_visitor_consents
from audience.profiles.identifiers import IDENTIFIER_NAMES
from audience.profiles.operations import find_profile_documents

__all__ = [
    "DEFAULT_ORGANIZATION",
    "FIELD_TYPES",
    "IDENTIFIER_NAMES",
    "App",
    "VisitorConsents",
    "allow_attribute",
    "create_app",
    "deny_attribute",
    "ensure_demo_app",
    "find_profile_documents",
    "get_app",
    "list_apps",
    "set_profile_consents",
    "use_visitor_consents",
]
