"""When lines of the log are written."""

import asyncio
import io

from audience.server import log
from audience.server.log import Sink


async def test_lines_of_one_moment_are_written_together() -> None:
    stream = io.StringIO()
    sink = Sink(stream)
    sink.info("one")
    sink.debug(lambda: "two")
    assert stream.getvalue() == ""
    await asyncio.sleep(3 * log._GATHER_SECONDS)  # noqa: SLF001
    assert stream.getvalue() == "one\ntwo\n"
    sink.info("three")
    await asyncio.sleep(3 * log._GATHER_SECONDS)  # noqa: SLF001
    assert stream.getvalue() == "one\ntwo\nthree\n"


async def test_an_error_takes_what_waits_along_at_once() -> None:
    stream = io.StringIO()
    sink = Sink(stream)
    sink.info("before")
    sink.warning("trouble")
    assert stream.getvalue() == "before\ntrouble\n"
    sink.info("after")
    sink.flush()
    assert stream.getvalue() == "before\ntrouble\nafter\n"


def test_without_an_event_loop_a_line_is_written_at_once() -> None:
    stream = io.StringIO()
    Sink(stream).info("one")
    assert stream.getvalue() == "one\n"
