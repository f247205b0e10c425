"""Taking a merge back: both profiles return, later updates stay with the survivor.

Pure: standard library only. Source: this project's own (ARCHITECTURE.md, decision 7).
"""

import copy
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from audience.profiles.identifiers import EMAIL, Identifier
from audience.profiles.merged_document import merge_attributes, merge_profiles
from audience.profiles.profile import Facts, Profile, without_identifiers
from audience.profiles.profile_set import Merge, ProfileSet


def undo_merge(
    profiles: ProfileSet,
    merge: Merge,
    later_merges: Sequence[Merge],
    now: datetime,
    gone: Collection[Identifier] = (),
) -> tuple[Profile, list[Merge]]:
    """The absorbed profile, alive again, and the later merges with its share taken out of them.

    profiles holds the profile that the survivor lives on in, and the owners of the identifiers of
    both sides. later_merges: the not undone merges after this one in which the survivor took part,
    oldest first.  Identifiers that have moved to a third profile since stay there; gone: those that
    do not come back either.
    """
    absorbed, before = merge.absorbed_before, merge.survivor_before
    lineage_id = before.profile_id
    base = before
    corrected: list[Merge] = []
    for later in later_merges:
        if later.survivor_before.profile_id == lineage_id:
            own = without_share(later.survivor_before, absorbed, base)
            corrected.append(replace(later, survivor_before=own))
            base = merge_profiles(base, later.absorbed_before)
        else:
            own = without_share(later.absorbed_before, absorbed, base)
            corrected.append(replace(later, absorbed_before=own))
            base = merge_profiles(later.survivor_before, base)
            lineage_id = later.survivor_before.profile_id
    survivor = profiles.profiles[lineage_id]
    kept = set(base.identifiers())
    main_visitor_id = survivor.analytics_visitor_id
    returning = _take_identifiers(profiles, survivor, absorbed, kept, gone)
    lost = set(absorbed.identifiers()) - returning
    restored = without_identifiers(absorbed, lost)
    restored.updated_at = now
    # The absorbed profile's merges tell of these, and are no part of the survivor's any more.
    profiles.departures.update((one, absorbed.profile_id) for one in lost.difference(gone))
    _give_back_email(profiles, survivor, before, gone)
    held = profiles.profiles[lineage_id] = without_share(survivor, absorbed, base)
    if main_visitor_id not in held.analytics_visitor_ids:
        held.analytics_visitor_id = None
        held.analytics_visitor_seen_at = base.analytics_visitor_seen_at
        _restore_main_visitor_id(held, base)
    held.updated_at = now
    profiles.changed_profile_ids.add(held.profile_id)
    profiles.take_back(restored)
    return restored, corrected


def without_share(document: Profile, absorbed: Profile, base: Profile) -> Profile:
    """The document without what a merge brought into it from the absorbed profile.

    base: what the document would hold had the merge not happened. A value written after the merge
    is not the absorbed profile's any more and stays.
    """
    attributes, written_at = dict(document.attributes), dict(document.attribute_written_at)
    base_attributes, base_written_at = merge_attributes(base, base)
    for name, value in absorbed.attributes.items():
        written = absorbed.attribute_written_at.get(name, 0)
        if attributes.get(name) != value or written_at.get(name, 0) != written:
            continue
        if name in base_attributes:
            attributes[name] = base_attributes[name]
            written_at[name] = base_written_at.get(name, 0)
        else:
            del attributes[name]
            written_at.pop(name, None)
    result = copy.copy(document)
    result.attributes, result.attribute_written_at = attributes, written_at
    result.forms = _without_forms(document, absorbed, base)
    if document.analytics_at is not None and document.analytics_at == absorbed.analytics_at:
        result.analytics, result.analytics_at = base.analytics, base.analytics_at
    if document.consents_at is not None and document.consents_at == absorbed.consents_at:
        result.consents, result.consents_at = base.consents, base.consents_at
    result.visits = _without_visits(document.visits, absorbed.visits, base.visits)
    result.goals = {
        goal_id: facts
        for goal_id, whole in document.goals.items()
        if (facts := _without_sums(whole, absorbed.goals.get(goal_id), base.goals.get(goal_id)))
    }
    result.ecommerce = _without_sums(document.ecommerce, absorbed.ecommerce, base.ecommerce)
    result.generic = _without_sums(document.generic, absorbed.generic, base.generic)
    return result


def _take_identifiers(
    profiles: ProfileSet,
    survivor: Profile,
    absorbed: Profile,
    kept: Collection[Identifier],
    gone: Collection[Identifier],
) -> set[Identifier]:
    """What the absorbed profile gets back: from the survivor, who keeps some, or held by nobody."""
    returning = set()
    for identifier in absorbed.identifiers():
        if identifier in gone:
            continue
        owner = profiles.owner(identifier)
        if owner is survivor and identifier not in kept:
            profiles.detach(survivor, identifier)
            returning.add(identifier)
        elif owner is None:
            returning.add(identifier)
    return returning


def _give_back_email(
    profiles: ProfileSet, survivor: Profile, before: Profile, gone: Collection[Identifier]
) -> None:
    """The e-mail that the merge replaced, unless somebody else has it by now or it is gone."""
    if survivor.email is None and before.email is not None:
        email = Identifier(EMAIL, before.email)
        if profiles.owner(email) is None and email not in gone:
            profiles.attach(survivor, email)
            survivor.email_as_given = before.email_as_given


def _restore_main_visitor_id(profile: Profile, before: Profile) -> None:
    if profile.analytics_visitor_id in profile.analytics_visitor_ids:
        return
    if before.analytics_visitor_id in profile.analytics_visitor_ids:
        profile.analytics_visitor_id = before.analytics_visitor_id
    else:
        ids = profile.analytics_visitor_ids
        profile.analytics_visitor_id = ids[-1] if ids else None


def _without_forms(document: Profile, absorbed: Profile, base: Profile) -> dict[str, Facts]:
    forms = dict(document.forms)
    for form_id, facts in absorbed.forms.items():
        if forms.get(form_id) == facts:
            if form_id in base.forms:
                forms[form_id] = base.forms[form_id]
            else:
                del forms[form_id]
    return forms


def _without_visits(document: Facts, absorbed: Facts, base: Facts) -> Facts:
    visits = dict(document)
    for name, moment in absorbed.items():
        if visits.get(name) == moment:
            visits.pop(name)
            if name in base:
                visits[name] = base[name]
    return visits


def _without_sums(document: Facts, absorbed: Facts | None, base: Facts | None) -> Facts:
    if not absorbed:
        return document
    base = base or {}
    if set(document) == set(absorbed) and document == absorbed and not base:
        return {}
    theirs = document.get("last_conversion") == absorbed.get("last_conversion")
    facts: Facts = {}
    for name, value in document.items():
        if not name.startswith("last_"):
            facts[name] = value - absorbed.get(name, 0)
        elif not theirs:
            facts[name] = value
        elif name in base:
            facts[name] = base[name]
    return facts
