"""What outcome mails and access exports say, in five languages: `<language>.json`.

Every file has the same keys with the same `{placeholders}`.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from consent.data_subject_requests.texts import known_language


@cache
def texts_in(language: str) -> Mapping[str, str]:
    """{key: text} in the language; in English for one that there is not."""
    known = known_language(language) or "en"
    source = files("consent.data_subject_requests.execution.texts").joinpath(f"{known}.json")
    found: dict[str, str] = json.loads(source.read_text("utf-8"))
    return found


def text(language: str, key: str, **values: object) -> str:
    """The text with its placeholders filled; what is filled in is taken as it is."""
    return texts_in(language)[key].format_map(values)
