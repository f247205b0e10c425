"""The only door through which `consent` reaches the audience manager."""

from audience.apps.access import PRIVACY, READ, SCOPES, WRITE, Caller, access_app, caller_of
from audience.apps.audit.operations import record_audit_entry
from audience.apps.authorization import authorized
from audience.apps.consent_settings import with_defaults as consent_settings_with_defaults
from audience.apps.credentials.operations import (
    NewCredential,
    create_credential,
    revoke_credential,
)
from audience.apps.credentials.storage import list_credentials
from audience.apps.deletion import ERASERS
from audience.apps.operations import (
    DEFAULT_ORGANIZATION,
    create_app,
    ensure_demo_app,
    get_app,
)
from audience.apps.signing.detached import make_certificate, sign_bytes
from audience.apps.signing.operations import rotate_signing_key, sign, verify
from audience.apps.storage import App, list_apps
from audience.attributes.operations import FIELD_TYPES, allow_attribute, deny_attribute
from audience.audiences.catalogue.audience import AudienceFields
from audience.audiences.catalogue.operations import create_audience, find_audience_id
from audience.profile_changes.emails import (
    check_email,
    check_email_afresh,
    check_test_email,
    email_check,
)
from audience.profile_changes.erasure.operations import REST as ERASURE_REST
from audience.profile_changes.erasure.operations import (
    count_person_rows,
    erase_person,
    erase_profile,
    erase_some_merges,
    finish_erasures,
    lock_profiles,
)
from audience.profile_changes.erasure.storage import blocked_visitor_condition
from audience.profile_changes.imports.apply import apply_next_rows
from audience.profile_changes.imports.erased_persons import BEGINNING as IMPORTS_BEGINNING
from audience.profile_changes.imports.erased_persons import erase_from_imports
from audience.profile_changes.imports.receive import ImportRequest, Received, receive_import
from audience.profile_changes.imports.storage import get_import
from audience.profile_changes.persons.operations import (
    BEFORE_ALL_MERGES,
    PersonProfile,
    export_merges,
    export_profile,
    find_person_profiles,
)
from audience.profile_changes.persons.rectification import (
    AttributeChange,
    IdentifierChange,
    Rectified,
    rectify_profile,
)
from audience.profile_changes.tied_visitors import (
    erase_collected,
    set_consents_of_visitors,
    set_profile_consents,
)
from audience.profile_changes.visitor_consents import VisitorConsents, use_visitor_consents
from audience.profiles.identifiers import IDENTIFIER_NAMES, Identifier, parse_identifier
from audience.profiles.operations import find_profile_documents
from audience.profiles.storage import app_lock_key

__all__ = [
    "BEFORE_ALL_MERGES",
    "DEFAULT_ORGANIZATION",
    "ERASERS",
    "ERASURE_REST",
    "FIELD_TYPES",
    "IDENTIFIER_NAMES",
    "IMPORTS_BEGINNING",
    "PRIVACY",
    "READ",
    "SCOPES",
    "WRITE",
    "App",
    "AttributeChange",
    "AudienceFields",
    "Caller",
    "Identifier",
    "IdentifierChange",
    "ImportRequest",
    "NewCredential",
    "PersonProfile",
    "Received",
    "Rectified",
    "VisitorConsents",
    "access_app",
    "allow_attribute",
    "app_lock_key",
    "apply_next_rows",
    "authorized",
    "blocked_visitor_condition",
    "caller_of",
    "check_email",
    "check_email_afresh",
    "check_test_email",
    "consent_settings_with_defaults",
    "count_person_rows",
    "create_app",
    "create_audience",
    "create_credential",
    "deny_attribute",
    "email_check",
    "ensure_demo_app",
    "erase_collected",
    "erase_from_imports",
    "erase_person",
    "erase_profile",
    "erase_some_merges",
    "export_merges",
    "export_profile",
    "find_audience_id",
    "find_person_profiles",
    "find_profile_documents",
    "finish_erasures",
    "get_app",
    "get_import",
    "list_apps",
    "list_credentials",
    "lock_profiles",
    "make_certificate",
    "parse_identifier",
    "receive_import",
    "record_audit_entry",
    "rectify_profile",
    "revoke_credential",
    "rotate_signing_key",
    "set_consents_of_visitors",
    "set_profile_consents",
    "sign",
    "sign_bytes",
    "use_visitor_consents",
    "verify",
]
