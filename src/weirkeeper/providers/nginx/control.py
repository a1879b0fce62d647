"""The Unix socket by which an NGINX is programmed: entries in, what it refused out. Our Lua answers (``lua/control.lua``).

Comes in: entries by key. Goes out: refusals by key; what it holds; which file it was started from. ``Away`` where nobody answers, or somebody else than was meant.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from weirkeeper.providers.local import connected, own_time

PATIENCE, PROOF = 10.0, 1.5
PORTION = 256
"""So many entries go at a time: requests are served between two portions."""


class Away(ConnectionError):
    """Nobody answers at the socket."""


class State(NamedTuple):
    """Of which file a worker is, its master, its version of NGINX; whether the master is gone; how many bytes its dictionary has, and how many of them are free; where it listens."""

    mark: str
    master: int
    version: str
    orphan: bool
    capacity: int
    free: int
    binds: tuple[str, ...]


async def put(socket: Path, mark: str, entries: Mapping[str, str | None]) -> dict[str, str]:
    """Have these entries taken, in their order, by the NGINX of that mark; what was refused, and why. ``None`` takes an entry away."""
    listed = list(entries.items())
    refused: dict[str, str] = {}
    for first in range(0, len(listed), PORTION):
        answer = await _ask(socket, "POST /set", msgspec.json.encode(listed[first : first + PORTION]), PATIENCE)
        refused |= _pairs(answer, mark)
    return refused


async def held(socket: Path, mark: str) -> dict[str, str]:
    """The version of each entry by key."""
    return _pairs(await _ask(socket, "GET /held", b"", PATIENCE), mark)


async def state(socket: Path) -> State:
    """Who answers."""
    words = (await _ask(socket, "GET /state", b"", PROOF)).split()
    if len(words) < 6 or words[3] == "ends":
        raise Away("it ends")
    number = int(words[2])
    version = f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
    return State(words[0], int(words[1]), version, words[3] == "orphan", int(words[4]), int(words[5]), tuple(words[6:]))


async def reload(socket: Path) -> None:
    """Have its master read its file again."""
    await _ask(socket, "POST /reload", b"", PROOF)


async def finish(socket: Path) -> None:
    """Have it end: its master, or one worker of a master that is gone."""
    await _ask(socket, "POST /finish", b"", PROOF)


def _pairs(answer: str, mark: str) -> dict[str, str]:
    lines = answer.splitlines()
    if not lines or not lines[-1].startswith("done "):
        raise Away(f"it answers {answer[:200]!r}")
    if lines[-1] != f"done {mark}":
        raise Away("another one has taken its place")
    return {key: text for key, _, text in (line.partition(" ") for line in lines[:-1])}


async def _ask(socket: Path, what: str, body: bytes, patience: float) -> str:
    """One question on a connection of its own."""
    try:
        async with own_time(patience):
            reader, writer = await connected(socket)
            try:
                writer.write(f"{what} HTTP/1.0\r\nHost: control\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise Away(f"it does not answer: {str(error) or type(error).__name__}") from error
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise Away(f"it answers {head[:200]!r}")
    return answer.decode(errors="replace")
