"""What definitions refer to: names of fields, and other audiences.

Pure: standard library only.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from audience.audiences.definition import Definition, Group, Leaf


class FieldName(NamedTuple):
    """A field as a definition names it."""

    field_type: str
    name: str


def field_names(definition: Definition) -> list[FieldName]:
    """The fields a definition looks at, each once, in the order of the document.

    Callers warn about names of `attributes` and `analytics` that no profile has had yet.
    """
    names = (FieldName(leaf.field.field_type, leaf.name) for leaf in definition.leaves())
    return list(dict.fromkeys(names))


def audience_ids(definition: Definition) -> list[str]:
    """The audiences a definition asks about, each once, lower-cased, in document order."""
    ids = (leaf.audience_id for leaf in definition.leaves())
    return list(dict.fromkeys(audience_id for audience_id in ids if audience_id is not None))


def leaf_paths(definition: Definition, path: str = "definition") -> Iterator[tuple[Leaf, str]]:
    """Every condition with its JSON path, in the order of the document."""
    pending = [(definition.root, path)]
    while pending:
        node, where = pending.pop()
        if isinstance(node, Group):
            children = [
                (child, f"{where}.conditions[{position}]")
                for position, child in enumerate(node.conditions)
            ]
            pending.extend(reversed(children))
        else:
            yield node, where


def users_of(audience_id: str, references: Mapping[str, Collection[str]]) -> list[str]:
    """The audiences that ask about this one, also by way of others; each once, itself left out."""
    found: dict[str, None] = {}
    pending = [audience_id]
    while pending:
        asked = pending.pop()
        for user, ids in references.items():
            if asked in ids and user not in found and user != audience_id:
                found[user] = None
                pending.append(user)
    return list(found)


def find_cycle(references: Mapping[str, Collection[str]]) -> list[str] | None:
    """A way from an audience back to itself, first and last the same; None when there is none.

    references: {audience_id: ids its definition asks about}; ids without an entry lead nowhere.
    """
    finished: set[str] = set()
    for start in references:
        way: list[str] = []
        pending = [iter((start,))]
        while pending:
            following = next(pending[-1], None)
            if following is None:
                pending.pop()
                if way:
                    finished.add(way.pop())
            elif following in way:
                return [*way[way.index(following) :], following]
            elif following not in finished:
                way.append(following)
                pending.append(iter(references.get(following, ())))
    return None
