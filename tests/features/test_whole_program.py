"""The whole program in one process: files in, the ring turning, the memory provider holding what came of it.

The controller here is the smallest that makes sense: each Service is a host of its own name. What Ingress means is tested elsewhere.
"""

import asyncio
import io
import json
import os
import stat
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest

from weirkeeper.app import Plugins
from weirkeeper.app.folder import Application
from weirkeeper.controllers.base import COMMON_KINDS, Intent
from weirkeeper.errors import AlreadyRunning
from weirkeeper.kube.types import Service
from weirkeeper.model.backend import Backend, FromEndpointSet
from weirkeeper.model.config import LoadBalancer
from weirkeeper.model.endpoint import EndpointSet, EndpointSetWish
from weirkeeper.model.finding import Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import Listener
from weirkeeper.model.match import RouteMatch, SegmentPrefix
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, HostedRoute, Route, WeightedBackend
from weirkeeper.model.text import Hostname, Id, Name, PathText
from weirkeeper.providers.base import ItemKey
from weirkeeper.providers.memory import MemoryEngine, MemoryProvider
from weirkeeper.runtime.logging import Log
from weirkeeper.settings import Settings
from weirkeeper.testing.eventually import eventually

LB = Id("lb")


class ServiceHosts:
    name = "service-hosts"
    kinds = COMMON_KINDS

    def declare(self, graph, inputs):
        return (graph.derive("service_hosts", inputs.of(Service), self.intent),)

    def intent(self, _, ref, service):
        origin, name = service.origin(), Id(f"{ref.namespace}/{ref.name}")
        route = Route(
            id=name,
            match=RouteMatch(path=SegmentPrefix(value=PathText("/"))),
            action=Forward(backends=(WeightedBackend(backend=name),)),
            origin=origin,
        )
        host = HostedRoute(load_balancer=LB, group=LB, hostname=Hostname(f"{ref.name}.example"), route=route)
        return Intent(
            load_balancer=LB,
            defines=LoadBalancer(id=LB, provider=Name("memory"), origin=class_origin()),
            listeners=(Listener(id=Id("http"), load_balancer=LB, group=LB, port=80, origin=class_origin()),),
            routes=(host,),
            backends=(Backend(id=name, source=FromEndpointSet(id=name)),),
            endpoint_sets=(EndpointSetWish(id=name, service=ref, port_name=""),),
        )


def class_origin():
    return Origin(ref=Ref(kind="Class", name="one"))


class FragileEngine(MemoryEngine):
    """Loses everything and fails at its next change, when told to."""

    fails = 0

    def take(self, changes, observe):
        if self.fails:
            self.fails -= 1
            self.held.clear()
            raise RuntimeError("the engine is broken")
        super().take(changes, observe)


class KeptProvider(MemoryProvider):
    """The memory provider, with its engine in reach."""

    def __init__(self):
        self.kept = FragileEngine()

    def engine(self, settings):
        return self.kept


def service(name):
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80}}]}}\n"


def endpoints(name, *addresses):
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
        "ports": [{"name": "", "port": 8080}], "endpoints": [{"addresses": [a]} for a in addresses],
    }  # fmt: skip
    return json.dumps(slice_)


class Running:
    def __init__(self, folder, state):
        self.folder = folder
        self.log = io.StringIO()
        self.provider = KeptProvider()
        settings = Settings(state_directory=str(state), providers=("memory",))
        plugins = Plugins((ServiceHosts(),), (self.provider,))
        self.app = Application(settings, plugins, folder, Log(self.log))

    @property
    def hosts(self):
        return {key.name.rpartition("/")[2] for key in self.provider.kept.held if key.kind == "virtual-host"}

    def endpoint_addresses(self, name):
        item = self.provider.kept.held.get(ItemKey(LB, "endpoint-set", f"default/{name}"))
        return [e.address for e in msgspec.json.decode(item.body, type=EndpointSet).endpoints] if item else None

    def save(self, name, text):
        (self.folder / ".half").write_text(text)
        os.rename(self.folder / ".half", self.folder / name)

    async def until(self, condition, what=""):
        async def look():
            return condition()

        await eventually(look, 60, what=what, pause=0.001)

    async def read(self, path):
        connector = aiohttp.UnixConnector(str(self.app.socket))
        async with aiohttp.ClientSession(connector=connector) as session, session.get(f"http://weir{path}") as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text


@asynccontextmanager
async def running(tmp_path):
    (tmp_path / "in").mkdir(exist_ok=True)
    run = Running(tmp_path / "in", tmp_path / "state")
    stop = asyncio.Event()
    task = asyncio.create_task(run.app.run(stop))
    try:
        yield run
    finally:
        stop.set()
        await asyncio.wait_for(task, 60)
        assert len(asyncio.all_tasks()) == 1
        assert not run.app.socket.exists()


def test_files_become_items_and_edits_follow(tmp_path):
    async def scenario():
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.yaml").write_text(service("shop"))
        async with running(tmp_path) as run:
            await run.until(lambda: run.hosts == {"shop.example"})
            run.save("b.yaml", service("blog"))
            await run.until(lambda: run.hosts == {"shop.example", "blog.example"})
            run.save("a.yaml", service("store"))
            await run.until(lambda: run.hosts == {"store.example", "blog.example"})
            (run.folder / "b.yaml").unlink()
            await run.until(lambda: run.hosts == {"store.example"})
            lines = [line for line in run.log.getvalue().splitlines() if "change live" in line]
            assert len(lines) == 4
            assert all("live_ms=" in line for line in lines)

    asyncio.run(scenario())


def test_a_changed_endpoint_touches_nothing_but_its_set(tmp_path):
    async def scenario():
        async with running(tmp_path) as run:
            run.save("a.yaml", service("shop"))
            run.save("a.json", endpoints("shop", "10.0.0.1"))
            await run.until(lambda: run.endpoint_addresses("shop") == ["10.0.0.1"])
            outcomes = []
            run.app.listeners.append(outcomes.append)
            run.save("a.json", endpoints("shop", "10.0.0.1", "10.0.0.2"))
            await run.until(lambda: run.endpoint_addresses("shop") == ["10.0.0.1", "10.0.0.2"])
            (changed,) = [outcome for outcome in outcomes if outcome.items["memory"]]
            assert [key.kind for key in changed.items["memory"]] == ["endpoint-set"]
            assert not {"service_hosts", "virtual_hosts", "memory.virtual-host"} & set(changed.runs)

    asyncio.run(scenario())


def test_a_broken_file_is_a_finding_and_everything_else_stays(tmp_path):
    async def scenario():
        async with running(tmp_path) as run:
            run.save("a.yaml", service("shop"))
            run.save("b.yaml", service("blog"))
            await run.until(lambda: len(run.hosts) == 2)
            run.save("a.yaml", "kind: [\n")
            await run.until(lambda: run.app.reconciler.graph.rows(run.app.reconciler.program.findings))
            (findings,) = run.app.reconciler.graph.rows(run.app.reconciler.program.findings).values()
            assert findings[0].reason is Reason.INVALID_SYNTAX
            assert "a.yaml:1:" in findings[0].for_user
            assert run.hosts == {"shop.example", "blog.example"}
            run.save("a.yaml", service("shop"))
            await run.until(lambda: not run.app.reconciler.graph.rows(run.app.reconciler.program.findings))

    asyncio.run(scenario())


def test_the_read_api_answers_its_owner_only(tmp_path):
    async def scenario():
        async with running(tmp_path) as run:
            run.save("a.yaml", service("shop"))
            secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {tls.key: do-not-show}\n"
            run.save("s.yaml", secret)
            await run.until(lambda: run.hosts == {"shop.example"} and run.app.socket.exists())
            assert stat.S_IMODE(run.app.socket.stat().st_mode) == 0o600
            for path in (await run.read("/"))[1]["paths"]:
                status, answer = await run.read(path)
                assert status in {200, 404, 501}, path
                assert "do-not-show" not in str(answer)
            status, hosts = await run.read("/tables/virtual_hosts")
            assert [row["value"]["hostname"] for row in hosts] == ["shop.example"]
            status, why = await run.read(f"/explain?table=virtual_hosts&key={hosts[0]['key'].replace(' ', '%20')}")
            assert status == 200
            assert "Service default/shop" in json.dumps(why)
            assert (await run.read("/tables/Secret.core"))[0] == 404
            status, changes = await run.read("/changes")
            assert "Service default/shop" in changes["done"][0]["objects"]
            assert "weirkeeper_settles_total" in (await run.read("/metrics"))[1]

    asyncio.run(scenario())


def test_one_program_for_one_state_folder(tmp_path):
    async def scenario():
        async with running(tmp_path) as run:
            await run.until(run.app.socket.exists)
            second = Running(tmp_path / "in", tmp_path / "state")
            with pytest.raises(AlreadyRunning):
                await second.app.run(asyncio.Event())
        async with running(tmp_path) as again:  # the lock went with the first
            await again.until(again.app.socket.exists)

    asyncio.run(scenario())


def test_an_engine_that_crashes_begins_again_with_everything(tmp_path):
    async def scenario():
        async with running(tmp_path) as run:
            run.save("a.yaml", service("shop"))
            await run.until(lambda: run.hosts == {"shop.example"})
            run.provider.kept.fails = 1
            run.save("b.yaml", service("blog"))
            await run.until(lambda: run.hosts == {"shop.example", "blog.example"})
            assert "worker failed" in run.log.getvalue()

    asyncio.run(scenario())
