"""The load itself: lanes that send one request after another in the present event loop.

In: a plan and an event that stops it. Out: a result. Each lane owns its connection and shares nothing but the counters.
"""

import asyncio
import itertools
import ssl
import time
from pathlib import Path

import msgspec

from weirkeeper.testing.client import AnswerLost, Http1Connection, Http2Connection, Response, Target
from weirkeeper.testing.load.plan import Ask, Lost, Mix, Plan, Record, Result

Connection = Http1Connection | Http2Connection


class Run:
    """One run of a plan: the lanes and what they have recorded."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.stopped = asyncio.Event()
        self.over = False  # the time is: `least` counts no more
        self.warm = asyncio.Event()  # every lane has ended its first request
        self.records: list[Record] = []
        self.reconnects = 0
        self._begun, self._resolved = itertools.count(), itertools.count()
        self._cold = plan.connections

    async def drive(self) -> Result:
        """The result, after the plan's bounds or `stopped`; requests under way are ended first."""
        started = time.monotonic_ns()
        lanes = [
            asyncio.create_task(self._lane(number), name=f"lane {number}") for number in range(self.plan.connections)
        ]
        timer = asyncio.get_running_loop().call_later(self.plan.seconds, self._end)
        try:
            await asyncio.gather(*lanes)
        finally:
            timer.cancel()
            for lane in lanes:
                lane.cancel()
            self.warm.set()
        return Result(
            records=tuple(self.records),
            reconnects=self.reconnects,
            started_ns=started,
            ended_ns=time.monotonic_ns(),
        )

    async def _lane(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        gap = self.plan.connections / self.plan.rate if self.plan.rate else 0.0
        due = loop.time() + gap * number / self.plan.connections
        connection = self._connection()
        first = True
        while await self._may_go(due) and (turn := next(self._begun)) < self.plan.count:
            connection = await self._request(connection, self.plan.asks[turn % len(self.plan.asks)])
            due += gap
            if first:
                first = False
                self._warmed()
            if not gap:
                await asyncio.sleep(0)  # a lane that only fails must let the others and the timer go on
        if first:
            self._warmed()
        await connection.close()

    def _end(self) -> None:
        self.over = True
        self.stopped.set()

    def _warmed(self) -> None:
        self._cold -= 1
        if not self._cold:
            self.warm.set()

    async def _may_go(self, due: float) -> bool:
        """Waits for the moment a request is due; False once the run is stopped."""
        delay = due - asyncio.get_running_loop().time() if self.plan.rate else 0.0
        if delay > 0 and not self.stopped.is_set():
            try:
                async with asyncio.timeout(delay):
                    await self.stopped.wait()
            except TimeoutError:
                return True
            delay = due - asyncio.get_running_loop().time()
        if not self.stopped.is_set():
            return True
        if self.over or len(self.records) >= self.plan.least:
            return False
        await asyncio.sleep(max(delay, 0))
        return True

    async def _request(self, connection: Connection, ask: Ask) -> Connection:
        """Records one request; returns the connection for the next one."""
        started = time.monotonic_ns()
        lost, response = None, None
        try:
            connection = await self._ready(connection)
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError
            lost = Lost.REFUSED
        else:
            lost, response = await self._exchange(connection, ask)
        self.records.append(
            Record(
                started_ns=started,
                ended_ns=time.monotonic_ns(),
                target=ask.name,
                status=response.status if response else 0,
                answer=response.header(self.plan.token) if response else None,
                lost=lost,
                address=connection.target.address if lost else "",
            )
        )
        if lost is None and self.plan.mix is not Mix.NEW_CONNECTION and not _last(response):
            return connection
        await connection.close()
        return self._connection()

    async def _ready(self, connection: Connection) -> Connection:
        if connection.usable:
            return connection
        if connection.opened:  # closed while idle, and seen before a byte was written
            self.reconnects += 1
            await connection.close()
            connection = self._connection()
        return await connection.open()

    async def _exchange(self, connection: Connection, ask: Ask) -> tuple[Lost | None, Response | None]:
        try:
            return None, await connection.request(
                ask.path, method=ask.method, host=ask.host, headers=ask.headers, body=ask.body
            )
        except TimeoutError:
            return Lost.LATE, None
        except (AnswerLost, ssl.SSLError, OSError):
            return Lost.CUT, None
        except ValueError:
            return Lost.GARBLED, None

    def _connection(self) -> Connection:
        kind = Http2Connection if self.plan.mix is Mix.HTTP2 else Http1Connection
        return kind(self._target(), limit=self.plan.limit)

    def _target(self) -> Target:
        addresses = Path(self.plan.follow).read_text().split() if self.plan.follow else []
        if not addresses:
            return self.plan.target
        return msgspec.structs.replace(self.plan.target, address=addresses[next(self._resolved) % len(addresses)])


def _last(response: Response | None) -> bool:
    """Whether the server said that it closes the connection: to open a new one is then no reconnect."""
    return response is not None and (response.header("connection") or "").lower() == "close"
