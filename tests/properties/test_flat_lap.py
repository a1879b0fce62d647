"""What one change costs does not grow with the number of objects: derivation runs are counted over a whole lap, observations and statuses included."""

import msgspec
import pytest

from weirkeeper.controllers.ingress import CONTROLLER
from weirkeeper.feeds.base import Seen, Synced
from weirkeeper.kube.types import EndpointSlice, Ingress, IngressTls, Secret, Service
from weirkeeper.model.observation import ItemObservation, LoadBalancerObservation
from weirkeeper.providers.envoy import PROVIDER as ENVOY
from weirkeeper.providers.memory import PROVIDER as MEMORY
from weirkeeper.providers.memory import MemoryEngine
from weirkeeper.reconcile import Reconciler
from weirkeeper.testing.certificates import Authority

SIZES = (10, 100, 1_000, 10_000)


def ingress(number: int, path: str = "/") -> Ingress:
    backend = {"service": {"name": f"s{number}", "port": {"number": 80}}}
    paths = [{"path": p, "pathType": "Prefix", "backend": backend} for p in (path, "/api")]
    return msgspec.convert(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": f"i{number}", "namespace": "default"},
            "spec": {"rules": [{"host": f"h{number}.example.com", "http": {"paths": paths}}]},
        },
        Ingress,
    )


def secured(number: int) -> Ingress:
    """An Ingress with TLS; all of them share one Secret."""
    plain = ingress(number)
    tls = (IngressTls(hosts=(f"h{number}.example.com",), secret_name="shared"),)
    return msgspec.structs.replace(plain, spec=msgspec.structs.replace(plain.spec, tls=tls))


def shared_secret() -> Secret:
    pair = Authority().issue("*.example.com")
    texts = {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()}
    return msgspec.convert(
        {"kind": "Secret", "metadata": {"name": "shared", "namespace": "default"}, "stringData": texts}, Secret
    )


def service(number: int) -> Service:
    meta = {"name": f"s{number}", "namespace": "default"}
    return msgspec.convert(
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 80, "name": "http"}]}},
        Service,
    )


def endpoints(number: int, port: int = 8080) -> EndpointSlice:
    return msgspec.convert(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"s{number}-a",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": f"s{number}"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": port}],
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
        },
        EndpointSlice,
    )


def seen(thing: Ingress | Service | EndpointSlice | Secret) -> Seen:
    return Seen(ref=thing.ref, object=thing)


def lap(reconciler: Reconciler, engine: MemoryEngine, provider: str, events: list[object]) -> int:
    """All derivation runs from the events until an engine has taken the result and its observations have settled."""
    reconciler.receive(events)
    runs = 0
    for _ in range(5):
        outcome = reconciler.settle()
        runs += sum(outcome.runs.values())
        observed: list[ItemObservation | LoadBalancerObservation] = []
        engine.take(outcome.items[provider], observed.append)
        if not observed:
            return runs
        reconciler.receive(observed)
    raise AssertionError("the ring does not come to rest")


def costs(size: int, provider: object) -> dict[str, int]:
    reconciler = Reconciler([CONTROLLER], [provider])
    engine = MemoryEngine()
    everything = [seen(make(n)) for n in range(size) for make in (ingress, service, endpoints)]
    synced = Synced(feed="test", kinds=tuple(kind for _, kind in reconciler.kinds))
    lap(reconciler, engine, provider.name, [synced, *everything])
    changes = {
        "a changed Ingress": ingress(3, "/changed"),
        "a new Ingress": ingress(size + 1),
        "a changed EndpointSlice": endpoints(4, 9090),
        "a Service that comes for it": service(size + 1),
    }
    return {name: lap(reconciler, engine, provider.name, [seen(thing)]) for name, thing in changes.items()}


@pytest.mark.parametrize("provider", [MEMORY, ENVOY], ids=["memory", "envoy"])
def test_runs_of_one_change_are_flat(provider: object) -> None:
    by_size = {size: costs(size, provider) for size in SIZES}
    smallest = by_size[SIZES[0]]
    assert all(cost == smallest for cost in by_size.values()), by_size
    assert smallest["a changed EndpointSlice"] <= 5
    assert max(smallest.values()) <= 60


def test_an_endpoint_change_runs_no_route_derivation() -> None:
    reconciler = Reconciler([CONTROLLER], [ENVOY])
    reconciler.receive([seen(make(n)) for n in range(5) for make in (ingress, service, endpoints)])
    reconciler.settle()
    reconciler.receive([seen(endpoints(2, 9999))])
    runs = reconciler.settle().runs
    assert runs
    assert not {name for name in runs if "host" in name or "route" in name or "intent" in name or "scope" in name}


@pytest.mark.parametrize("provider", [MEMORY, ENVOY], ids=["memory", "envoy"])
def test_a_new_host_of_a_shared_secret_and_its_rotation_cost_the_same_however_many_share_it(provider: object) -> None:
    found = {}
    for size in (10, 1_000):
        reconciler, engine = Reconciler([CONTROLLER], [provider]), MemoryEngine()
        synced = Synced(feed="test", kinds=tuple(kind for _, kind in reconciler.kinds))
        everything = [seen(make(n)) for n in range(size) for make in (secured, service)]
        lap(reconciler, engine, provider.name, [synced, seen(shared_secret()), *everything])
        before = {key: item.version for key, item in engine.held.items()}
        new = lap(reconciler, engine, provider.name, [seen(secured(size + 1))])
        rotated = lap(reconciler, engine, provider.name, [seen(shared_secret())])
        changed = [key for key, item in engine.held.items() if key in before and item.version != before[key]]
        found[size] = (new, rotated, len(changed))
    assert found[10] == found[1_000], found
    assert found[10][2] == 1  # the certificate itself, and no host
