"""The service as two workers, as it is and without the guard that a module takes away."""

from collections.abc import Iterator

import pytest

from tests.service_process import ServiceProcess


@pytest.fixture(scope="module")
def guarded(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the service as it is, two workers."""
    folder = tmp_path_factory.mktemp("guarded")
    with ServiceProcess(folder, "--workers", "2", DATABASE_URL=database_url) as service:
        yield service.url


@pytest.fixture(scope="module")
def unguarded(
    request: pytest.FixtureRequest, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of the service as the module's program UNGUARDED runs it, two workers."""
    folder = tmp_path_factory.mktemp("unguarded")
    program = (request.module.UNGUARDED,)
    service = ServiceProcess(folder, "--workers", "2", program=program, DATABASE_URL=database_url)
    with service:
        yield service.url
