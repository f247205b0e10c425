"""CSV, piece by piece: records out of text that arrives cut anywhere.

Pure: standard library only. RFC 4180, with comma, semicolon or tab, which the header decides.
"""

import csv
import re
from collections.abc import Iterator

from audience.errors import Invalid

DELIMITERS = (",", ";", "\t")
#: Longest record; a quote that is never closed is found out here.
MAX_RECORD_CHARACTERS = 1024 * 1024
_IN_QUOTES = re.compile('"[^"]*"')


class CsvRecords:
    """Gives the records of a file, the header first.

    Errors: Invalid naming the line of a record that is no CSV or too long.
    """

    def __init__(self) -> None:
        """Nothing has arrived yet."""
        self._rest = ""
        self._parts: list[str] = []
        self._size = 0
        self._is_in_quotes = False
        self._line = 0
        self._record_line = 1
        self._delimiter: str | None = None

    def feed(self, text: str) -> Iterator[list[str]]:
        """The records that are complete with this text; blank lines are none."""
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()
        self._check_length(len(self._rest))
        for line in lines:
            yield from self._take(line + "\n")

    def finish(self) -> Iterator[list[str]]:
        """The last record, when its line does not end."""
        if self._rest:
            yield from self._take(self._rest + "\n")
            self._rest = ""
        if self._parts:
            message = f"line {self._record_line}: a quote is opened and never closed"
            raise Invalid(message, path="file")

    def _take(self, line: str) -> Iterator[list[str]]:
        self._line += 1
        if not self._parts:
            self._record_line = self._line
        self._parts.append(line)
        self._size += len(line)
        self._check_length(self._size)
        # Quotes inside a value are doubled, so an odd number means that the value goes on.
        if line.count('"') % 2:
            self._is_in_quotes = not self._is_in_quotes
        if self._is_in_quotes:
            return
        record = "".join(self._parts).rstrip("\r\n")
        self._parts, self._size = [], 0
        if record:
            yield self._parse(record)

    def _parse(self, record: str) -> list[str]:
        if self._delimiter is None:
            self._delimiter = max(DELIMITERS, key=_IN_QUOTES.sub("", record).count)
        return self._split(record, self._delimiter)

    def _split(self, record: str, delimiter: str) -> list[str]:
        try:
            (cells,) = csv.reader([record], delimiter=delimiter, strict=True)
        except (csv.Error, ValueError):
            message = f"line {self._record_line} is not valid CSV, or has a cell of over 128 KiB"
            raise Invalid(message, path="file") from None
        return cells

    def _check_length(self, size: int) -> None:
        if size > MAX_RECORD_CHARACTERS:
            message = (
                f"line {self._record_line}: a record may have at most "
                f"{MAX_RECORD_CHARACTERS} characters; is a quote not closed?"
            )
            raise Invalid(message, path="file")
