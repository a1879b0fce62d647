"""What a pod's probes and Prometheus ask of an Envoy that keeps its admin on a Unix socket: whether it is ready, and its numbers.

Comes in: the socket. Goes out: the reason why it is not ready, or the statistics as text. Nothing here changes anything in Envoy.

Ready means: live, and it has taken a first configuration of clusters and of listeners. One that has lost the control plane stays ready: it serves what it
has. One that drains is not ready.
"""

from pathlib import Path

import aiohttp

_PATIENCE = aiohttp.ClientTimeout(total=2.0)
_TAKEN = ("cluster_manager.cds.update_success", "listener_manager.lds.update_success")
_ASKED = "/stats?filter=^(server.live|" + "|".join(_TAKEN) + "|listener_manager.total_listeners_warming)$"


async def unready(socket: Path) -> str:
    """Why this Envoy is not ready; empty where it is."""
    try:
        text = await asked(socket, _ASKED)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return f"its admin does not answer: {error or type(error).__name__}"
    return why_not(numbers(text))


def why_not(found: dict[str, int]) -> str:
    """The same, of its statistics."""
    if found.get("server.live") != 1:
        return "it is not live"
    lacking = [name for name in _TAKEN if not found.get(name)]
    if lacking:
        return "it has not taken a first configuration: " + ", ".join(lacking)
    if found.get("listener_manager.total_listeners_warming"):
        return "its listeners are not warm yet"
    return ""


def numbers(text: str) -> dict[str, int]:
    """Counters and gauges by name, out of Envoy's plain statistics."""
    lines = (line.partition(": ") for line in text.splitlines())
    return {name: int(value) for name, _, value in lines if value.isascii() and value.isdecimal()}


async def prometheus(socket: Path) -> str:
    """All statistics, as Prometheus reads them. Failures are raised as aiohttp's."""
    return await asked(socket, "/stats/prometheus")


async def asked(socket: Path, path: str, method: str = "GET") -> str:
    """What the admin says. Failures are raised as aiohttp's."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), timeout=_PATIENCE) as session,
        session.request(method, f"http://admin{path}") as answer,
    ):
        answer.raise_for_status()
        return await answer.text()
