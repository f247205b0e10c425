"""What a process remembers of the apps it writes to, never stale.

Most batches are about apps that are as they were at the last batch, so they read no more than
profiles. An app's row has another version (`xmin`) after every change; it is read along with the
profiles and compared. So whoever changes anything that `KnownApp` tells must change the app's row
too. Attributes that get their first type are no change: what is known already stays true.

Pure: standard library only.
"""

from collections import OrderedDict
from collections.abc import Set as AbstractSet
from dataclasses import replace

from audience.attributes.value_types import ValueType
from audience.profile_changes.loaded_app import KnownApp

#: The app used longest ago goes first.
_MAX_APPS = 1000
#: Of an app with more attributes than these, those that were read last.
_MAX_TYPES = 500
_known: OrderedDict[str, KnownApp] = OrderedDict()


def recall(app_id: str, attribute_names: AbstractSet[str]) -> KnownApp | None:
    """The app as this process read it last, or None unless it has the types of the attributes."""
    known = _known.get(app_id)
    if known is None or not known.types.keys() >= attribute_names:
        return None
    _known.move_to_end(app_id)
    return known


def remember(app_id: str, known: KnownApp) -> None:
    """Take in what was read just now, in addition to the types that still hold."""
    # An attribute that was declared without a type gets one with its first value.
    types: dict[str, ValueType | None]
    types = {name: found for name, found in known.types.items() if found is not None}
    earlier = _known.get(app_id)
    if earlier is not None and earlier.version == known.version:
        older = {name: one for name, one in earlier.types.items() if name not in types}
        types = {**older, **types}
    if len(types) > _MAX_TYPES:
        types = dict(list(types.items())[-_MAX_TYPES:])
    _known[app_id] = replace(known, types=types)
    _known.move_to_end(app_id)
    if len(_known) > _MAX_APPS:
        _known.popitem(last=False)


def forget(app_id: str) -> None:
    """Forget an app that has changed."""
    _known.pop(app_id, None)
