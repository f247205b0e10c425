"""The service that tries the plain way with every batch, also when it will save few of it."""

from audience.profile_changes.plain_writes import operations
from consent.cli import main

if __name__ == "__main__":
    operations._WORTH = 0  # noqa: SLF001 - the test wants as many tries as there can be
    main()
