"""Settings: every variable, its default, and what a wrong value says."""

from dataclasses import fields
from pathlib import Path

import pytest

from audience.server.settings import Settings, SettingsError, settings_from_environment

VARIABLES = [entry.name.upper() for entry in fields(Settings)]
README = Path(__file__).parents[2] / "README.md"


def test_nothing_set_gives_the_defaults() -> None:
    assert settings_from_environment({}) == Settings(data_dir=Path("data").absolute())
    assert settings_from_environment(dict.fromkeys(VARIABLES, "")) == settings_from_environment({})


def test_every_variable_is_read(tmp_path: Path) -> None:
    given = {
        "DATABASE_URL": "postgres://u:p@db.example:5433/name?sslmode=require",
        "DATA_DIR": str(tmp_path / "new"),
        "HOST": "::1",
        "PORT": "9000",
        "WORKERS": "3",
        "ROOT_PATH": "/piwik/",
        "LOG_LEVEL": "WARNING",
        "LOG_FORMAT": "json",
        "ALLOW_TEST_EMAILS": "yes",
        "TOKEN_ISSUER": "https://consent.example",
        "COLLECT_PER_MINUTE": "0",
        "TRUSTED_PROXIES": "1",
        "PUBLIC_URL": "https://consent.example/privacy/",
        "SMTP_URL": "smtps://user:pass@mail.example:465",
        "MAIL_FROM": "Privacy team <privacy@consent.example>",
        "ALLOW_PRIVATE_CALLBACKS": "yes",
    }
    assert given.keys() == set(VARIABLES)
    assert settings_from_environment(given) == Settings(
        database_url="postgresql://u:p@db.example:5433/name?sslmode=require",
        data_dir=tmp_path / "new",
        host="::1",
        port=9000,
        workers=3,
        root_path="/piwik",
        log_level="warning",
        log_format="json",
        allow_test_emails=True,
        token_issuer="https://consent.example",
        collect_per_minute=0,
        trusted_proxies=1,
        public_url="https://consent.example/privacy",
        smtp_url="smtps://user:pass@mail.example:465",
        mail_from="Privacy team <privacy@consent.example>",
        allow_private_callbacks=True,
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PORT", "0", "a whole number from 1 to 65535"),
        ("PORT", "65536", "a whole number from 1 to 65535"),
        ("PORT", "8080 ", "a whole number from 1 to 65535"),
        ("WORKERS", "two", "a whole number from 1 to 64"),
        ("WORKERS", "-1", "a whole number from 1 to 64"),
        ("HOST", "my host", "a host name or address"),
        ("ROOT_PATH", "piwik", "a path like /piwik, or nothing"),
        ("ROOT_PATH", "/a b", "a path like /piwik, or nothing"),
        ("LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("LOG_FORMAT", "xml", "one of console, json"),
        ("ALLOW_TEST_EMAILS", "maybe", "one of yes, no"),
        ("TOKEN_ISSUER", "a b", "1 to 200 printable characters"),
        (
            "PUBLIC_URL",
            "consent.example",
            "an address like https://consent.example.com, or nothing",
        ),
        (
            "MAIL_FROM",
            "privacy team",
            "an address, or a name with one: Privacy team <privacy@example.com>",
        ),
    ],
)
def test_wrong_value_names_variable_value_and_expected_form(
    name: str, value: str, expected: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        settings_from_environment({name: value})
    assert str(refusal.value) == f"{name}={value!r} is not valid: expected {expected}"


@pytest.mark.parametrize(
    "value", ["mysql://h/d", "nonsense", "postgresql://h", "postgresql://h:x/d"]
)
def test_wrong_database_url_never_prints_its_password(value: str) -> None:
    with pytest.raises(SettingsError, match=r"DATABASE_URL=.*expected postgresql://USER:PASS"):
        settings_from_environment({"DATABASE_URL": value})
    with pytest.raises(SettingsError) as refusal:
        settings_from_environment({"DATABASE_URL": "mysql://user:geheim@h/d"})
    assert "geheim" not in str(refusal.value)


@pytest.mark.parametrize(
    "value", ["mail.example", "http://geheim@h", "smtp://", "smtp://u:geheim@h:x"]
)
def test_wrong_smtp_url_never_prints_its_password(value: str) -> None:
    with pytest.raises(SettingsError, match=r"SMTP_URL=.*expected smtp://USER:PASS") as refusal:
        settings_from_environment({"SMTP_URL": value})
    assert "geheim" not in str(refusal.value)


def test_links_lead_to_the_public_address_or_to_this_machine() -> None:
    assert Settings().origin == "http://127.0.0.1:8080"
    assert Settings(host="::1").origin == "http://[::1]:8080"
    assert Settings(root_path="/piwik", port=9000).origin == "http://127.0.0.1:9000/piwik"
    assert (
        Settings(public_url="https://c.example/p", root_path="/p").origin == "https://c.example/p"
    )


def test_data_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "data", file / "any" / "data", tmp_path / ("x" * 300)):
        with pytest.raises(SettingsError, match=r"DATA_DIR=.*expected a directory"):
            settings_from_environment({"DATA_DIR": str(path)})
    far = tmp_path / "not" / "there" / "yet"
    assert settings_from_environment({"DATA_DIR": str(far)}).data_dir == far


@pytest.mark.parametrize("name", VARIABLES)
def test_readme_documents_the_variable_and_its_default(name: str) -> None:
    rows = [
        line for line in README.read_text("utf-8").splitlines() if line.startswith(f"| `{name}`")
    ]
    assert len(rows) == 1
    default = getattr(Settings(), name.lower())
    # By identity: 0 equals False in Python.
    shown = "no" if default is False else str(default)
    shown = "unset" if default is None or default == "" else shown
    assert f"`{shown}`" in rows[0] or shown in rows[0]
