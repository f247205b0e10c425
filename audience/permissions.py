"""Which scope an operation of the authorized API needs: operation -> scope.

An operation is the name of its handler. `write` includes `read`; `admin` includes all.
"""

from audience.apps.access import ADMIN, READ

PERMISSIONS: dict[str, str] = {
    # Apps
    "list_apps": READ,
    "get_app": READ,
    "create_app": ADMIN,
    "update_app": ADMIN,
    "delete_app": ADMIN,
    # Audit log
    "list_audit_entries": ADMIN,
}
