"""Whether the program lives and whether it is ready, for those who restart it or send it traffic; and its numbers.

Comes in: questions, each a name and a function that answers with a reason, or with nothing where all is well. Goes out: `/livez`, `/readyz` and `/metrics` over
HTTP. `/readyz` also notes what is amiss elsewhere (`[!]`): that takes no replica away from engines. Nothing of a tenant is shown: reasons name parts of the program, never objects. A loop that is blocked or stopped does not answer at all, which a probe
takes as a failure; so only what can get stuck beside the loop needs a question of its own.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping

from aiohttp import web

from weirkeeper.errors import StartRefused
from weirkeeper.runtime.intake import Intake
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.visitors import Limits, receiving

Question = Callable[[], str]
"""Answers why not; empty: all is well."""

LIMITS = Limits(each=32, most=256, silence=10.0, answer=15.0)
LONGEST_SETTLE = 120.0
TICK = 0.1
REMEMBERED = 600


class Health:
    """The health server of one program."""

    def __init__(
        self,
        address: str,
        metrics: Metrics,
        *,
        alive: Mapping[str, Question],
        ready: Mapping[str, Question],
        notices: Mapping[str, Question] | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self._address, self._limits = address, limits
        self._metrics = metrics
        self._alive, self._ready, self._notices = alive, ready, notices or {}
        self.port = 0
        """The port in use, once it runs."""

    async def run(self) -> None:
        """Serve until cancelled."""
        host, port = host_and_port(self._address)
        try:
            async with receiving(
                self._application(), host, port, limits=self._limits, counted=self._cut_off, shutdown=1.0
            ) as self.port:
                await asyncio.Event().wait()
        except OSError as error:
            raise StartRefused(
                f"the health address {self._address} cannot be used: {error.strerror or error}"
            ) from None
        finally:
            self.port = 0

    def _cut_off(self, why: str) -> None:
        self._metrics.count("connections_cut_off", address="health", why=why)

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/livez", self._lives)
        application.router.add_get("/readyz", self._is_ready)
        application.router.add_get("/metrics", self._numbers)
        return application

    async def _lives(self, _: web.Request) -> web.Response:
        return _said(self._alive)

    async def _is_ready(self, _: web.Request) -> web.Response:
        return _said(self._ready, self._notices)

    async def _numbers(self, _: web.Request) -> web.Response:
        return web.Response(
            text=self._metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )


class Pulse:
    """How long the loop was held up: a task that wants to run every `TICK` seconds."""

    def __init__(self) -> None:
        self._stalls: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def longest(self) -> float:
        """The longest stall in the last minute, in seconds."""
        return max(self._stalls, default=0.0)

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK)
            self._stalls.append(time.perf_counter() - began - TICK)


def settle_question(intake: Intake, longest: float = LONGEST_SETTLE) -> Question:
    """Whether the settle that runs in a thread has been at it for too long."""

    def answer() -> str:
        running = intake.settling_for
        return f"a settle has been running for {running:.0f} s" if running > longest else ""

    return answer


def host_and_port(address: str) -> tuple[str, int]:
    """`HOST:PORT`, `[IPV6]:PORT` or `:PORT` in parts."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise StartRefused(f"{address!r} is no address; write HOST:PORT, [IPV6]:PORT or :PORT")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104


def _said(questions: Mapping[str, Question], notices: Mapping[str, Question] | None = None) -> web.Response:
    answers = {name: ask() for name, ask in questions.items()}
    wrong = any(answers.values())
    lines = [f"[{'-' if why else '+'}] {name}{f': {why}' if why else ''}\n" for name, why in answers.items()]
    lines += [f"[!] {name}: {why}\n" for name, ask in (notices or {}).items() if (why := ask())]
    return web.Response(status=503 if wrong else 200, text="".join([*lines, "not well\n" if wrong else "ok\n"]))
