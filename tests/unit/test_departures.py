"""Whatever happens to identifiers: from who holds one, and who held it, all merges that tell of it
are found, as an erasure looks for them."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from audience.errors import Conflict
from audience.profiles.identifiers import Identifier
from audience.profiles.profile_set import Merge, ProfileSet
from audience.profiles.split import split_profile
from audience.profiles.unmerge import undo_merge
from tests.unit.profile_sets import START, identifier, item, new_set, send

KINDS = [["", "u1", "u2"], ["", "e1", "e2"], ["", "d1", "d2"], ["", "v1", "v2", "v3"]]
NAMED = (
    st.tuples(*(st.sampled_from(kind) for kind in KINDS))
    .map(lambda chosen: " ".join(filter(None, chosen)))
    .filter(bool)
)
STEPS = st.lists(
    st.tuples(st.just("send"), st.lists(NAMED, min_size=1, max_size=2))
    | st.tuples(st.just("undo"), st.integers(0, 20))
    | st.tuples(st.just("split"), st.sampled_from([one for kind in KINDS for one in kind if one])),
    min_size=3,
    max_size=14,
)


class _History:
    """A set of profiles with all that has happened to it."""

    def __init__(self) -> None:
        self.profiles = new_set()
        self.undone: set[int] = set()

    def apply(self, kind: str, what: Any) -> None:
        if kind == "send":
            send(self.profiles, *(item(named) for named in what))
        elif kind == "split":
            self._split(identifier(what))
        elif what < len(self.profiles.merges) and what not in self.undone:
            self._undo(what)

    def _split(self, wanted: Identifier) -> None:
        owner = self.profiles.owner(wanted)
        if owner is not None:
            try:
                split_profile(self.profiles, owner, [wanted], START)
            except Conflict:
                return

    def _undo(self, number: int) -> None:
        merges = self.profiles.merges
        lineage_id, later = merges[number].survivor_before.profile_id, []
        for place in range(number + 1, len(merges)):
            sides = _sides(merges[place])
            if place not in self.undone and lineage_id in sides:
                later.append(place)
                lineage_id = sides[0]
        _, corrected = undo_merge(
            self.profiles, merges[number], [merges[place] for place in later], START
        )
        for place, merge in zip(later, corrected, strict=True):
            merges[place] = merge
        self.undone.add(number)

    def lineage(self, profile_id: str) -> set[str]:
        """The profile and all that live on in it."""
        found = {profile_id}
        for place in reversed(range(len(self.profiles.merges))):
            survivor, absorbed = _sides(self.profiles.merges[place])
            if place not in self.undone and survivor in found:
                found.add(absorbed)
        return found


def _sides(merge: Merge) -> tuple[str, str]:
    return merge.survivor_before.profile_id, merge.absorbed_before.profile_id


def _told(merge: Merge) -> set[Identifier]:
    sides = (merge.survivor_before, merge.absorbed_before)
    return {*merge.identifiers, *(one for side in sides for one in side.identifiers())}


def _holders(profiles: ProfileSet, wanted: Identifier) -> set[str]:
    former = {profile_id for one, profile_id in profiles.departures if one == wanted}
    return former | ({profiles.owners[wanted]} if wanted in profiles.owners else set())


@given(STEPS)
@settings(deadline=None, max_examples=300)
def test_every_merge_that_tells_of_an_identifier_is_found(steps: list[tuple[str, Any]]) -> None:
    history = _History()
    for kind, what in steps:
        history.apply(kind, what)
    for merge in history.profiles.merges:
        for one in _told(merge):
            found = {
                profile_id
                for holder in _holders(history.profiles, one)
                for profile_id in history.lineage(holder)
            }
            assert found & set(_sides(merge)), (one, _sides(merge))
