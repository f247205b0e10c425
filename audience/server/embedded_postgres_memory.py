"""How much memory the embedded PostgreSQL keeps pages of its tables in."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

_MEGABYTE = 1024 * 1024
#: The rest is the service's, and the system's: it keeps files in memory too.
_PART = 1 / 8
_LEAST_MEGABYTES, _MOST_MEGABYTES = 128, 2048
#: What the server asks for besides, at most about this part of it.
_BESIDES = 1 / 8


def shared_buffers(root: Path = Path("/")) -> str:
    """The setting `shared_buffers`: an eighth of the memory, 128 MB at least, 2 GB at most.

    Of the machine's memory, or of what a container or a service manager allows (cgroups, both
    versions). Pages take it as they are used: a small database takes no more than its own size.
    Where the system does not promise that much (strict overcommit, `ulimit -v`), half of it, and
    so on.
    root: where /proc and /sys are.
    """
    memory = min([_memory_of_the_machine(), *_limits(root)])
    megabytes = min(int(memory * _PART) // _MEGABYTE, _MOST_MEGABYTES)
    while megabytes > _LEAST_MEGABYTES and not _is_promised(megabytes):
        megabytes //= 2
    return f"{max(megabytes, _LEAST_MEGABYTES)}MB"


def _memory_of_the_machine() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _is_promised(megabytes: int) -> bool:
    """Whether the system lets a process share that much with others, as the server does."""
    try:
        mmap.mmap(-1, int(megabytes * (1 + _BESIDES)) * _MEGABYTE).close()
    except OSError:
        return False
    return True


def _limits(root: Path) -> Iterator[int]:
    """What this process's control groups allow, each in bytes; none on other systems."""
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        # The limits of the groups above hold too. In a container the path may be one of outside,
        # and the container's own group is the top.
        group = Path(path.strip("/"))
        for above in (group, *group.parents):
            yield from (int(line) for line in _lines(top / above / name) if line.isdecimal())


def _lines(file: Path) -> list[str]:
    try:
        # Names of groups are bytes, like those of files.
        return os.fsdecode(file.read_bytes()).split("\n")
    except OSError:
        return []
