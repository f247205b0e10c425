"""An access export as a ZIP: data.json for programs, index.html for people.

Made anew for each download, part by part, so that it takes the memory of one part.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import orjson

from consent.data_subject_requests.execution.exports import page
from consent.data_subject_requests.execution.exports.labels import labels_in
from consent.data_subject_requests.execution.texts import text

#: (section) -> its parts in order, each a JSON array of records as text.
Parts = Callable[[str], AsyncIterator[str]]


@dataclass(frozen=True, slots=True)
class About:
    """What an export says of itself. sections: in the order in which they are shown."""

    request_id: str
    app_id: str
    site: str
    language: str
    made_at: datetime
    day: str
    sections: tuple[str, ...]


class _Sink:
    """A file that can only be written; what was written is taken out again."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._chunks.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        taken = b"".join(self._chunks)
        self._chunks.clear()
        return taken


async def make_archive(about: About, parts: Parts) -> AsyncIterator[bytes]:
    """The bytes of the ZIP, piece by piece."""
    sink = _Sink()
    with ZipFile(sink, "w", ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        for name, content in (("data.json", _json), ("index.html", _page)):
            with archive.open(_entry(name, about.made_at), "w") as file:
                async for piece in content(about, parts):
                    file.write(piece.encode())
                    yield sink.take()
    yield sink.take()


def _entry(name: str, made_at: datetime) -> ZipInfo:
    entry = ZipInfo(name, made_at.timetuple()[:6])
    entry.compress_type = ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry


async def _json(about: About, parts: Parts) -> AsyncIterator[str]:
    head = {
        "request_id": about.request_id,
        "website_id": about.app_id,
        "site": about.site,
        "made_at": about.made_at.isoformat(),
    }
    yield '{"about":' + orjson.dumps(head).decode()
    for section in about.sections:
        yield f',"{section}":['
        is_first = True
        async for part in parts(section):
            yield part[1:-1] if is_first else "," + part[1:-1]
            is_first = False
        yield "]"
    yield "}\n"


async def _page(about: About, parts: Parts) -> AsyncIterator[str]:
    language = about.language
    labels = labels_in(language)
    intro = text(language, "page_intro", site=about.site, date=about.day)
    yield page.page_start(language, text(language, "page_title"), intro)
    for section in about.sections:
        heading, explanation = (
            text(language, f"{kind}_{section}") for kind in ("section", "about")
        )
        yield page.section_start(section, heading, explanation)
        number = 0
        async for part in parts(section):
            for record in orjson.loads(part):
                number += 1
                yield page.record(record, text(language, "entry", number=number), labels)
        yield page.section_end(None if number else text(language, "nothing"))
    yield page.page_end()
