"""Agents, their engines and the control plane are killed while objects change: what the engine holds in the end is what a clean build gives, and requests fail only while the engine itself was dead."""

import asyncio
import random
import time
from contextlib import asynccontextmanager

import pytest
from cluster_program import LOAD_BALANCER, api_server, endpoint_slice, ingress, ingress_class, service, tls_secret
from haproxy_state import held_by as held_by_haproxy
from nginx_state import held_by as held_by_nginx
from replicas_as_processes import Plane, authority_keys, backends, planes

from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import fetch
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.haproxy_instance import haproxy_instance
from weirkeeper.testing.nginx_instance import nginx_instance
from weirkeeper.testing.ports import free_port

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("agents killed")]

ENGINES = {"haproxy": (haproxy_instance, held_by_haproxy, 2.5), "nginx": (nginx_instance, held_by_nginx, 1.0)}
"""Each with how to ask what it holds, and how long that must stay as it is: servers that were taken out of a HAProxy leave when their last request has ended (seconds)."""
EVERYBODY = ("agent", "engine", "both", "control plane")
HOSTS = 40
STEADY = "steady.example"
AFTER = 0.05
"""A connection that the kernel had already accepted dies with the one that was killed."""


@pytest.mark.parametrize("whom", EVERYBODY)
def test_a_kill_amid_changes_ends_as_a_clean_build_does(tmp_path, whom):
    asyncio.run(killed(tmp_path, "haproxy", (whom,) * 2, changes=60))


def test_kills_beside_an_nginx_end_as_a_clean_build_does(tmp_path):
    asyncio.run(killed(tmp_path, "nginx", ("both",), changes=40))


@pytest.mark.reliability
@pytest.mark.parametrize("engine", ENGINES)
def test_a_thousand_changes_with_kills_of_everybody_end_as_a_clean_build_does(tmp_path, engine):
    asyncio.run(killed(tmp_path, engine, EVERYBODY * 3, changes=1_000))


async def killed(folder, engine, whom, *, changes, seed=0):
    """So many changes, and a kill each time an equal share of them is done."""
    chance, authority = random.Random(seed), Authority("shop")
    instance, held_by, pause = ENGINES[engine]
    async with backends("one", "two") as ports, api_server(*_objects(ports)) as server:
        plane = Plane(folder, "replica-0", server.kubeconfig(), free_port(), free_port(), provider=engine)
        async with planes(plane):
            keys = await authority_keys(server)
            async with instance(folder / "i0", keys, LOAD_BALANCER, "i0", [plane.server]) as beside, traffic(plane.http_port) as seen:
                await eventually(lambda: _answers(plane.http_port, STEADY), what="the steady host answers")
                every = changes // (len(whom) + 1)
                last = None
                for number in range(changes):
                    last = _change(server, authority, ports, chance, number)
                    await asyncio.sleep(0.02)
                    if number % every == every - 1 and number // every < len(whom):
                        await _kill(whom[number // every], beside, plane, seen)
                assert last is not None
                await plane.ready()
                server.put(ingress("last", "last.example", "two"))
                await eventually(lambda: _answers(plane.http_port, "last.example"), 60, what=f"the last change is live; {beside.log[-3000:]}")
                found = await _calm(beside, held_by, pause)
            assert not seen.unexcused(), seen.unexcused()[:5]
            assert seen.good > changes / 10
            async with instance(
                folder / "clean", keys, LOAD_BALANCER, "clean", [plane.server], alive_port=beside.alive_port
            ) as clean:
                wished = await _calm(clean, held_by, pause)
            assert found == wished, sorted(found ^ wished)[:10]
            return {"changes": changes, "kills": len(whom), "requests": seen.good, "failed while the engine lived": 0, "rows": len(found)}


def _objects(ports):
    made = [ingress_class(), ingress("steady", STEADY, "one")]
    for name, port in ports.items():
        made += [service(name), endpoint_slice(name, "127.0.0.1", port)]
    return made


def _change(server, authority, ports, chance, number):
    """One of many kinds of changes, to one of a few hosts."""
    at, name = chance.randrange(HOSTS), chance.choice(("one", "two"))
    host, kind = f"h{at}.example", chance.randrange(8)
    known = server.get("Ingress", f"h{at}", "default", api_version="networking.k8s.io/v1") is not None
    if kind == 0 and known:
        server.remove("Ingress", f"h{at}", "default", api_version="networking.k8s.io/v1")
    elif kind == 1:
        server.put(tls_secret(f"t{at}", authority.issue(host)))
        server.put(ingress(f"h{at}", host, name, secret=f"t{at}", annotations={"nginx.ingress.kubernetes.io/ssl-redirect": "false"}))
    elif kind == 2:
        server.put(service(f"s{at}"))
        server.put(endpoint_slice(f"s{at}", "127.0.0.1", ports[name]))
        server.put(ingress(f"h{at}", host, f"s{at}"))
    elif kind == 3:
        server.put(endpoint_slice(f"s{at}", "127.0.0.1", ports[name]))
    elif kind == 4 and number % 5 == 0:
        server.put(ingress(f"h{at}", host, name, annotations={"nginx.ingress.kubernetes.io/x-forwarded-prefix": f"/{number}"}))
    else:
        server.put(ingress(f"h{at}", host, name))
    return host


async def _kill(whom, beside, plane, seen):
    dead = whom in {"engine", "both"}
    if dead:
        seen.begin()
    if whom in {"agent", "both"}:
        beside.kill_agent()
    if dead:
        await beside.kill_engine()
    if whom in {"agent", "both"}:
        beside.start_agent()
    if whom == "control plane":
        plane.kill()
        plane.start()
    if dead:
        await beside.ready()
        await eventually(lambda: _answers(plane.http_port, STEADY), what="it serves again", pause=0.02)
        seen.end()


async def _calm(beside, held_by, pause):
    """What it holds, once that stays as it is."""
    await beside.ready()
    last = [set()]

    async def look():
        now = await held_by(beside.engine)
        calm, last[0] = now == last[0], now
        return calm

    await eventually(look, 60, what="nothing moves any more", pause=pause)
    return last[0]


async def _answers(port, host):
    try:
        return (await fetch(f"http://{host}/", via=port, limit=2.0)).status == 200
    except (OSError, TimeoutError):
        return False


class Seen:
    """Requests that failed, and when the engine was dead."""

    def __init__(self):
        self.good = 0
        self._failed, self._dead = [], []

    def begin(self):
        self._dead.append((time.monotonic(), float("inf")))

    def end(self):
        self._dead[-1] = (self._dead[-1][0], time.monotonic())

    def failed(self, began, why):
        self._failed.append((began, time.monotonic(), why))

    def unexcused(self):
        return [one for one in self._failed if not any(one[0] <= end + AFTER and one[1] >= start - AFTER for start, end in self._dead)]


@asynccontextmanager
async def traffic(port):
    """Requests for the steady host, each over a connection of its own, from the first good answer on."""
    seen = Seen()

    async def ask():
        await eventually(lambda: _answers(port, STEADY), what="the steady host answers")
        while True:
            began = time.monotonic()
            try:
                status = (await fetch(f"http://{STEADY}/", via=port, limit=30.0)).status
                why = "" if status == 200 else f"status {status}"
            except (OSError, TimeoutError) as error:
                why = f"{type(error).__name__}: {error}"
            if why:
                seen.failed(began, why)
            else:
                seen.good += 1
            await asyncio.sleep(0.02)

    tasks = [asyncio.create_task(ask()) for _ in range(3)]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


