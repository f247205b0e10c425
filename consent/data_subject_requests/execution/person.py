"""Whose data a request is about: identifiers that are proved, never those that are only claimed.

Pure but for the door to the audience manager. The browser that sends a request says which analytics
visitor ID it has; anybody may say anything there, and a visitor ID is no secret. So it counts only
when a profile of the proved e-mail holds it, or when the team confirms it. The id of a consent
visitor is a secret of the browser that sent the request (122 random bits) and leads to nothing but
its own consents: it counts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from audience.public import Identifier, parse_identifier
from consent.data_subject_requests.storage import CHECKED_BY, DataSubjectRequest, only_personal


def proved_identifiers(
    request: DataSubjectRequest, instructions: Mapping[str, Any]
) -> list[Identifier]:
    """The person's identifiers in normal form, each once; empty before the request is verified."""
    if not request.is_verified:
        return []
    named: list[Mapping[str, str]] = list(instructions.get("confirmed_identifiers", ()))
    if request.email is not None:
        named.append({"identifier_name": "email", "identifier_value": request.email})
    if request.verified_by in CHECKED_BY:
        named += request.identities
    found = (parse_identifier(one["identifier_name"], one["identifier_value"]) for one in named)
    return list(dict.fromkeys(identifier for identifier in found if identifier is not None))


def identifiers_of_person(
    request: DataSubjectRequest, identifiers: Sequence[Identifier]
) -> list[Identifier]:
    """By what requests are known to be the person's: e-mail addresses, then user IDs, sorted.

    identifiers: proved, or held by the person's profiles; the request's own e-mail comes beside.
    """
    own = [] if request.email is None else [Identifier("email", request.email)]
    return only_personal([*own, *identifiers])


def analytics_visitor_ids(identifiers: Sequence[Identifier]) -> list[str]:
    """The visitor IDs of the analytics system among them."""
    return [value for name, value in identifiers if name == "analytics_visitor_id"]
