"""Running the service: database, migrations, demo app, worker processes; and stopping it all."""

import asyncio
import errno
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import click

from audience import public
from audience.server import clock, migrations
from audience.server.database import CONNECTION_ERRORS, Database
from audience.server.embedded_postgres import join
from audience.server.log import configure_logging
from audience.server.settings import Settings

_DEMO_VISITOR = "0123456789abcdef"
_DEMO_AUDIENCE = "a83d4aac-faa6-4746-96eb-5ac110083f8e"


class ServeError(Exception):
    """Why the service can't start, in one line."""


def run_service(settings: Settings, *, with_demo: bool) -> None:
    """Serve until SIGTERM or SIGINT; ends by SystemExit with gunicorn's status, 0 when asked to.

    Errors: ServeError and EmbeddedPostgresError before anything listens.
    """
    _check_address(settings)
    master = os.getpid()
    metrics_folder = Path(tempfile.mkdtemp(prefix="audience-consent-metrics-"))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_folder)
    # Imported late: prometheus_client decides how to count when it is first imported.
    from audience.server.process import Processes  # noqa: PLC0415
    from consent.app import create_app  # noqa: PLC0415

    configure_logging(settings.log_level, settings.log_format)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, metrics_folder, ignore_errors=True)
        url, forget_in_child = _open_database(settings, stack)
        demo = _demo_app(url) if with_demo else None
        processes = Processes(
            settings,
            lambda: create_app(settings, url),
            on_ready=lambda: _greet(settings, demo),
            on_fork=forget_in_child,
        )
        try:
            processes.run()
        finally:
            # Workers leave this function too, after a fork: only the master cleans up.
            if os.getpid() != master:
                stack.pop_all()


def _check_address(settings: Settings) -> None:
    """Refuse an address that can't be listened on, before anything is started.

    Errors: ServeError.
    """
    where = f"port {settings.port} on {settings.host}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
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


def _demo_app(url: str) -> public.App:
    async def ensure() -> public.App:
        database = Database(url)
        try:
            async with database.transaction() as conn:
                now = clock.now()
                demo = await public.ensure_demo_app(conn, str(uuid4()), str(uuid4()), now)
                await public.allow_attribute(conn, demo.app_id, "attributes", "color", now)
                return demo
        finally:
            await database.close()

    return asyncio.run(ensure())


def _greet(settings: Settings, demo: public.App | None) -> None:
    """Tell where the service is, and with a demo app how to use it."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = f"http://{host}:{settings.port}{settings.root_path}"
    lines = [f"audience-consent serves on {base}  (Ctrl-C stops it)"]
    if demo is not None:
        profile = f"{base}/audiences/public/api/profiles/{_DEMO_VISITOR}"
        body = (
            f'[{{"website_id": "{demo.app_id}", "analytics_visitor_id": "{_DEMO_VISITOR}", '
            '"attributes": [{"name": "color", "value": "green"}]}]'
        )
        check_query = f"?website_id={demo.app_id}&audience_id={_DEMO_AUDIENCE}"
        lines += [
            "",
            f"Demo app: {demo.app_id}",
            "",
            "Write attributes:",
            f"  curl -i -X POST {base}/audiences/tracker/attributes/ -d '{body}'",
            "Read them (only what `audience-consent attributes allow` made public, here color):",
            f"  curl -i '{profile}/attributes/?website_id={demo.app_id}'",
            "Check an audience:",
            f"  curl -i '{profile}/audiences/check/{check_query}'",
            "",
        ]
    print("\n".join(lines), file=sys.stdout, flush=True)  # noqa: T201 - the greeting of a command
