"""How much memory the embedded PostgreSQL takes for pages of its tables."""

import os
import resource
from pathlib import Path

import pytest

from audience.server import embedded_postgres_memory as memory

MEGABYTE = 1024 * 1024


@pytest.fixture
def gigabytes(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The memory of the machine, to be changed."""
    machine: dict[str, float] = {"all": 64}
    page = 4096
    answers = {
        "SC_PAGE_SIZE": lambda: page,
        "SC_PHYS_PAGES": lambda: int(machine["all"] * 1024 * MEGABYTE) // page,
    }
    monkeypatch.setattr(os, "sysconf", lambda name: answers[name]())
    return machine


@pytest.mark.parametrize(
    ("machine", "expected"),
    [(0.5, "128MB"), (1, "128MB"), (2, "256MB"), (8, "1024MB"), (16, "2048MB"), (256, "2048MB")],
)
def test_an_eighth_of_the_machine_within_limits(
    gigabytes: dict[str, float], tmp_path: Path, machine: float, expected: str
) -> None:
    gigabytes["all"] = machine
    assert memory.shared_buffers(tmp_path) == expected


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        # Version 2: a service of systemd, whose slice has less.
        ("0::/a.slice/b.service", {"a.slice/b.service/memory.max": 8}, "1024MB"),
        (
            "0::/a.slice/b.service",
            {"a.slice/b.service/memory.max": 8, "a.slice/memory.max": 4},
            "512MB",
        ),
        ("0::/a.slice/b.service", {"a.slice/b.service/memory.max": "max"}, "2048MB"),
        # A container with groups of its own: the top is the container's.
        ("0::/", {"memory.max": 2}, "256MB"),
        # Version 1, with and without seeing where in the machine's groups it is.
        ("3:cpu:/x\n4:memory:/x/y", {"memory/x/y/memory.limit_in_bytes": 4}, "512MB"),
        ("4:memory:/docker/1234", {"memory/memory.limit_in_bytes": 3}, "384MB"),
        ("4:cpuset,memory:/", {"memory/memory.limit_in_bytes": 2**33}, "2048MB"),
        ("4:cpu:/x", {"memory/memory.limit_in_bytes": 1}, "2048MB"),
        # A group with an odd name, or of outside; a limit of nothing.
        ("0::/caf\udce9 \x0b\u2028:x", {"caf\udce9 \x0b\u2028:x/memory.max": 4}, "512MB"),
        ("0::/../other", {"memory.max": "max"}, "2048MB"),
        ("0::/a", {"a/memory.max": 0}, "128MB"),
        ("nothing like it", {}, "2048MB"),
    ],
)
def test_what_a_container_may_use_counts(
    gigabytes: dict[str, float],
    tmp_path: Path,
    groups: str,
    limits: dict[str, int | str],
    expected: str,
) -> None:
    assert gigabytes["all"] == 64
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_bytes(os.fsencode(groups + "\n"))
    for name, limit in limits.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        content = limit if isinstance(limit, str) else limit * 1024 * MEGABYTE
        file.write_text(f"{content}\n")
    assert memory.shared_buffers(tmp_path) == expected


def test_less_where_the_system_does_not_promise_that_much(
    gigabytes: dict[str, float], tmp_path: Path
) -> None:
    assert gigabytes["all"] == 64
    allowed = resource.getrlimit(resource.RLIMIT_AS)
    (taken,) = [
        int(line.split()[1]) * 1024
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmSize:")
    ]
    try:
        resource.setrlimit(resource.RLIMIT_AS, (taken + 1000 * MEGABYTE, allowed[1]))
        found = memory.shared_buffers(tmp_path)
        resource.setrlimit(resource.RLIMIT_AS, (taken, allowed[1]))
        least = memory.shared_buffers(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, allowed)
    assert (found, least) == ("512MB", "128MB")
