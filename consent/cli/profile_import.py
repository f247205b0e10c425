"""`audience-consent profiles import`: profiles from a CSV file, with progress bars."""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator
from typing import IO, Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn

from audience import public
from audience.server import clock
from audience.server.database import Database, raw
from audience.server.settings import settings_from_environment
from consent.cli.command import AppId, database, helpful_errors, print_json

_PIECE_BYTES = 65536
_SHOWN_ERRORS = 20


class Mapping(click.ParamType[dict[str, Any]]):
    """A JSON object."""

    name = "JSON"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """The object; usage error otherwise."""
        try:
            mapping = orjson.loads(value)
        except orjson.JSONDecodeError:
            mapping = None
        if not isinstance(mapping, dict):
            self.fail(f"{value!r} is not a JSON object", param, ctx)
        return mapping


@click.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--app", "app_id", type=AppId(), required=True, help="The app ID.")
@click.option(
    "--mapping",
    type=Mapping(),
    default="{}",
    help='What columns become: {"column": {"identifier": "email"} or {"attribute": "age", "type": '
    '"numeric"} or null}. Others are identifiers by their names, else attributes.',
)
@click.option(
    "--dry-run", "is_dry_run", is_flag=True, help="Only tell what is wrong with the rows."
)
def profiles_import(
    file: IO[bytes], app_id: str, mapping: dict[str, Any], *, is_dry_run: bool
) -> None:
    """Import profiles from a CSV FILE (`-`: standard input) and print what became of its rows.

    The file is UTF-8 with a header. Rows that are wrong are told on standard error, each with its
    number, and left out; exit status 1 when there was one. Runs beside the service, too, which
    carries on when this command is stopped after the file was read.
    """
    settings = settings_from_environment(os.environ)
    request = public.ImportRequest(
        app_id,
        mapping,
        public.email_check(is_test=settings.allow_test_emails),
        "operator",
        is_dry_run,
    )
    with helpful_errors(), database(settings) as url:
        summary, errors = asyncio.run(_import(url, file, request))
    for error in errors[:_SHOWN_ERRORS]:
        where = f"row {error['row']}" + (f", {error['column']}" if "column" in error else "")
        click.echo(f"{where}: {error['problem']}", err=True)
    more = summary["error_count"] - min(len(errors), _SHOWN_ERRORS)
    if more:
        click.echo(f"and {more} more", err=True)
    print_json(summary)
    if summary["error_count"] or summary["state"] == "failed":
        sys.exit(1)


async def _import(
    url: str, file: IO[bytes], request: public.ImportRequest
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(summary, errors) of the import, done."""
    service_database = Database(url, application_name="audience-consent command")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    progress = Progress(*columns, MofNCompleteColumn(), console=Console(stderr=True))
    try:
        with progress:
            async with service_database.transaction() as conn:
                await public.get_app(conn, request.app_id)
                pieces = _read(file, progress)
                received = await public.receive_import(
                    await raw(conn), request, pieces, clock.now()
                )
            if received.import_id is None:
                errors = [_without_none(error._asdict()) for error in received.errors]
                return _dry_run_summary(received), errors
            return await _apply(service_database, request.app_id, received, progress)
    finally:
        await service_database.close()


async def _read(file: IO[bytes], progress: Progress) -> AsyncIterator[bytes]:
    status = os.fstat(file.fileno())
    size = status.st_size if stat.S_ISREG(status.st_mode) else None
    task = progress.add_task("Reading bytes", total=size)
    while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
        yield piece
        progress.update(task, advance=len(piece))
    progress.update(task, total=progress.tasks[task].completed)


async def _apply(
    service_database: Database, app_id: str, received: public.Received, progress: Progress
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Apply the rows that are in the database now; the service may help."""
    import_id = received.import_id or ""
    refused_at_once = received.refused_count
    task = progress.add_task("Applying rows", total=received.row_count - refused_at_once)
    while True:
        is_more = await public.apply_next_rows(service_database, app_id, import_id)
        async with service_database.transaction() as conn:
            row = await public.get_import(await raw(conn), app_id, import_id)
        if row is None:
            message = "the import was removed meanwhile"
            raise click.ClickException(message)
        done = row.applied_count + row.refused_count - refused_at_once
        progress.update(task, completed=done)
        if not is_more:
            break
    summary = {
        "id": import_id,
        "state": "done" if row.failure is None else "failed",
        "rows": row.row_count,
        "rows_applied": row.applied_count,
        "rows_refused": row.refused_count,
        "error_count": row.error_count,
        "failure": row.failure,
    }
    return _without_none(summary), row.errors


def _dry_run_summary(received: public.Received) -> dict[str, Any]:
    return {
        "state": "dry_run",
        "rows": received.row_count,
        "rows_refused": received.refused_count,
        "error_count": received.error_count,
    }


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
