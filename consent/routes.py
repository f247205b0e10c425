"""The authorized routes of consent; one line each."""

from audience.server.surface import Handler

AUTHORIZED_ROUTES: tuple[tuple[str, str, Handler], ...] = ()
