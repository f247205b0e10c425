"""Which scope an operation of the authorized API needs: operation -> scope.

An operation is the name of its handler. `write` includes `read`; `admin` includes all.
"""

from audience.apps.access import ADMIN, PRIVACY, READ, WRITE

PERMISSIONS: dict[str, str] = {
    # Apps
    "list_apps": READ,
    "get_app": READ,
    "create_app": ADMIN,
    "update_app": ADMIN,
    "delete_app": ADMIN,
    # Audiences
    "list_app_audiences": READ,
    "create_audience": WRITE,
    "get_audience": READ,
    "replace_audience": WRITE,
    "delete_audience": WRITE,
    "preview_audience": READ,
    "explain_audience": READ,
    # Profiles: deleting one can't be taken back
    "find_profiles": READ,
    "get_profile": READ,
    "list_merges": READ,
    "export_profiles": READ,
    "merge_profiles": WRITE,
    "split_profile": WRITE,
    "undo_merge": WRITE,
    "delete_profile": PRIVACY,
    "import_profiles": WRITE,
    "list_imports": READ,
    "get_import": READ,
    # Attributes
    "list_attributes": READ,
    "create_attribute": WRITE,
    "update_attribute": WRITE,
    # Facts of the analytics system
    "add_facts": WRITE,
    # Audit log
    "list_audit_entries": ADMIN,
}
