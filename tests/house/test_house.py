"""The house rules: sizes, names, documentation, nothing that ties the project to one place."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from audience import routes
from audience.tables import metadata

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("audience", "consent", "tests", "alembic")
    for path in (ROOT / folder).rglob("*.py")
    if "versions" not in path.parts
)
BROWSER_SOURCES = sorted(
    path
    for path in (ROOT / "static").rglob("*js")
    if path.suffix in (".js", ".mjs") and not {"dist", "node_modules"} & set(path.parts)
)
MAX_BROWSER_FILE_LINES = 150
MAX_FILE_LINES = 300
MAX_TEST_FILE_LINES = 500
MAX_FUNCTION_LINES = 40
FORBIDDEN_NAMES = {"utils.py", "helpers.py", "common.py", "manager.py", "base.py"}
# Written so that this file does not contain what it looks for.
FORBIDDEN_TEXTS = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "npmjs" + ".com")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_file_is_small_and_well_named(path: Path) -> None:
    most = MAX_TEST_FILE_LINES if "tests" in path.parts else MAX_FILE_LINES
    assert len(path.read_text("utf-8").splitlines()) <= most
    assert path.name not in FORBIDDEN_NAMES


@pytest.mark.parametrize("path", BROWSER_SOURCES, ids=_name)
def test_browser_source_is_small(path: Path) -> None:
    most = MAX_FILE_LINES if "tests" in path.parts else MAX_BROWSER_FILE_LINES
    assert len(path.read_text("utf-8").splitlines()) <= most


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            docstring = ast.get_docstring(node, clean=False) or ""
            limit = MAX_FUNCTION_LINES + len(docstring.splitlines())
            assert length <= limit, f"{node.name} has {length} lines"


def test_sql_is_only_in_storage() -> None:
    statement = re.compile(  # a docstring of a handler starts with `DELETE /path`
        r"\"\"\"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s(?!/)|\"(SELECT|INSERT|UPDATE|DELETE) (?!/)"
    )
    offenders = [
        _name(path)
        for folder in ("audience", "consent")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "storage.py"
        and not path.name.startswith(("population_sql", "embedded_postgres"))
        and path.name != "migrations.py"
        and statement.search(path.read_text("utf-8"))
    ]
    assert offenders == []


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_package_registry() -> None:
    for path in _tracked():
        text = path.read_bytes().decode("utf-8", "ignore")
        assert not [word for word in FORBIDDEN_TEXTS if word in text], path


def test_every_package_is_pinned() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        for line in (ROOT / name).read_text("utf-8").splitlines():
            if line and not line.startswith((" ", "#")):
                assert re.match(r"[A-Za-z0-9._-]+==\S+ ", line), line
        assert "--index" not in (ROOT / name).read_text("utf-8")


def test_every_table_says_what_a_row_is() -> None:
    sources = [*(ROOT / "audience" / "tables").glob("*.py"), *(ROOT / "consent").glob("tables*")]
    lines = [line for path in sources for line in path.read_text("utf-8").splitlines()]
    for table in metadata.sorted_tables:
        (position,) = [n for n, line in enumerate(lines) if line == f"{table.name} = Table("]
        assert lines[position - 1].startswith("# "), table.name


def test_makefile_explains_every_target() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    listed = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert listed is not None
    for target in listed[1].split():
        assert re.search(rf"^{target}:.*## ", text, re.MULTILINE), target


def test_readme_shows_the_public_paths() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for _, path, _ in routes.PUBLIC_ROUTES:
        tail = path.rpartition("}")[2] or path
        assert tail in readme


def test_decisions_are_numbered_without_gaps() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8").partition("## Decisions")[2]
    numbers = [int(found) for found in re.findall(r"^(\d+)\. \*\*", text, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_command_imports_no_metrics_before_the_workers_are_set_up() -> None:
    # prometheus_client decides for good how to count when it is first imported.
    program = "import sys, consent.cli; sys.exit('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert done.returncode == 0
