"""docs/consent.md names every command, event and error of the container."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "static" / "widgets" / "consent"


def test_every_command_is_documented() -> None:
    code = (SOURCES / "commands.js").read_text("utf-8")
    named = set(re.findall(r"^        (?:async )?(\w+)(?:: \(|\()/?\*?", code, re.MULTILINE))
    commands = {name for name in named if name not in {"count", "emit", "commands"}}
    lists = dict(re.findall(r"const (VIEWS|CLICKS) = \[(.*)\]", code))
    commands |= {f"track{view}View" for view in re.findall(r'"(\w+)"', lists["VIEWS"])}
    commands |= {f"track{click}Click" for click in re.findall(r'"(\w+)"', lists["CLICKS"])}
    documented = (ROOT / "docs" / "consent.md").read_text("utf-8")
    assert len(commands) == 9 + 7, commands
    assert not [name for name in commands if name not in documented]


def test_every_error_code_and_property_is_documented() -> None:
    documented = (ROOT / "docs" / "consent.md").read_text("utf-8")
    code = "".join(path.read_text("utf-8") for path in SOURCES.glob("*.js"))
    errors = set(re.findall(r'"(\w+_(?:error|settings|disabled|refused)|invalid_request)"', code))
    assert errors >= {"invalid_settings", "consent_disabled", "cookie_refused", "server_error"}
    assert not [name for name in errors if name not in documented]
    styles = (ROOT / "static" / "consent_templates").glob("*.css")
    properties = {
        found
        for path in styles
        for found in re.findall(r"--ppms-cm-[a-z-]+", path.read_text("utf-8"))
    }
    assert len(properties) >= 9
    assert not [name for name in properties if name.rstrip("-") not in documented]
