"""The worker processes: gunicorn with aiohttp workers on uvloop."""

import gc
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from gunicorn.app.base import BaseApplication
from prometheus_client import multiprocess

from audience.server.hot_routes import HotRunner
from audience.server.settings import Settings

#: In-flight requests get this long after SIGTERM; the process ends within ten seconds.
GRACEFUL_SECONDS = 8
_BACKLOG = 2048
#: The age of the first worker.
_FIRST = 1
#: Requests make few cycles: looking for them this seldom takes a fifth off a write's time.
_GC_THRESHOLDS = (20_000, 20, 100)


class Processes(BaseApplication):  # type: ignore[misc]
    """gunicorn, configured by the service's settings and nothing else."""

    def __init__(
        self,
        settings: Settings,
        make_app: Callable[[], web.Application],
        *,
        on_ready: Callable[[], None],
        on_fork: Callable[[], None],
    ) -> None:
        """on_ready: called once, when something listens; on_fork: called in every new worker."""
        self._settings = settings
        self._make_app = make_app
        self._on_ready = on_ready
        self._on_fork = on_fork
        super().__init__()

    def load_config(self) -> None:
        """Gunicorn's settings; its config files and environment are not read."""
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        values: dict[str, Any] = {
            "bind": [f"{host}:{self._settings.port}"],
            "workers": self._settings.workers,
            "worker_class": "aiohttp.GunicornUVLoopWebWorker",
            "graceful_timeout": GRACEFUL_SECONDS,
            "keepalive": 75,
            "backlog": _BACKLOG,
            "loglevel": "warning",
            "accesslog": None,
            "reuse_port": self._settings.has_socket_per_worker,
            "when_ready": self._begin,
            "post_fork": self._begin_worker,
            "child_exit": _forget_metrics,
            "control_socket_disable": True,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def _begin(self, _arbiter: object) -> None:
        if not self._settings.has_socket_per_worker:
            self._on_ready()

    def _begin_worker(self, _arbiter: object, worker: Any) -> None:
        self._on_fork()
        if self._settings.has_socket_per_worker and worker.age == _FIRST:
            self._on_ready()

    def load(self) -> Callable[[], Awaitable[web.AppRunner]]:
        """What a worker runs."""

        async def start() -> web.AppRunner:
            # What is loaded now stays: the collector need not look at it again and again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_GC_THRESHOLDS)
            return HotRunner(
                self._make_app(),
                access_log=None,
                keepalive_timeout=75,
                shutdown_timeout=GRACEFUL_SECONDS - 1,
            )

        return start


def _forget_metrics(_arbiter: object, worker: Any) -> None:
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
