"""A controller's system as tests use it: what it sends, and how it checks what it gets."""

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from tests.data_subjects import Office

PATH = "/opendsr/v1/requests"
DOMAIN = "consent.example"


def request_body(**members: Any) -> dict[str, Any]:
    """An erasure request; members: changes, `...` leaves one out."""
    whole = {
        "regulation": "gdpr",
        "subject_request_id": str(uuid4()),
        "subject_request_type": "erasure",
        "submitted_time": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "subject_identities": [
            {
                "identity_type": "email",
                "identity_value": "Jane@Shop.example",
                "identity_format": "raw",
            }
        ],
        "api_version": "2.0",
    } | members
    return {name: value for name, value in whole.items() if value is not ...}


async def send(office: Office, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
    """Status, body and headers of the answer to a request with the team's token."""
    headers = {"Authorization": f"Bearer {office.team.token}"}
    answer = await office.service.request(method, path, headers=headers, **options)
    return answer.status, await answer.read(), answer.headers


async def verify(office: Office, body: bytes, headers: Any) -> None:
    """As a controller does: with the certificate that discovery names."""
    discovery = await (await office.service.get("/opendsr/v1/discovery")).json()
    path = discovery["processor_certificate"].removeprefix("https://consent.example")
    pem = await (await office.service.get(path)).read()
    key: Any = x509.load_pem_x509_certificate(pem).public_key()
    signature = base64.b64decode(headers["X-OpenDSR-Signature"])
    key.verify(signature, body, padding.PKCS1v15(), SHA256())
