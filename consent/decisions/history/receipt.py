"""A visitor's consent receipt: the fields of ISO/IEC TS 27560, made from a decision.

Pure: standard library only. Source: issue "The consent service", item 2; ISO/IEC TS 27560:2023,
consent record and receipt.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from consent.decisions.chain import Link
from consent.forms.consent_types import APPROVED, CONSENT_TYPES, NOT_DECIDED
from consent.forms.settings import ConsentSettings
from consent.forms.texts import INTRO, TextVersion

SCHEMA_VERSION = "ISO/IEC TS 27560:2023"
#: The `typ` of the signed receipt, which tells it from access tokens and other receipts.
RECEIPT_KIND = "consent-receipt+jwt"
_WITHDRAWAL = (
    "Open the privacy settings on the site and reject the purpose or all purposes; it takes effect "
    "at once, for the future."
)


def receipt_claims(
    link: Link,
    visitor_id: str,
    settings: ConsentSettings,
    texts: Mapping[str, TextVersion],
    *,
    issuer: str,
    receipt_id: str,
    now: datetime,
) -> dict[str, Any]:
    """The claims of the receipt of one decision.

    texts: {historyId: version} of the texts that the decision names; a text that is unknown is
    named by its id alone.
    """
    row = link.row
    site = f"https://{row.hostname}/" if row.hostname else settings.privacy_policy_url
    return {
        "iss": issuer,
        "iat": int(now.timestamp()),
        "jti": receipt_id,
        "schema_version": SCHEMA_VERSION,
        "record_id": row.decision_id,
        "pii_principal_id": visitor_id,
        "app_id": settings.app_id,
        "pii_processing": {
            "privacy_notice": settings.privacy_policy_url,
            "language": row.language,
            "notice": _text(row.consents.get(INTRO, {}), texts),
            "purposes": _purposes(row.consents, texts, site),
        },
        "party_identification": [
            {
                "party_role": "pii_controller",
                **{f"party_{name}": value for name, value in settings.controller.items()},
            }
        ],
        "consent_events": [_event(link, settings)],
        "withdrawal_method": {"description": _WITHDRAWAL, "url": site},
        "evidence": _evidence(link),
    }


def _evidence(link: Link) -> dict[str, Any]:
    """Where the decision stands in the app's chain: it can't be changed without a trace."""
    return {
        "sequence": link.sequence,
        "previous_hash": link.previous_hash.hex(),
        "row_hash": link.row_hash.hex(),
    }


def _purposes(
    consents: Mapping[str, Any], texts: Mapping[str, TextVersion], site: str | None
) -> list[dict[str, Any]]:
    return [
        _purpose(name, consents[name], texts, site) for name in CONSENT_TYPES if name in consents
    ]


def _purpose(
    name: str, entry: Mapping[str, Any], texts: Mapping[str, TextVersion], site: str | None
) -> dict[str, Any]:
    states = {APPROVED: "consent given", NOT_DECIDED: "not decided"}
    return {
        "purpose": name,
        "purpose_type": "https://w3id.org/dpv#Purpose",
        "lawful_basis": "consent",
        "state": states.get(entry["status"], "consent refused"),
        "by_global_privacy_control": entry.get("gpc", False),
        "notice": _text(entry, texts),
        "withdrawal_method": site,
    }


def _text(entry: Mapping[str, Any], texts: Mapping[str, TextVersion]) -> dict[str, Any] | None:
    history_id = entry.get("historyId")
    if history_id is None:
        return None
    version = texts.get(history_id.lower())
    if version is None:
        return {"version": history_id, "is_known": False}
    return {
        "version": history_id,
        "is_known": True,
        "language": version.language,
        "sha256": version.sha256,
        "content": dict(version.content),
    }


def _event(link: Link, settings: ConsentSettings) -> dict[str, Any]:
    row = link.row
    seconds = settings.decision_period_seconds
    is_given = any(entry.get("status") == APPROVED for entry in row.consents.values())
    return {
        "event_time": row.decided_at.astimezone(UTC).isoformat(),
        "received_time": row.received_at.astimezone(UTC).isoformat(),
        "event_type": "explicit",
        "event_state": "consent given" if is_given else "consent refused",
        "validity_duration": f"PT{seconds}S" if seconds else None,
        "method": row.method,
        "hostname": row.hostname,
        "entity_id": "pii_principal",
    }
