"""What outcome mails and exports say: whole in every language."""

import re

import pytest

from consent.data_subject_requests.execution.access import SECTIONS
from consent.data_subject_requests.execution.composers import OUTCOME_PURPOSES
from consent.data_subject_requests.execution.texts import texts_in
from consent.data_subject_requests.texts import LANGUAGES

_PLACEHOLDER = re.compile(r"{(\w+)}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_texts_with_the_same_placeholders(language: str) -> None:
    expected = {key: set(_PLACEHOLDER.findall(text)) for key, text in texts_in("en").items()}
    found = {key: set(_PLACEHOLDER.findall(text)) for key, text in texts_in(language).items()}
    assert found == expected
    assert language == "en" or texts_in(language)["page_title"] != texts_in("en")["page_title"]


def test_every_outcome_and_every_section_has_its_texts() -> None:
    wanted = {f"{purpose}_{part}" for purpose in OUTCOME_PURPOSES.values() for part in _PARTS}
    wanted |= {f"{part}_{section}" for section in SECTIONS for part in ("section", "about")}
    assert wanted <= texts_in("en").keys()


_PARTS = ("subject", "text")
