"""A replica's writing side on a fake or real API server: lease, led client, status and event writers, fed by a reflector as the program feeds them."""

import asyncio
import contextlib
import io
import os
import secrets

from weirkeeper.feeds.base import Cause, Seen
from weirkeeper.kube.access import Access, StaticToken, Trust
from weirkeeper.kube.client import Client
from weirkeeper.kube.lease import LeaseTimes
from weirkeeper.kube.resources import KNOWN
from weirkeeper.kube.types import Ingress
from weirkeeper.kube.watch import Absent, Applied, Deleted, Listed, Reflector
from weirkeeper.model.ids import Ref
from weirkeeper.model.observation import StatusWish
from weirkeeper.runtime.leader import Leadership
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.published import PublishedRecord
from weirkeeper.runtime.status_writer import StatusWriter
from weirkeeper.runtime.writes import LedClient
from weirkeeper.testing.apiserver import ApiServer
from weirkeeper.testing.eventually import eventually

INGRESS, NAMESPACE = KNOWN["networking.k8s.io", "Ingress"], KNOWN["", "Namespace"]
PORTS = [{"port": 80, "protocol": "TCP"}]
LEASE_SECONDS = float(os.environ.get("WEIR_FENCE_LEASE", "2"))
TIMES = LeaseTimes(duration=LEASE_SECONDS, renew=0.7 * LEASE_SECONDS, retry=0.15 * LEASE_SECONDS)


def on_server(server, scenario, user="admin", **options):
    """Runs `scenario(client, namespace, api)`; `api` is the fake server, or nothing on the real one."""

    async def whole():
        name = f"t-{secrets.token_hex(4)}"
        async with asyncio.timeout(180), contextlib.AsyncExitStack() as stack:
            if getattr(server, "name", "") == "fake":
                api = await stack.enter_async_context(ApiServer(**options))
                access = Access(api.url)
            else:
                api = None
                access = Access(
                    server.url,
                    credentials=StaticToken(server.tokens[user]),
                    trust=Trust(authority=server.authority.pem()),
                )
            client = await stack.enter_async_context(Client(access, user_agent="weir-test/1"))
            await client.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            await scenario(client, name, api)

    asyncio.run(whole())


def ingress(name, namespace):
    rule = {"host": f"{name}.example"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"rules": [rule]},
    }


def ref(name, namespace):
    return Ref(group="networking.k8s.io", kind="Ingress", namespace=namespace, name=name)


def entry(ip):
    return {"ip": ip, "ports": PORTS}


class Replica:
    """One replica: what it sees it sees by a watch, what it wishes the test says."""

    def __init__(self, client, namespace, who="one", install="", **options):
        self.client, self.namespace, self.log = client, namespace, io.StringIO()
        self.metrics, self.live = Metrics(), []
        log = Log(self.log)
        self.leadership = Leadership(
            client,
            name=f"lease{install}",
            namespace=namespace,
            identity=who,
            log=log,
            metrics=self.metrics,
            times=TIMES,
        )
        self.led = LedClient(client, self.leadership)
        self.record = PublishedRecord(self.led, name=f"published{install}", namespace=namespace, log=log)
        options = {"caution": 0.0, "manager": "weir-test", "live": lambda *told: self.live.append(told)} | options
        self.writer = StatusWriter(self.led, self.record, log=log, metrics=self.metrics, **options)
        self.listed = asyncio.Event()
        self.states = []
        """What the watch told of statuses, in its order: their addresses."""
        self.reflector = Reflector(client, INGRESS, type=Ingress, namespace=namespace, tell=self._tell)
        self.tasks = []

    def _tell(self, news):
        for one in news:
            match one:
                case Applied():
                    self.states.append([shown.ip for shown in one.object.status.load_balancer.ingress or ()] if one.object.status else [])
                    self.writer.seen([Seen(ref=one.ref, object=one.object)])
                case Deleted() | Absent():
                    self.writer.seen([Seen(ref=one.ref, cause=Cause.DELETED)])
                case Listed():
                    self.listed.set()

    def wish(self, *names, ips=()):
        """Addresses for these objects; `None`: they are not ours."""
        refs = [ref(name, self.namespace) for name in names]
        self.writer.wished({
            one: None if ips is None else StatusWish(ref=one, addresses=tuple((ip, "") for ip in ips), ports=(80,)) for one in refs
        })  # fmt: skip

    async def __aenter__(self):
        self.tasks = [
            asyncio.create_task(self.reflector.run()),
            asyncio.create_task(self.leadership.run(self.writer.run)),
        ]
        await self.listed.wait()
        return self

    async def __aexit__(self, *_):
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)

    async def says(self, name, *entries, within=60.0):
        """Waits until the object's status is these entries."""

        async def look():
            found = await self.client.get(INGRESS, name, self.namespace)
            return found if entries_of(found) == list(entries) else None

        return await eventually(look, within, what=f"{name} says {entries}")

    async def shown(self, name):
        """The entries of the object's status now."""
        return entries_of(await self.client.get(INGRESS, name, self.namespace))

    async def saw(self, *states):
        """Waits until the watch has told of these states at last."""

        async def look():
            return self.states[-len(states) :] == list(states)

        await eventually(look, 60, what=f"the watch tells of {states}")


def entries_of(found):
    return ((found.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
