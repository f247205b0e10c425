"""What `--help` shows of the command and of each subcommand."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import click
import pytest
from click.testing import CliRunner

from audience.server.settings import Settings
from consent.cli import main


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[Any]:
    yield pytest.param(path, id=" ".join(("audience-consent", *path)))
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield pytest.param((*path, name), id=" ".join((*path, name)))


@pytest.mark.parametrize("path", list(_commands(main)))
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(main, [*path, "--help"], terminal_width=80)
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert lines[0].startswith("Usage: ")
    assert lines[2].strip()
    assert "\\b" not in shown.output
    assert "\\\\" not in shown.output


def test_examples_keep_their_lines() -> None:
    output = CliRunner().invoke(main, ["--help"]).output
    assert "  Start it:          audience-consent serve\n" in output
    output = CliRunner().invoke(main, ["credentials", "create", "--help"]).output
    assert "-H 'Content-Type: application/json' \\\n      -d '{" in output


@pytest.mark.parametrize("name", [entry.name.upper() for entry in fields(Settings)])
def test_every_setting_is_named(name: str) -> None:
    assert name in CliRunner().invoke(main, ["--help"]).output
