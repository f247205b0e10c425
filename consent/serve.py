"""Running the service: database, migrations, demo app, worker processes; and stopping it all."""

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import click

from audience.server import migrations
from audience.server.database import CONNECTION_ERRORS
from audience.server.embedded_postgres import join
from audience.server.log import configure_logging
from audience.server.settings import Settings
from consent.demo import ensure_demo, greeting


class ServeError(Exception):
    """Why the service can't start, in one line."""


def run_service(settings: Settings, *, with_demo: bool) -> None:
    """Serve until SIGTERM or SIGINT; ends by SystemExit with gunicorn's status, 0 when asked to.

    Errors: ServeError and EmbeddedPostgresError before anything listens.
    """
    reserved = reserve_address(settings)
    master = os.getpid()
    metrics_folder = Path(tempfile.mkdtemp(prefix="audience-consent-metrics-"))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_folder)
    # Imported late: prometheus_client decides how to count when it is first imported.
    from audience.server.process import Processes  # noqa: PLC0415
    from consent.app import create_app  # noqa: PLC0415

    configure_logging(settings.log_level, settings.log_format)
    with ExitStack() as stack:
        stack.callback(reserved.close)
        stack.callback(shutil.rmtree, metrics_folder, ignore_errors=True)
        url, forget_in_child = _open_database(settings, stack)
        demo = ensure_demo(url) if with_demo else None
        processes = Processes(
            settings,
            lambda: create_app(settings, url, demo=demo),
            on_ready=lambda: click.echo(greeting(settings, demo)),
            on_fork=forget_in_child,
        )
        try:
            processes.run()
        finally:
            # Workers leave this function too, after a fork: only the master cleans up.
            if os.getpid() != master:
                stack.pop_all()


def reserve_address(settings: Settings) -> socket.socket:
    """Refuse an address that can't be listened on, before anything is started.

    Workers that have sockets of their own would share the address with any other service that does
    so too. The socket, kept open, keeps others away from it, and lets these workers in.
    Errors: ServeError.
    """
    where = f"port {settings.port} on {settings.host}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with ExitStack() as stack:
            probe = stack.enter_context(socket.socket(family, kind, protocol))
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            if settings.has_socket_per_worker:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                stack.pop_all()
            return probe
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"{where} is in use: stop what listens there or choose another with --port"
        else:
            message = f"cannot listen at {where}: {error.strerror}"
        raise ServeError(message) from None


def _open_database(settings: Settings, stack: ExitStack) -> tuple[str, Callable[[], None]]:
    """The database's URL, migrated where that is ours to do, and what a forked worker must call."""
    if settings.database_url is not None:
        try:
            if migrations.is_empty(settings.database_url):
                migrations.migrate(settings.database_url)
        except CONNECTION_ERRORS as error:
            # The service starts all the same: /readyz tells, and it recovers by itself.
            click.echo(
                f"Warning: the database does not answer yet ({type(error).__name__}).", err=True
            )
        return settings.database_url, lambda: None
    lease = stack.enter_context(join(settings.data_dir))
    migrations.migrate(lease.database.url)
    return lease.database.url, lease.forget_in_child
