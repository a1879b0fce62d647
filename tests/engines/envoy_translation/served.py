"""Translated items served to a real Envoy: a small delta server over a fixed set of bytes, and a world to put nouns into.

In: nouns of the model. Out: a running Envoy that has them all. The server answers subscriptions only; nothing changes while it runs.
"""

import contextlib
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2 as discovery

from weirkeeper.flow import Graph
from weirkeeper.model.backend import Backend, FromEndpointSet
from weirkeeper.model.config import LoadBalancer
from weirkeeper.model.endpoint import Endpoint, EndpointSet
from weirkeeper.model.ids import HostKey, Part, Ref
from weirkeeper.model.listener import Listener
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, Route, VirtualHost, WeightedBackend
from weirkeeper.providers.base import Composed, EngineItem, ItemKey
from weirkeeper.providers.envoy import EnvoyOptions, EnvoyProvider, names
from weirkeeper.providers.envoy.translate.wire import nested
from weirkeeper.testing.client import get
from weirkeeper.testing.engines.envoy import Envoy, envoy_process
from weirkeeper.testing.eventually import poll_until

LB: Any = "lb"
GROUP: Any = "default"
ORIGIN = Origin(ref=Ref(kind="Ingress", namespace="default", name="test"))
LOGS_AT_ONCE = ("--file-flush-interval-msec", "20")
SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class World:
    """What one load balancer is to do, as composed tables."""

    def __init__(self, options: EnvoyOptions | None = None) -> None:
        self.graph = Graph()
        source = self.graph.source
        self.composed = Composed(*(source(name) for name in Composed._fields))
        self.provider = EnvoyProvider(options or EnvoyOptions(ipv6=False))
        self.items = self.provider.declare(self.graph, self.composed)
        self.put("load_balancers", LB, LoadBalancer(id=LB, origin=ORIGIN))

    def put(self, table: str, key: Any, value: Any) -> None:
        self.graph.put(getattr(self.composed, table), key, value)

    def part(self, table: str, value: Any) -> None:
        self.put(table, Part(LB, value.id), value)

    def listener(self, name: str, port: int, **more: Any) -> None:
        made: Any = {
            "id": name,
            "load_balancer": LB,
            "group": GROUP,
            "port": port,
            "origin": ORIGIN,
            "addresses": ("127.0.0.1",),
        }
        self.part("listeners", Listener(**{**made, **more}))

    def backend(self, name: str, *ports: int, **more: Any) -> None:
        self.part("backends", Backend(**{"id": name, "source": FromEndpointSet(id=name), **more}))  # type: ignore[arg-type]
        endpoints: Any = tuple(Endpoint(address="127.0.0.1", port=port) for port in ports)  # type: ignore[arg-type]
        self.part("endpoint_sets", EndpointSet(id=name, endpoints=endpoints))  # type: ignore[arg-type]

    def host(self, hostname: str, *routes: Route, group: Any = GROUP, wildcard_labels: int | None = None) -> None:
        host: Any = hostname
        made = VirtualHost(
            id=host, load_balancer=LB, group=group, hostname=host, routes=routes, wildcard_labels=wildcard_labels
        )
        self.put("virtual_hosts", HostKey(LB, group, host), made)

    def settled(self) -> dict[ItemKey, EngineItem]:
        self.graph.settle()
        return dict(self.graph.rows(self.items))


def route(name: str = "r", to: str = "a", **more: Any) -> Route:
    """A route to one backend, unless an action is given."""
    made: Any = {"id": name, "origin": ORIGIN, "action": Forward(backends=(WeightedBackend(backend=to),))}  # type: ignore[arg-type]
    return Route(**{**made, **more})


def answering(port: int, url: str, told: "DeltaServer") -> None:
    """Waits until this URL answers 200; a refusal by Envoy ends the waiting."""

    def look() -> bool:
        assert told.refusals == []
        with contextlib.suppress(OSError):
            return get(url, via=port).status == 200
        return False

    poll_until(look, what=f"{url} answers 200")


class DeltaServer:
    """Answers what Envoy subscribes to; remembers refusals."""

    def __init__(self, items: dict[ItemKey, EngineItem]) -> None:
        self.items = items
        self.refusals: list[str] = []

    def stream(self, requests: Iterator[bytes], _: Any) -> Iterator[bytes]:
        known: set[str] = set()
        for raw in requests:
            asked = discovery.DeltaDiscoveryRequest.FromString(raw)
            if asked.HasField("error_detail"):
                self.refusals.append(asked.error_detail.message)
            wished = list(asked.resource_names_subscribe)
            if asked.type_url not in known and not wished:
                wished = ["*"]
            known.add(asked.type_url)
            if wished:
                yield self._answer(asked.type_url, wished)

    def _answer(self, kind: str, wished: list[str]) -> bytes:
        everything = [key.name for key in self.items if key.kind == kind]
        made = discovery.DeltaDiscoveryResponse(type_url=kind, nonce="n")
        for name in everything if "*" in wished else wished:
            body = self._find(kind, name)
            if body is None:
                made.removed_resources.append(name)
                continue
            one = made.resources.add(name=name, version="1")
            one.resource.type_url, one.resource.value = kind, body
        return bytes(made.SerializeToString())

    def _find(self, kind: str, name: str) -> bytes | None:
        found = self.items.get(ItemKey(LB, kind, name))
        if found is None and kind == names.SECRET:
            wild = "*." + name.partition(".")[2]
            found = next((i for i in self.items.values() if name in i.serves or wild in i.serves), None)
            return None if found is None else found.whole + nested(1, name.encode())
        return found.whole if found else None


@contextlib.contextmanager
def served(world: World) -> Iterator[tuple[Envoy, DeltaServer]]:
    """A live Envoy with everything in the world."""
    told = DeltaServer(world.settled())
    server = grpc.server(futures.ThreadPoolExecutor(4))
    handler = grpc.stream_stream_rpc_method_handler(told.stream)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {"DeltaAggregatedResources": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with envoy_process(bootstrap(port), concurrency=1, arguments=LOGS_AT_ONCE) as envoy:
            yield envoy, told
    finally:
        server.stop(0)


def bootstrap(port: int) -> dict[str, Any]:
    ads = {"ads": {}, "resource_api_version": "V3"}
    http2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    xds = {
        "name": "xds",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "typed_extension_protocol_options": {
            http2: {"@type": names.TYPE + http2, "explicit_http_config": {"http2_protocol_options": {}}}
        },
    }
    return {
        "node": {"id": "test", "cluster": "test"},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
            },
            "lds_config": ads,
            "cds_config": ads,
        },
        "static_resources": {"clusters": [xds]},
    }
