"""Unicode case folding for SQL: what to replace in a text before it is compared with a needle.

Pure: standard library only. PostgreSQL 15 has no `casefold`, and another server may know another
Unicode; so the foldings come from this Python and go into the statement as parameters. Only those
that can touch the needle are needed: a character whose folding has nothing of the needle can't be
part of a match. Source: issue "Audiences", Definitions (Unicode case folding).
"""

from functools import cache
from typing import NamedTuple

#: ASCII is left to PostgreSQL's `lower(... COLLATE "C")`. Nothing beyond the last one has case.
_CASED = range(0x80, 0x1F000)


class Foldings(NamedTuple):
    """sources and targets: character for character; expansions: (character, several)."""

    sources: str
    targets: str
    expansions: tuple[tuple[str, str], ...]


def foldings_of(folded_needle: str) -> Foldings:
    """The foldings of characters beyond ASCII that matter in a search for the needle."""
    to_one, to_several = _all_foldings()
    characters = set(folded_needle)
    pairs = [(source, target) for target in sorted(characters) for source in to_one.get(target, ())]
    expansions = tuple(
        (source, folding) for source, folding in to_several if _may_touch(folding, folded_needle)
    )
    sources, targets = ("".join(side) for side in zip(*pairs, strict=True)) if pairs else ("", "")
    return Foldings(sources, targets, expansions)


@cache
def _all_foldings() -> tuple[dict[str, list[str]], list[tuple[str, str]]]:
    to_one: dict[str, list[str]] = {}
    to_several: list[tuple[str, str]] = []
    for character in map(chr, _CASED):
        folding = character.casefold()
        if len(folding) > 1:
            to_several.append((character, folding))
        elif folding != character:
            to_one.setdefault(folding, []).append(character)
    return to_one, to_several


def _may_touch(folding: str, needle: str) -> bool:
    """Whether a match of the needle can share a character with the folding."""
    if folding in needle or needle in folding:
        return True
    return any(
        needle.startswith(folding[cut:]) or needle.endswith(folding[:cut])
        for cut in range(1, len(folding))
    )
