"""A shop of a thousand hosts on a whole install: a fake API server, replicas as processes, real Envoys, traffic on every host; and changes with a known right answer.

In: how many replicas and Envoys. Out: a `Stage`. A request fails that has no whole answer, or not the answer that its host must give at that moment.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from cluster_program import LOAD_BALANCER, api_server, endpoint_slice, ingress, ingress_class, service
from replicas_as_processes import Plane, authority_keys, backends, planes

from weirkeeper.distribute.authority import AuthorityKeys
from weirkeeper.testing.apiserver import ApiServer, custom
from weirkeeper.testing.client import Target, fetch
from weirkeeper.testing.engines import Admin
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.fault_proxy import FaultProxy
from weirkeeper.testing.instance import instance
from weirkeeper.testing.load import Ask, Plan, Record, Result, load
from weirkeeper.testing.load.run import Running
from weirkeeper.testing.ports import free_port

ROUTES = 1_000
CONNECTIONS = 16
ANSWERS = ("one", "two")
SHARED = (custom("quarantines", "Quarantine"), custom("holds", "Hold"))
"""Kinds of ours that only a cluster install has."""


def host(number: int) -> str:
    return f"host-{number}.example"


def right(record: Record) -> bool:
    """The shop is served by backend one or, where it has been re-pointed, by two."""
    return record.status == 200 and record.answer in ANSWERS


class Traffic:
    """A load that is under way."""

    def __init__(self, running: Running) -> None:
        self._running = running

    async def result(self) -> Result:
        """All of it, without a failure."""
        result = await asyncio.to_thread(self._running.stop)
        failures = result.failures(right)
        assert not failures, f"{len(failures)} of {len(result.records)} failed: {failures[:5]}"
        return result


class Stage:
    """What the tests move."""

    def __init__(self, server: ApiServer, proxy: FaultProxy | None, ports: dict[str, int], http_port: int, https_port: int, routes: int) -> None:
        self.server, self.proxy, self.ports, self.http_port, self.https_port, self.routes = server, proxy, ports, http_port, https_port, routes
        self.proxies: dict[str, FaultProxy] = {}
        """Before the server, by the replica whose way it is."""
        self.planes: list[Plane] = []
        self.envoys: list[Admin] = []

    @asynccontextmanager
    async def traffic(self, *, rate: float, least: int = 0, seconds: float = 3600, hosts: Iterable[int] = ()) -> AsyncIterator[Traffic]:
        """Requests for these hosts (all of them) while the block runs."""
        asks = tuple(Ask(name=host(number), host=host(number)) for number in hosts or range(self.routes))
        plan = Plan(target=Target(port=self.http_port), asks=asks, connections=CONNECTIONS, rate=rate, seconds=seconds, least=least)
        with contextlib.ExitStack() as stack:
            running = await asyncio.to_thread(stack.enter_context, load(plan))
            yield Traffic(running)

    async def answers(self, name: str, who: str | None, within: float = 60.0) -> None:
        """`name` is answered by this backend; None: by nobody (404)."""

        async def look() -> bool:
            try:
                found = await fetch(f"http://{name}/", via=self.http_port, limit=2.0)
            except (OSError, TimeoutError):
                return False
            return found.status == 404 if who is None else found.status == 200 and found.header("x-echo-name") == who

        await eventually(look, within, what=f"{name} is answered by {who}", pause=0.02)

    async def serves(self, number: int, name: str, *, no: bool = False) -> bool:
        """Whether this one Envoy has a route for the host (or, with `no`, has none)."""
        found = await self.envoys[number].ask("/config_dump?resource=dynamic_scoped_route_configs")
        return (f'"{name}"' in found) is not no

    def put(self, name: str) -> None:
        """One more Ingress of that host."""
        self.server.put(ingress(name.removesuffix(".example"), name, "one"))

    def addresses(self, name: str) -> list[str]:
        """What the status of an Ingress says."""
        found = self.server.get("Ingress", name, "default", api_version="networking.k8s.io/v1") or {}
        return sorted(one.get("ip", "") for one in found.get("status", {}).get("loadBalancer", {}).get("ingress", ()))

    async def told(self, count: int, within: float) -> None:
        """So many Ingresses have addresses in their statuses."""

        async def look() -> bool:
            kind = self.server.kind("Ingress", "networking.k8s.io/v1")
            objects = [entry.object for entry in self.server.log.shelf(kind).objects.values()]
            told = sum(bool(one.get("status", {}).get("loadBalancer", {}).get("ingress")) for one in objects)
            return told >= count

        await eventually(look, within, what=f"{count} statuses say where", pause=0.1)

    def change_behind(self, turn: int, count: int) -> dict[str, str | None]:
        """Changes of three kinds, one after the other: a new host, a host re-pointed, a host gone that the turn before made. The right answers afterwards."""
        wished: dict[str, str | None] = {}
        for number in range(count):
            what = number % 3
            if what == 0:
                self.server.put(ingress(f"new-{turn}-{number}", f"new-{turn}-{number}.example", "one"))
                wished[f"new-{turn}-{number}.example"] = "one"
            elif what == 1:
                at, to = number + 20 * turn, ANSWERS[(turn + 1) % 2]
                self.server.put(ingress(f"shop-{at}", host(at), to))
                wished[host(at)] = to
            elif turn:
                gone = f"new-{turn - 1}-{number - 2}"
                if self.server.get("Ingress", gone, "default", api_version="networking.k8s.io/v1") is None:
                    continue
                self.server.remove("Ingress", gone, "default", api_version="networking.k8s.io/v1")
                wished[f"{gone}.example"] = None
        return wished

    async def caught_up(self, wished: dict[str, str | None], within: float) -> None:
        """All of it is live."""
        await asyncio.gather(*(self.answers(name, who, within) for name, who in wished.items()))


def shop_objects(ports: dict[str, int], routes: int = ROUTES) -> list[dict[str, Any]]:
    made = [ingress_class()]
    for name, port in ports.items():
        made += [service(name), endpoint_slice(name, "127.0.0.1", port)]
    return made + [ingress(f"shop-{number}", host(number), "one") for number in range(routes)]


@asynccontextmanager
async def stage(
    folder: Path, *, replicas: int = 1, envoys: int = 1, routes: int = ROUTES, behind_proxy: bool = False, each_behind_proxy: bool = False,
    keep_bodies: bool = False, keys: AuthorityKeys | None = None, **settings: Any,
) -> AsyncIterator[Stage]:  # fmt: skip
    """A running install, every host answering, every status written."""
    http_port, https_port = free_port(), free_port()
    async with AsyncExitStack() as stack:
        ports = await stack.enter_async_context(backends(*ANSWERS))
        server = await stack.enter_async_context(api_server(*shop_objects(ports, routes)))
        server.keep_bodies = keep_bodies
        for kind in SHARED:
            server.serve(kind)
        proxy = await stack.enter_async_context(FaultProxy("127.0.0.1", server.port)) if behind_proxy else None
        made = Stage(server, proxy, ports, http_port, https_port, routes)
        for number in range(replicas):
            name = f"replica-{number}"
            server.access.add_token(f"token-{name}", name)
            if each_behind_proxy:
                made.proxies[name] = await stack.enter_async_context(FaultProxy("127.0.0.1", server.port))
            between = made.proxies.get(name, proxy)
            url = server.url if between is None else f"http://127.0.0.1:{between.port}"
            kubeconfig = server.kubeconfig(token=f"token-{name}", server=url)
            made.planes.append(Plane(folder, name, kubeconfig, http_port, https_port, **settings))
        await stack.enter_async_context(planes(*made.planes))
        keys = keys or await authority_keys(server)
        for number in range(envoys):
            # each dials its own replica first; all know all of them
            servers = [made.planes[(number + turn) % replicas].server for turn in range(replicas)]
            running = instance(folder / f"i{number}", keys, LOAD_BALANCER, f"i{number}", servers, addresses=[f"192.0.2.{number + 1}"])
            made.envoys.append(await stack.enter_async_context(running))
        if envoys:
            await made.answers(host(0), "one", 60)
            await made.answers(host(routes - 1), "one", 60)
            await made.told(routes, 60)
        yield made
