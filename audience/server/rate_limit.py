"""Limits per caller, kept in memory only and forgotten as soon as they matter no more."""

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address

from aiohttp import web

from audience.errors import TooManyRequests

#: Of an IPv6 address this much is the network's; the rest its owner may choose, each time anew.
_NETWORK_BITS = 64
#: Callers remembered at once; past it the longest-known ones are forgotten.
_MAX_CALLERS = 100_000


class RateLimit:
    """At most so many requests a minute from one caller, evenly or all at once.

    A token bucket: it holds a minute's requests, refills evenly. In each process for itself.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        """per_minute: 0 means no limit; clock: seconds, never going back."""
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def check(self, caller: str) -> None:
        """Count one request of the caller.  Errors: TooManyRequests with the seconds to wait."""
        if not self._per_minute:
            return
        now = self._clock()
        left, seen = self._buckets.pop(caller, (float(self._per_minute), now))
        left = min(left + (now - seen) * self._per_minute / 60, self._per_minute)
        is_allowed = left >= 1
        # Put back at the end: the dict stays in order of last sight.
        self._buckets[caller] = (left - 1 if is_allowed else left, now)
        self._forget(now)
        if not is_allowed:
            message = f"Too Many Requests: at most {self._per_minute} a minute from one address"
            refusal = TooManyRequests(message)
            refusal.retry_after_seconds = max(1, round((1 - left) * 60 / self._per_minute))
            raise refusal

    def _forget(self, now: float) -> None:
        """Drop the callers whose bucket is full again, the longest-unseen first."""
        while self._buckets:
            caller, (_, seen) = next(iter(self._buckets.items()))
            if now - seen < 60 and len(self._buckets) <= _MAX_CALLERS:  # noqa: PLR2004 - a minute
                return
            del self._buckets[caller]


def share_of_worker(per_minute: int, workers: int) -> int:
    """How many a minute each worker may allow so that all together keep a limit; 0 stays 0.

    Rounded up: no worker may refuse everything, so many workers allow one each.
    """
    return -(-per_minute // workers)


def client_address(request: web.Request, trusted_proxies: int) -> str:
    """The address that a request comes from; of an IPv6 one its network of 64 bits.

    trusted_proxies: how many proxies of our own stand in front; each adds the address it was asked
    from to X-Forwarded-For. What stands further left there anybody may have written.
    """
    if trusted_proxies:
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", ()))
        addresses = [part.strip() for part in forwarded.split(",") if part.strip()]
        if addresses:
            return _caller(addresses[-min(trusted_proxies, len(addresses))][:64])
    return _caller(request.remote or "")


@lru_cache(maxsize=4096)
def _caller(address: str) -> str:
    """Who counts as one caller."""
    if ":" not in address:
        return address
    try:
        whole = IPv6Address(address.partition("%")[0].strip("[]"))
    except ValueError:
        return address
    if whole.ipv4_mapped is not None:
        return str(whole.ipv4_mapped)
    return str(IPv6Address(int(whole) >> _NETWORK_BITS << _NETWORK_BITS))
