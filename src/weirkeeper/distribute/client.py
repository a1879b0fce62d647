"""How an agent reaches its control plane: delta ADS over gRPC with mutual TLS, begun anew whenever it ends. Public: whoever writes an agent for an engine begins here.

Comes in: addresses of the control plane, the instance's certificate, a ``Subscription``. Goes out: rounds of changes to ``take``, each with the stream to answer on. While no replica can be
reached the agent keeps what it has; replicas are asked one after the other, at most a second apart.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import grpc
import grpc.aio
from grpc.aio import EOF  # type: ignore[attr-defined] # the stubs lack it

from weirkeeper.distribute.authority import SERVER_NAME
from weirkeeper.distribute.credentials import MutualTls, spread
from weirkeeper.distribute.door import METHOD, SERVICE
from weirkeeper.distribute.subscription import Round, Subscription, answered
from weirkeeper.distribute.wire import Malformed

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
STEADY = 5.0
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
]


class Stream:
    """One stream, as those see it who answer on it."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[bytes | None] = asyncio.Queue()
        """Requests to send; None when there are no more."""
        self.ended = False

    def answer(
        self, responses: Iterable[tuple[str, str, frozenset[str]]], refused: Mapping[tuple[str, str], str]
    ) -> None:
        """Say to each of these responses what became of it. A stream that has ended hears nothing."""
        for kind, nonce, names in responses:
            bad = {name: refused[kind, name] for name in names if (kind, name) in refused}
            if not self.ended:
                self.said.put_nowait(answered(kind, nonce, bad))


Take = Callable[[Round, Stream], None]
"""Takes a round to the engine, and answers on its stream when the engine has it. Never blocks."""


class Client:
    """Keeps one stream to one of several replicas; ``run`` is its task."""

    def __init__(
        self,
        servers: Sequence[str],
        subscription: Subscription,
        tls: Callable[[], Awaitable[MutualTls]],
        take: Take,
        server_name: str = SERVER_NAME,
    ) -> None:
        self._servers, self._subscription, self._tls, self._take = tuple(servers), subscription, tls, take
        self._server_name = server_name
        self._attempts = 0
        self._stream: Stream | None = None
        self.why = "no replica was asked yet"
        """Why there is no stream; empty while there is one."""

    def begin_anew(self) -> None:
        """End the stream; the next one claims what is held by then."""
        if self._stream is not None:
            self._stream.said.put_nowait(None)

    def say(self, request: bytes) -> None:
        """Say this on the stream, where there is one."""
        if self._stream is not None and not self._stream.ended:
            self._stream.said.put_nowait(request)

    async def run(self) -> None:
        """Until cancelled."""
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while True:
            began = loop.time()
            server = self._servers[self._attempts % len(self._servers)]
            self._attempts += 1
            tls = await self._tls()
            try:
                self.why = f"{server}: {await self._follow(server, tls)}"
            except grpc.aio.AioRpcError as error:
                self.why = f"{server}: {error.details() or error.code().name}"
            except Malformed as error:
                self.why = f"{server} speaks another language: {error}"
            pause = FIRST_PAUSE if loop.time() - began > STEADY else min(pause * 2, LONGEST_PAUSE)
            log.info("the stream is begun anew: %s", self.why)
            await asyncio.sleep(spread(pause, 0.3))

    async def _follow(self, server: str, tls: MutualTls) -> str:
        """Follow one stream to its end; returns why it ended."""
        options = [*_OPTIONS, ("grpc.ssl_target_name_override", self._server_name)]
        credentials = grpc.ssl_channel_credentials(tls.authority, tls.key, tls.chain)
        opened: Any = grpc.aio.secure_channel(server, credentials, options=options)
        async with opened as channel:
            call = channel.stream_stream(f"/{SERVICE}/{METHOD}")()
            self._stream = stream = Stream()
            for message in self._subscription.begun():
                stream.said.put_nowait(message)
            speaking = asyncio.create_task(_speak(call, stream), name="stream, speaking")
            try:
                while (raw := await call.read()) is not EOF:
                    self.why = ""
                    found = self._subscription.receive(raw)
                    if found is not None:
                        self._take(found, stream)
                return str(await call.details() or "it ended the stream")
            finally:
                stream.ended = True
                speaking.cancel()
                await asyncio.wait((speaking,))
                call.cancel()


async def _speak(call: Any, stream: Stream) -> None:
    """Say what is to be said; a call that is over is noticed by who listens."""
    try:
        while (message := await stream.said.get()) is not None:
            await call.write(message)
        await call.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return
