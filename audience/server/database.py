"""The way to PostgreSQL: held connections for the hot paths, a small engine for everything else.

Hot public statements run on asyncpg connections that one batcher holds, prepared once. Authorized,
low-traffic statements are SQLAlchemy Core on the engine's pool. Both speak to the same database.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any

import asyncpg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from audience.errors import Unavailable

CONNECT_TIMEOUT_SECONDS = 3.0
#: Longest wait for a lock and longest statement of a public request (contract D1.16).
LOCK_TIMEOUT = "4s"
STATEMENT_TIMEOUT = "4500ms"

#: Of every connection.
SESSION_SETTINGS = {
    # A worker whose host vanished holds its locks until the server notices: within half a minute,
    # not the two hours that systems wait by default. Without effect on a unix socket.
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    # Times in documents that the database makes are read as they are.
    "timezone": "UTC",
}

#: What asyncpg and the network raise when the database is away, starting or going down.
CONNECTION_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    # A message nobody waited for: the server ended an idle connection.
    asyncpg.InternalClientError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    # Deadlocks and the like, no memory or disk left, failing disks: the same may work later. The
    # locks of a session outlive such an error, so the connection must go.
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidCatalogNameError,
    # Migrations are not at head yet, or ran just now.
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidCachedStatementError,
    TimeoutError,
)


def unavailable(error: BaseException) -> Unavailable:
    """The refusal that callers get while the database does not answer."""
    refusal = Unavailable("Service Unavailable: the database does not answer, try again")
    refusal.__cause__ = error
    return refusal


class HeldConnection(AbstractAsyncContextManager[asyncpg.Connection]):
    """One connection that its owner keeps, opened when first needed and again after a failure."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        """connect: makes an awaitable for a fresh asyncpg connection."""
        self._connect = connect
        self._connection: asyncpg.Connection | None = None

    def use(self) -> AbstractAsyncContextManager[asyncpg.Connection]:
        """The connection; an error of the connection inside drops it and becomes Unavailable."""
        return self

    async def __aenter__(self) -> asyncpg.Connection:
        # Written out, because a generator costs several microseconds each time.
        if self._connection is None or self._connection.is_closed():
            try:
                self._connection = await self._connect()
            except CONNECTION_ERRORS as error:
                raise unavailable(error) from error
        return self._connection

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if error is None:
            return
        if isinstance(error, CONNECTION_ERRORS):
            self._drop()
            raise unavailable(error) from error
        if isinstance(error, asyncio.CancelledError):
            # A statement may still be running: only a new connection is known to be clean.
            self._drop()

    async def close(self) -> None:
        """Close the connection if there is one."""
        if self._connection is not None and not self._connection.is_closed():
            await self._connection.close(timeout=2)
        self._connection = None

    def _drop(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            self._connection.terminate()
        self._connection = None


class Database:
    """One PostgreSQL database, reached by its URL.

    url: postgresql://user:password@host:port/database, with `?host=DIRECTORY` for a unix socket.
    """

    def __init__(self, url: str, *, application_name: str = "audience-consent") -> None:
        """Connects to nothing yet."""
        self._url = url
        self._server_settings = {
            "application_name": application_name,
            "lock_timeout": LOCK_TIMEOUT,
            "statement_timeout": STATEMENT_TIMEOUT,
            # Prepared statements are planned once for good: their plans don't depend on values.
            "plan_cache_mode": "force_generic_plan",
            # They look keys up. Planned while a table is small, a scan or a hash of all of it would
            # stay their plan while the table grows.
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "enable_mergejoin": "off",
            # A statement would be compiled each time, which takes fifty times as long as it does:
            # the planner takes a document for hundreds of rows.
            "jit": "off",
            # No key comes twice.
            "enable_memoize": "off",
            **SESSION_SETTINGS,
        }
        self._engine: AsyncEngine | None = None

    @property
    def engine(self) -> AsyncEngine:
        """The engine for SQLAlchemy Core; made on first use, inside the running loop."""
        if self._engine is None:
            self._engine = make_engine(self._url, pool_size=4, max_overflow=4, pool_timeout=4)
        return self._engine

    def hold(self) -> HeldConnection:
        """A connection for one owner, opened when it is first used."""
        return HeldConnection(self.connect)

    async def connect(self) -> asyncpg.Connection:
        """A fresh asyncpg connection with the settings of the public paths."""
        return await asyncpg.connect(
            self._url,
            timeout=CONNECT_TIMEOUT_SECONDS,
            server_settings=self._server_settings,
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One SQLAlchemy Core transaction: committed at the end, rolled back on an error."""
        async with self.engine.begin() as conn:
            yield conn

    async def close(self) -> None:
        """Close the engine's connections; held ones are their owners'."""
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None


def make_engine(url: str, **options: Any) -> AsyncEngine:
    """A SQLAlchemy engine on the database.

    asyncpg reads the URL itself here as on the hot paths, so both understand the same forms.
    """

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            url, timeout=CONNECT_TIMEOUT_SECONDS, server_settings=SESSION_SETTINGS
        )

    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, pool_pre_ping=True, **options
    )


async def raw(conn: AsyncConnection) -> asyncpg.Connection:
    """The asyncpg connection below a Core transaction, for statements of the hot paths' storage.

    Core begins its transaction with the first statement, so one is sent here.
    """
    await conn.execute(select(1))
    proxy = await conn.get_raw_connection()
    connection: asyncpg.Connection = proxy.driver_connection
    return connection
