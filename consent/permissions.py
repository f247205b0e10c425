"""Which scope an authorized operation of consent needs: operation -> scope."""

from audience.public import PRIVACY, READ, WRITE

PERMISSIONS: dict[str, str] = {
    # Settings and texts of the consent form
    "get_consent_settings": READ,
    "update_consent_settings": WRITE,
    "list_consent_texts": READ,
    "publish_consent_text": WRITE,
    "list_consent_text_versions": READ,
    "get_consent_text_version": READ,
    # Decisions
    "list_consent_history": READ,
    "get_consent_state": READ,
    "get_consent_receipt": READ,
    "export_consent_history": READ,
    "get_consent_statistics": READ,
    # Data subject requests
    "get_request_settings": PRIVACY,
    "update_request_settings": PRIVACY,
    "submit_opendsr_request": PRIVACY,
    "get_opendsr_request": PRIVACY,
    "cancel_opendsr_request": PRIVACY,
    "list_requests": PRIVACY,
    "create_request": PRIVACY,
    "get_request": PRIVACY,
    "update_request": PRIVACY,
    "verify_request": PRIVACY,
    "extend_request": PRIVACY,
    "preview_request": PRIVACY,
    "preview_execution": PRIVACY,
    "execute_request": PRIVACY,
    "get_execution": PRIVACY,
    "get_receipt": PRIVACY,
    "download_export": PRIVACY,
}
