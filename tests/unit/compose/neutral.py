"""Routes, hosts and whole configurations for tests, in one line each."""

from weirkeeper.model.backend import Backend, FromEndpointSet
from weirkeeper.model.config import LoadBalancer, LoadBalancerConfig
from weirkeeper.model.endpoint import Endpoint, EndpointSet
from weirkeeper.model.ids import Ref, joined
from weirkeeper.model.listener import Listener, ListenerTls
from weirkeeper.model.match import ExactPath, RegexPath, RouteMatch, SegmentPrefix, StringPrefix
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, HostedRoute, Route, VirtualHost, WeightedBackend

PATHS = {"=": ExactPath, "~": RegexPath, "^": StringPrefix}


def origin(name: str = "shop", path: str = "", created: str = "", kind: str = "Ingress") -> Origin:
    return Origin(ref=Ref(group="networking.k8s.io", kind=kind, namespace="default", name=name), path=path, created_at=created)


def path(text: str):
    """`=/a` exact, `~/a.*` by expression, `^/a` by characters, `/a` by segment."""
    return PATHS[text[0]](value=text[1:]) if text[0] in PATHS else SegmentPrefix(value=text)


def route(name: str, where: str = "/", to: str = "web", *, created: str = "", object_name: str = "shop", **more) -> Route:
    fields = {"action": Forward(backends=(WeightedBackend(backend=to),)), "created_at": created, **more}
    match = fields.pop("match", None) or RouteMatch(path=path(where))
    return Route(id=name, match=match, origin=origin(object_name, f"spec.{name}", created), **fields)


def hosted(one: Route, hostname: str = "shop.example", labels: int | None = None) -> HostedRoute:
    return HostedRoute(load_balancer="lb", group="main", hostname=hostname, wildcard_labels=labels, route=one)


def host(hostname: str, *routes: Route, labels: int | None = None) -> VirtualHost:
    return VirtualHost(
        id=joined("main", hostname), load_balancer="lb", group="main", hostname=hostname, wildcard_labels=labels, routes=routes
    )


def backend(name: str, **more) -> Backend:
    return Backend(id=name, source=FromEndpointSet(id=name), origins=(origin(name, kind="Service"),), **more)


def config(*hosts: VirtualHost, backends=(), endpoint_sets=(), certificates=(), **more) -> LoadBalancerConfig:
    front = origin("class", kind="IngressClass")
    plain = Listener(id="http", load_balancer="lb", group="main", port=80, origin=front)
    secure = Listener(id="https", load_balancer="lb", group="main", port=443, protocol="https", tls=ListenerTls(), origin=front)
    return LoadBalancerConfig(
        load_balancer=LoadBalancer(id="lb", origin=front),
        listeners=(plain, secure),
        virtual_hosts=hosts,
        backends=backends,
        endpoint_sets=endpoint_sets,
        certificates=certificates,
        **more,
    )


def endpoints(name: str, *addresses: str, port: int = 8080) -> EndpointSet:
    return EndpointSet(id=name, endpoints=tuple(Endpoint(address=address, port=port) for address in addresses))
