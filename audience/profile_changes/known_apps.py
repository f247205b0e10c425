"""What a process remembers of the apps it writes to, never stale.

Most batches are about apps that are as they were at the last batch, so they read no more than
profiles. An app's row has another version (`xmin`) after every change; it is read along with the
profiles and compared. So whoever changes anything that `KnownApp` tells must change the app's row
too. Attributes that get their first type are no change: what is known already stays true.

What was read belongs to the connection it was read through: behind a new one there may be a server
that has lost the newest commits, and first types with them.

Pure: standard library only.
"""

from collections import OrderedDict
from collections.abc import Set as AbstractSet
from dataclasses import replace
from weakref import WeakKeyDictionary

from audience.attributes.value_types import ValueType
from audience.profile_changes.loaded_app import KnownApp

#: The app used longest ago goes first.
_MAX_APPS = 500
#: Of an app with more attributes than these, those that were read last.
_MAX_TYPES = 500
_known: WeakKeyDictionary[object, OrderedDict[str, KnownApp]] = WeakKeyDictionary()
_NOTHING: OrderedDict[str, KnownApp] = OrderedDict()


def recall(source: object, app_id: str, attribute_names: AbstractSet[str]) -> KnownApp | None:
    """The app as it was read last, or None unless that was with the types of the attributes.

    source: the connection, here and below.
    """
    apps = _known.get(source, _NOTHING)
    known = apps.get(app_id)
    if known is None or not known.types.keys() >= attribute_names:
        return None
    apps.move_to_end(app_id)
    return known


def remember(source: object, app_id: str, known: KnownApp) -> None:
    """Take in what was read just now, in addition to the types that still hold."""
    # An attribute that was declared without a type gets one with its first value.
    types: dict[str, ValueType | None]
    types = {name: found for name, found in known.types.items() if found is not None}
    apps = _known.setdefault(source, OrderedDict())
    earlier = apps.get(app_id)
    if earlier is not None and earlier.version == known.version:
        older = {name: one for name, one in earlier.types.items() if name not in types}
        types = {**older, **types}
    if len(types) > _MAX_TYPES:
        types = dict(list(types.items())[-_MAX_TYPES:])
    apps[app_id] = replace(known, types=types)
    apps.move_to_end(app_id)
    if len(apps) > _MAX_APPS:
        apps.popitem(last=False)


def forget(source: object, app_id: str) -> None:
    """Forget an app that has changed."""
    _known.get(source, _NOTHING).pop(app_id, None)
