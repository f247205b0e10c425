"""Mails as files, where there is no mail server: one file each in `DATA_DIR/outbox`.

A file's name says which request its mail is about, so that whoever forgets the request finds all of
its mails, also those whose rows are gone: `<request id>.<mail id>.eml`, `.part` while it is being
written. Anything else in the folder is not ours.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from audience.server.settings import Settings
from audience.uuid_text import UUID_FORM

_NAME = re.compile(rf"(?:({UUID_FORM})\.)?({UUID_FORM})\.(?:eml|part)")
_RANDOM_BITS_OF_ID = 80


@dataclass(frozen=True, slots=True)
class MailFile:
    """One mail in the outbox. request_id: None in names of an earlier version.

    queued_ms: when the mail was queued, milliseconds since 1970; it is sent later.
    """

    path: Path
    request_id: str | None
    queued_ms: int
    written_at: datetime


def outbox_of(settings: Settings) -> Path:
    """The folder; it may not be there yet."""
    return settings.data_dir / "outbox"


def path_of(folder: Path, request_id: str | None, mail_id: str) -> Path:
    """Where the mail's file is."""
    return folder / ".".join(part for part in (request_id, mail_id, "eml") if part)


def write_mail(path: Path, content: bytes) -> None:
    """Write the file whole and for the owner only: its code proves who somebody is."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(content)
    unfinished.rename(path)


def remove_mails_of(folder: Path, request_ids: Collection[str]) -> None:
    """Remove every mail about these requests.  On repeat: nothing is left to remove."""
    for name in _names(folder):
        found = _NAME.fullmatch(name)
        if found is not None and found[1] in request_ids:
            (folder / name).unlink(missing_ok=True)


def list_mail_files(folder: Path, after: str, limit: int) -> list[MailFile]:
    """The next mails by file name.  after: the last name."""
    following = sorted(name for name in _names(folder) if name > after and _NAME.fullmatch(name))
    files = (_mail_file(folder / name) for name in following[:limit])
    return [file for file in files if file is not None]


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []


def _mail_file(path: Path) -> MailFile | None:
    found = _NAME.fullmatch(path.name)
    if found is None:
        return None
    try:
        written_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
    return MailFile(path, found[1], UUID(found[2]).int >> _RANDOM_BITS_OF_ID, written_at)
