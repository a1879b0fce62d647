"""A load while something is done to the control plane: what clients saw of it.

Comes in: addresses and hosts. Goes out: the number of requests and those that failed. Requests come from a process of their own.
"""

import contextlib
import time
from collections.abc import Iterator

from weirkeeper.testing.client import ClientTls, Target
from weirkeeper.testing.load import Ask, Mix, Plan, Record, Result, Running, load

RATE = 100.0


class Served:
    """The load on several addresses."""

    def __init__(self) -> None:
        self._running: list[Running] = []
        self._results: list[Result] = []
        self._began = time.monotonic()

    @property
    def lasted(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def add(self, running: Running) -> None:
        """One more address."""
        self._running.append(running)

    def stop(self) -> "Served":
        """End it; from here on the questions below can be asked."""
        self._results = [one.stop() for one in self._running]
        return self

    @property
    def count(self) -> int:
        """How many requests there were."""
        return sum(len(result.records) for result in self._results)

    def failures(self, by: str) -> list[Record]:
        """Requests that a backend of that name did not answer with 200."""
        return [one for result in self._results for one in result.failures(lambda r: (r.status, r.answer) == (200, by))]


@contextlib.contextmanager
def under_load(addresses: list[str], host: str, *, secure: bool = False, seconds: float = 120.0) -> Iterator[Served]:
    """Requests for a host at each of the addresses, on kept and on new connections, until stopped."""
    served = Served()
    tls = ClientTls(sni=host) if secure else None
    with contextlib.ExitStack() as stack:
        for address in addresses:
            target = Target(address=address, port=443 if secure else 80, tls=tls)
            for mix in (Mix.KEEP_ALIVE, Mix.NEW_CONNECTION):
                asks = (Ask(name=host, host=host),)
                plan = Plan(target=target, asks=asks, mix=mix, connections=2, rate=RATE / 2, seconds=seconds)
                served.add(stack.enter_context(load(plan)))
        yield served
