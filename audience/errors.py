"""What can be wrong, in the domain's words; no HTTP in here.

The domain raises these; one module per surface turns them into answers (`server/error_response.py`
for the public API). `message` is written for the person who sent the request: it names the field,
what is wrong with its value and what was expected, and never carries personal data.
"""

from collections.abc import Sequence


class DomainError(Exception):
    """Base of every expected refusal; `code` is stable snake_case, `message` is one sentence."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None, path: str | None = None) -> None:
        """message: one sentence for the caller; path: the field at fault, e.g. `items[2].email`."""
        super().__init__(message)
        self.message = message
        self.path = path
        if code is not None:
            self.code = code


class Invalid(DomainError):
    """The request can't be understood or breaks a rule; nothing was changed."""

    code = "invalid"


class TooLarge(DomainError):
    """The request exceeds a size limit; nothing was changed."""

    code = "too_large"


class NotFound(DomainError):
    """The named thing does not exist (or is somebody else's)."""

    code = "not_found"


class Conflict(DomainError):
    """The request is well formed but the stored state does not allow it; nothing was changed."""

    code = "conflict"


class Forbidden(DomainError):
    """The caller may not do this, or the app is unknown or switched off."""

    code = "forbidden"


class Unauthenticated(DomainError):
    """The caller did not prove who it is."""

    code = "unauthenticated"


class Unavailable(DomainError):
    """The service can't answer now (database away, overload); the same request may work later."""

    code = "unavailable"
    retry_after_seconds = 1


class InvalidParameter(Invalid):
    """A parameter of the query is missing or wrong; `path` is its name."""


class InvalidFields(Invalid):
    """Several fields of a body are wrong; nothing was changed."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        """problems: (path, one sentence) of each field at fault; at least one."""
        super().__init__(problems[0][1], path=problems[0][0])
        self.problems = list(problems)


class UnsupportedType(DomainError):
    """The body has a media type that the service does not read."""

    code = "unsupported_media_type"


class TooManyRequests(DomainError):
    """The caller asks too often; the same request may work later."""

    code = "too_many_requests"
    retry_after_seconds = 1
