"""Taking identifiers out of a profile into one of their own.

Pure: standard library only. Source: issue "Audiences and the authorized API", item 5.
"""

from collections.abc import Sequence
from datetime import datetime

from audience.errors import Conflict, Invalid
from audience.profiles.identifiers import ANALYTICS_VISITOR_ID, EMAIL, Identifier
from audience.profiles.profile import Profile
from audience.profiles.profile_set import ProfileSet


def split_profile(
    profiles: ProfileSet, profile: Profile, identifiers: Sequence[Identifier], now: datetime
) -> Profile:
    """A new profile with the identifiers; everything else stays with the old one.

    Nobody can say whose the attributes were: what the old profile knows it keeps.
    Errors: Invalid for an identifier given twice or not held by the profile (the path names its
    place, the message never its value); Conflict when none would stay.
    """
    for position, identifier in enumerate(identifiers):
        path = f"identifiers[{position}]"
        if identifier in identifiers[:position]:
            message = f"{path} is given twice"
            raise Invalid(message, path=path)
        if profiles.owner(identifier) is not profile:
            message = f"{path} is no {identifier.identifier_name} of this profile"
            raise Invalid(message, path=path)
    if len(identifiers) == len(profile.identifiers()):
        message = "at least one identifier must stay with the profile"
        raise Conflict(message, code="no_identifier_left")
    email_as_given = profile.email_as_given
    seen_at, main = profile.analytics_visitor_seen_at, profile.analytics_visitor_id
    new = profiles.create(now)
    for identifier in identifiers:
        profiles.detach(profile, identifier)
        profiles.attach(new, identifier)
        if identifier.identifier_name == EMAIL:
            new.email_as_given = email_as_given
        if identifier.identifier_name == ANALYTICS_VISITOR_ID:
            new.analytics_visitor_id = identifier.identifier_value
            new.analytics_visitor_seen_at = seen_at
    if main in new.analytics_visitor_ids:
        new.analytics_visitor_id = main
    profile.updated_at = now
    profiles.changed_profile_ids.add(profile.profile_id)
    return new
