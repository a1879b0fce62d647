"""The fleet writer against a client that keeps what it is told, and the pods that are told to go."""

import asyncio
import io
from contextlib import suppress
from types import SimpleNamespace

import msgspec
import pytest

from weirkeeper.fleet.objects import fleet_objects
from weirkeeper.fleet.place import OF, FleetPlace, fleet_name
from weirkeeper.kube.errors import AlreadyExists, Forbidden
from weirkeeper.kube.mirror import Applied, Deleted
from weirkeeper.kube.types import ConfigMap, Service
from weirkeeper.model.fleet import Fleet, FleetWish
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Id, Name
from weirkeeper.runtime.fleet_pods import FleetPod, FleetPods
from weirkeeper.runtime.fleet_services import FleetServices
from weirkeeper.runtime.fleet_writer import FleetWriter
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.testing.eventually import eventually

PLACE = FleetPlace(
    install=Name("w"),
    namespace=Name("edge"),
    control_plane="w.home.svc",
    image="weir:1",
    envoy_image="envoy:1",
    audience="w",
    streams_port=1,
    exchange_port=2,
)


def wish(name, replicas=1):
    origin = Origin(ref=Ref(kind="Ingress", namespace="n", name=name))
    name = Id(f"ingress/c/n/{name}")
    return FleetWish(
        load_balancer=name, provider=Name("envoy"), fleet=Fleet(replicas=replicas), ports=(80,), origin=origin
    )


class Cluster:
    """What an API server keeps of a namespace: enough of the client's words for the writer, and of the led client's."""

    def __init__(self):
        self.objects, self.version, self.refused = {}, 0, set()
        self.writes = []

    async def pages(self, kind, namespace, *, label_selector, **asked):
        assert label_selector == "weirkeeper.io/install=w,weirkeeper.io/load-balancer"
        found = [body for (k, _), body in self.objects.items() if k == kind.kind and body["metadata"].get("labels")]
        yield SimpleNamespace(items=[SimpleNamespace(object=msgspec.convert(body, asked["type"])) for body in found])

    def _put(self, kind, body):
        if kind.kind in self.refused:
            raise Forbidden("no")
        self.version += 1
        meta = {**body["metadata"], "uid": f"uid-{self.version}", "resourceVersion": str(self.version)}
        self.objects[kind.kind, meta["name"]] = {**body, "metadata": meta}

    async def create(self, kind, body, namespace):
        if (kind.kind, body["metadata"]["name"]) in self.objects:
            raise AlreadyExists("it is there")
        self.writes.append(("create", kind.kind))
        self._put(kind, body)

    async def replace(self, kind, name, body, namespace):
        assert body["metadata"]["resourceVersion"] == self.objects[kind.kind, name]["metadata"]["resourceVersion"]
        self.writes.append(("replace", kind.kind))
        self._put(kind, body)

    async def delete(self, kind, name, namespace, *, uid):
        assert uid == self.objects[kind.kind, name]["metadata"]["uid"]
        self.writes.append(("delete", kind.kind))
        del self.objects[kind.kind, name]

    def names(self, kind="Deployment"):
        return {name for k, name in self.objects if k == kind}


async def until(look):
    async def asked():
        return look()

    await eventually(asked, 60, what="as it should be", pause=0.005)


def led(cluster, scenario, **more):
    """Run a scenario beside a writer that leads."""
    log = io.StringIO()

    async def run():
        writer = FleetWriter(cluster, cluster, PLACE, log=Log(log), metrics=Metrics(), **more)
        task = asyncio.create_task(writer.run())
        try:
            await scenario(writer)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(run())
    return log.getvalue()


def name_of(name):
    return fleet_name(PLACE, wish(name).load_balancer)


def changes(*wishes, gone=()):
    return {w.load_balancer: w for w in wishes} | {wish(name).load_balancer: None for name in gone}


def test_what_is_wished_is_made_changed_and_taken_away():
    cluster = Cluster()

    async def scenario(writer):
        writer.wished(changes(wish("a"), wish("b")))
        await until(lambda: cluster.names() == cluster.names("ServiceAccount") == {name_of("a"), name_of("b")})
        writer.wished(changes(wish("a", 3)))
        await until(lambda: cluster.objects["Deployment", name_of("a")]["spec"]["replicas"] == 3)
        writer.wished(changes(gone=["a"]))
        await until(lambda: cluster.names() == cluster.names("ServiceAccount") == {name_of("b")})

    led(cluster, scenario)
    assert cluster.writes.count(("replace", "Deployment")) == 1
    assert ("replace", "ServiceAccount") not in cluster.writes


def test_nothing_is_taken_away_before_everything_was_seen():
    cluster = Cluster()
    for key, body in fleet_objects(PLACE, wish("old")).items():
        cluster.objects[key.kind[1], key.name] = {
            **body,
            "metadata": {**body["metadata"], "uid": "u", "resourceVersion": "1"},
        }

    async def scenario(writer):
        for _ in range(100):
            await asyncio.sleep(0)
        assert cluster.writes == []
        writer.wished({})
        await until(lambda: cluster.objects == {})

    led(cluster, scenario)


def test_one_refused_write_holds_up_no_other_and_is_tried_again():
    cluster = Cluster()
    cluster.refused = {"ServiceAccount"}

    async def scenario(writer):
        writer.wished(changes(wish("a")))
        await until(lambda: cluster.names() == {name_of("a")})
        cluster.refused = set()
        await until(lambda: cluster.names("ServiceAccount") == {name_of("a")})

    assert "could not be written" in led(cluster, scenario)


def test_a_foreign_object_of_that_name_is_left_alone_and_told():
    cluster = Cluster()
    foreign = {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": name_of("a")}}
    cluster.objects["Deployment", name_of("a")] = foreign

    async def scenario(writer):
        writer.wished(changes(wish("a")))
        await until(lambda: cluster.names("ServiceAccount"))

    assert "was not written" in led(cluster, scenario)
    assert cluster.objects["Deployment", name_of("a")] is foreign


def pod(name, *, going=False, of="ingress/c/n/a", **said):
    meta = {"name": name, "namespace": "edge", "annotations": {} if of is None else {OF: of}}
    if going:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    status = {"conditions": [{"type": kind, "status": text} for kind, text in said.items()]}
    made = msgspec.convert({"kind": "Pod", "apiVersion": "v1", "metadata": meta, "status": status}, FleetPod)
    return Applied(made.ref, made)


@pytest.fixture
def following():
    said = []
    return FleetPods(SimpleNamespace(), "edge", "a=b", said.append, log=Log(io.StringIO()), gate=None, of="ingress/edge"), said


def test_a_pod_that_is_told_to_go_is_said_once(following):
    pods, said = following
    pods.told([pod("p")])
    assert said == []
    pods.told([pod("p", going=True)])
    pods.told([pod("p", going=True)])
    [one] = said
    assert (one.load_balancer, one.instance, one.leaving) == ("ingress/c/n/a", "p", True)


def test_what_was_said_stands_when_the_pod_is_gone(following):
    pods, said = following

    async def gone():
        pods.told([pod("p", going=True), Deleted(Ref(kind="Pod", namespace="edge", name="p"))])

    asyncio.run(gone())
    assert [one.leaving for one in said] == [True]


def test_a_pod_that_does_not_say_whose_it_is_is_one_of_the_shipped(following):
    pods, said = following
    pods.told([pod("p", going=True, of=None)])
    assert [(one.load_balancer, one.instance) for one in said] == [("ingress/edge", "p")]


def test_a_pod_that_names_no_load_balancer_says_nothing(following):
    pods, said = following
    pods.told([pod("p", going=True, of="a b")])
    assert said == []


def test_a_pod_whose_host_is_not_heard_of_is_out_until_it_is_heard_of_again(following):
    pods, said = following
    pods.told([pod("p", Ready="True", ContainersReady="True")])
    assert said == []
    pods.told([pod("p", Ready="False", ContainersReady="True")])
    pods.told([pod("p", Ready="True", ContainersReady="True")])
    assert [one.leaving for one in said] == [True, False]


def test_a_pod_that_is_not_ready_by_itself_is_judged_by_its_stream(following):
    pods, said = following
    pods.told([pod("p", Ready="False", ContainersReady="False")])
    assert said == []


def service(kind="NodePort", *, name=None, given=(), node_port=30080, of="ingress/c/n/a"):
    meta = {"name": name or name_of("a"), "namespace": "edge", "annotations": {OF: of}}
    ports = [{"name": "port-80", "port": 80, "targetPort": 80, "nodePort": node_port}]
    status = {"loadBalancer": {"ingress": [{"ip": ip} for ip in given]}}
    body = {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": meta,
        "spec": {"type": kind, "ports": ports},
        "status": status,
    }
    made = msgspec.convert(body, Service)
    return Applied(made.ref, made)


@pytest.fixture
def fronts():
    said = []
    return FleetServices(SimpleNamespace(), PLACE, PLACE.namespace, said.append, log=Log(io.StringIO()), gate=None), said


def test_what_kubernetes_gives_to_a_service_is_said_once_and_taken_back(fronts):
    services, said = fronts
    services.told([service(), service()])
    services.told([Deleted(Ref(kind="Service", namespace="edge", name=name_of("a")))])
    assert [(one.load_balancer, one.exposure, one.ports) for one in said] == [
        ("ingress/c/n/a", "nodePort", (30080,)),
        ("ingress/c/n/a", "nodePort", ()),
    ]


def test_addresses_of_a_load_balancer_come_after_it_was_made(fronts):
    services, said = fronts
    services.told([service("LoadBalancer"), service("LoadBalancer", given=["198.51.100.7"])])
    assert [(one.ports, [a.ip for a in one.addresses]) for one in said] == [((80,), []), ((80,), ["198.51.100.7"])]


@pytest.mark.parametrize("foreign", [{"name": "other"}, {"of": "a b"}, {"node_port": 0}])
def test_a_service_that_is_none_of_a_fleets_says_nothing(fronts, foreign):
    services, said = fronts
    services.told([service(**foreign)])
    assert said == []


def test_a_service_of_another_namespace_says_nothing_of_a_fleet(fronts):
    services, said = fronts
    services.told([service(of="gateway/n/a", name=fleet_name(PLACE, Id("gateway/n/a")))])
    there = service(of="gateway/n/a", name=fleet_name(PLACE, Id("gateway/n/a")))
    for namespace in ("n", "m"):
        meta = msgspec.structs.replace(there.object.metadata, namespace=namespace)
        moved = msgspec.structs.replace(there.object, metadata=meta)
        services.told([Applied(moved.ref, moved)])
    assert [one.load_balancer for one in said] == ["gateway/n/a", "gateway/n/a"]


def test_a_fleet_beside_its_gateway_has_a_copy_of_what_it_trusts():
    cluster = Cluster()
    beside = msgspec.structs.replace(wish("a"), load_balancer=Id("gateway/n/a"), namespace=Name("n"))
    roots = {"ca.crt": "one"}

    async def published(kind, name, namespace, **_):
        assert (kind.kind, name, namespace) == ("ConfigMap", "w-authority", "edge")
        return msgspec.convert({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": roots}, ConfigMap)

    cluster.get = published
    name = fleet_name(PLACE, beside.load_balancer)

    async def scenario(writer):
        writer.wished({beside.load_balancer: beside})
        await until(lambda: cluster.names() == {name})
        assert cluster.objects["ConfigMap", name]["data"] == {"ca.crt": "one"}
        assert cluster.objects["Deployment", name]["metadata"]["namespace"] == "n"
        roots["ca.crt"] = "two"
        writer.wished({beside.load_balancer: msgspec.structs.replace(beside, ports=(81,))})
        await until(lambda: cluster.objects["ConfigMap", name]["data"] == {"ca.crt": "two"})
        writer.wished({beside.load_balancer: None})
        await until(lambda: cluster.objects == {})

    led(cluster, scenario, namespaces=("n",))
