"""Patterns of the operators `matches` and `not_matches`: RE2, which never takes exponential time.

The one module of the rule engine that needs a library; the pure ones get `compile_pattern` passed.
Source: contract G2.11.
"""

from collections.abc import Callable

import re2  # type: ignore[import-untyped]

#: A compiled pattern may take this much memory; a larger one is refused as a bad pattern.
MAX_PATTERN_BYTES = 1 << 20


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A function that tells whether the pattern is found anywhere in a text (case-sensitive).

    Errors: ValueError saying what RE2 can't read, without the pattern itself.
    """
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = MAX_PATTERN_BYTES
    try:
        search = re2.compile(pattern, options=options).search
    except re2.error as error:
        reason = error.args[0] if error.args else b""
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(text.partition(":")[0] or "not a pattern") from error
    return lambda text: search(text) is not None
