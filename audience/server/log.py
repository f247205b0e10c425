"""Logging: structlog, one line per request. Personal data never reaches a log.

Lines about what went well are collected for a moment, put together and written at once: a busy
service writes many with one system call, and no answer waits for it. A warning or an error takes
all along at once. Values that callers sent (identifiers, attribute values, paths with
a visitor ID in them) are never passed to a logger.
"""

import asyncio
import atexit
import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import orjson
import structlog

EventDict = MutableMapping[str, Any]


#: So long a line may wait for others.
_GATHER_SECONDS = 0.02


class Sink:
    """Where finished lines go; structlog calls the method named like the level."""

    def __init__(self, stream: TextIO) -> None:
        """stream: usually standard error."""
        self._stream = stream
        self._lines: list[str | Callable[[], str]] = []
        atexit.register(self.flush)

    def msg(self, line: str | Callable[[], str]) -> None:
        """Take a line; it is written with others in a moment, without an event loop at once.

        line: or what puts it together, called when it is written.
        """
        self._lines.append(line)
        if len(self._lines) > 1:
            return
        try:
            asyncio.get_running_loop().call_later(_GATHER_SECONDS, self.flush)
        except RuntimeError:
            self.flush()

    debug = info = log = msg

    def error(self, line: str) -> None:
        """Take a line and write it at once."""
        self._lines.append(line)
        self.flush()

    warning = critical = exception = error

    def flush(self) -> None:
        """Write everything taken so far."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        text = "\n".join([line if isinstance(line, str) else line() for line in lines])
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads the log any more (closed pipe): serving goes on.
            return


def _render_json(_logger: object, _method: str, event: EventDict) -> str:
    return orjson.dumps(event, default=str).decode()


def _render_console(_logger: object, _method: str, event: EventDict) -> str:
    moment, level, name = event.pop("timestamp"), event.pop("level"), event.pop("event")
    rest = " ".join(f"{key}={value}" for key, value in event.items())
    return f"{moment} {level:<7} {name} {rest}"


_RENDERERS: dict[str, Callable[..., str]] = {"json": _render_json, "console": _render_console}


class _ToStructlog(logging.Handler):
    """Lines of libraries (gunicorn, asyncio, aiohttp) in the service's own format.

    Only the message, the exception's type and place are kept: a traceback's text may carry values.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on."""
        logger = structlog.get_logger()
        extra: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            extra["error"] = describe_error(record.exc_info[1])
        level = "error" if record.levelno >= logging.ERROR else record.levelname.lower()
        getattr(logger, level, logger.info)(record.getMessage(), **extra)


def configure_logging(level: str, log_format: str, stream: TextIO | None = None) -> Sink:
    """Set structlog and the standard library's logging up; returns where the lines go."""
    sink = Sink(stream or sys.stderr)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _RENDERERS[log_format],
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=lambda *_args: sink,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(
        level=max(logging.getLevelName(level.upper()), logging.INFO),
        handlers=[_ToStructlog()],
        force=True,
    )
    # aiohttp's own access lines hold whole paths, and those hold visitor IDs.
    logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return sink


#: (when, request id, method, route, status, milliseconds)
_Answered = tuple[float, str, str, str, int, float]


class RequestLog:
    """Writes the line of every answered request.

    The same line as structlog's, put together by hand and only when it is written: it is written
    for every request, and by the way of structlog's processors it would take a quarter of the time
    a request takes.
    """

    def __init__(self) -> None:
        """Takes the level, the format and the place that `configure_logging` has set."""
        config = structlog.get_config()
        sink = config["logger_factory"]()
        is_wanted = structlog.get_logger().bind().is_enabled_for(logging.INFO)
        self._sink: Sink | None = sink if is_wanted and isinstance(sink, Sink) else None
        self._line = _JSON_LINE if _render_json in config["processors"] else _CONSOLE_LINE
        self._answered: list[_Answered] = []
        self._second, self._moment = 0, ""

    def write(self, request_id: str, method: str, route: str, status: int, ms: float) -> None:
        """One line; the arguments are the service's own words, nothing a caller sent."""
        if self._sink is None:
            return
        self._answered.append((time.time(), request_id, method, route, status, ms))
        if len(self._answered) == 1:
            self._sink.info(self._put_together)

    def _put_together(self) -> str:
        answered, self._answered = self._answered, []
        return "\n".join([self._line_of(*one) for one in answered])

    def _line_of(self, moment: float, *values: str | float) -> str:
        second = int(moment)
        if second != self._second:
            self._second = second
            self._moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return self._line % (self._moment, (moment - second) * 1_000_000, *values)


_CONSOLE_LINE = "%s.%06dZ info    request request_id=%s method=%s route=%s status=%d ms=%.2f"
_JSON_LINE = (
    '{"timestamp":"%s.%06dZ","level":"info","event":"request","request_id":"%s","method":"%s",'
    '"route":"%s","status":%d,"ms":%.2f}'
)


def describe_error(error: BaseException) -> str:
    """An exception's type and the place it came from; not its text, which may carry values."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = ""
    if place is not None:
        where = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}"
    return f"{type(error).__name__}{where}"
