"""What an export's page calls the members of data.json, in five languages: `<language>.json`.

Every file has the same keys: names of members, consent types as `consents.<type>`, the sum of all
goals as `goals.all`, `yes` and `no`.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from consent.data_subject_requests.texts import known_language


@cache
def labels_in(language: str) -> Mapping[str, str]:
    """{name: label} in the language; in English for one that there is not."""
    known = known_language(language) or "en"
    folder = "consent.data_subject_requests.execution.exports.labels"
    source = files(folder).joinpath(f"{known}.json")
    found: dict[str, str] = json.loads(source.read_text("utf-8"))
    return found
