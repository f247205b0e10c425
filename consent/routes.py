"""Every URL of the consent service, one line each."""

from audience.server.surface import Handler

#: Need no token.
PUBLIC_ROUTES: tuple[tuple[str, str, Handler], ...] = ()

AUTHORIZED_ROUTES: tuple[tuple[str, str, Handler], ...] = ()
