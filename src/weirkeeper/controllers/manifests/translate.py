"""What a ``LoadBalancer`` manifest means. A part that is wrong is left out with a finding; a route without a place to go answers 503."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, get_args

import msgspec

from weirkeeper.controllers.base import CertificateWish, EndpointSetWish, HostedRoute, Inputs, Intent
from weirkeeper.controllers.manifests.types import (
    LoadBalancerManifest,
    ManifestBackend,
    ManifestEdit,
    ManifestForward,
    ManifestListener,
    ManifestRedirect,
    ManifestRewrite,
    ManifestRoute,
    ManifestStream,
)
from weirkeeper.controllers.shared.addresses import refused_address
from weirkeeper.controllers.shared.hostnames import ANY, hostname
from weirkeeper.controllers.shared.ids import id_of, place
from weirkeeper.controllers.shared.reach import NoBackend
from weirkeeper.controllers.shared.regexes import checked_regex
from weirkeeper.controllers.shared.report import error, field
from weirkeeper.controllers.shared.services import of_bytes, service_backend, service_ref
from weirkeeper.flow import Read
from weirkeeper.kube.types import Service
from weirkeeper.model.backend import Backend, FromEndpointSet
from weirkeeper.model.config import LoadBalancer
from weirkeeper.model.endpoint import Endpoint
from weirkeeper.model.filters import FullPath, HeaderEdit, HeaderValuePair, PrefixPath, Timeouts, UrlRewrite
from weirkeeper.model.finding import Effect, Finding, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import Listener, ListenerTls
from weirkeeper.model.match import Exactly, ExactPath, HeaderMatch, PathMatch, RegexPath, RouteMatch, SegmentPrefix
from weirkeeper.model.route import Action, Forward, L4Route, Redirect, Respond, Route, WeightedBackend
from weirkeeper.model.text import (
    Authority,
    BodyText,
    HeaderName,
    HeaderValue,
    Hostname,
    Id,
    IpAddress,
    Label,
    Method,
    Name,
    PathText,
    Refused,
    parse,
    shown,
)
from weirkeeper.model.value import Milliseconds, seconds
from weirkeeper.model.words import BackendProtocol, ListenerProtocol, ProxyVersion, Scheme, Transport, word

T = TypeVar("T")
R = TypeVar("R")

PROTOCOLS = ("http1", "h2c", "grpc", "auto", "tcp", "udp")


class _Wrong(Exception):
    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


def manifest_intent(read: Read, inputs: Inputs, manifest: LoadBalancerManifest) -> Intent:
    """The intent of one manifest."""
    return _Manifest(read, inputs, manifest).intent()


def _typed(kind: type[T], text: str, at: str) -> T:
    value = parse(kind, text)
    if isinstance(value, Refused):
        raise _Wrong(at, value.why)
    return value


class _Manifest:
    """One translation."""

    def __init__(self, read: Read, inputs: Inputs, manifest: LoadBalancerManifest) -> None:
        self.services = inputs.of(Service)
        self.read = read
        self.manifest = manifest
        self.ref: Ref = manifest.ref
        self.place = (place(self.ref), self.ref.name)
        self.id = id_of("manifest", *self.place)
        self.group = Id(f"{self.id}/main")
        self.origin = manifest.origin()
        self.findings: list[Finding] = []
        self.backends: dict[str, Backend] = {}
        self.wishes: dict[Id, EndpointSetWish] = {}
        self.certificates: list[CertificateWish] = []

    def intent(self) -> Intent:
        spec = self.manifest.spec
        provider = parse(Name, spec.provider)
        if isinstance(provider, Refused):
            self._tell(_Wrong("spec.provider", provider.why), "the load balancer is not built")
            return Intent(load_balancer=self.id, findings=tuple(self.findings))
        listeners = list(self._each(spec.listeners, "spec.listeners", self._listener))
        for backend in self._each(spec.backends, "spec.backends", self._backend):
            self.backends[backend[0]] = backend[1]
        streams = list(self._each(spec.streams, "spec.streams", lambda one, at: self._stream(one, at, listeners)))
        routes = [hosted for i, host in enumerate(spec.hosts) for hosted in self._host(i, host.hostname, host.routes)]
        return Intent(
            load_balancer=self.id,
            defines=LoadBalancer(id=self.id, provider=provider, origin=self.origin),
            listeners=tuple(listeners),
            routes=tuple(routes),
            l4_routes=tuple({one.id: one for one in streams}.values()),
            backends=tuple({b.id: b for b in self.backends.values()}.values()),
            endpoint_sets=tuple(self.wishes.values()),
            certificates=tuple(self.certificates),
            findings=tuple(self.findings),
        )

    def _each(self, items: Sequence[T], at: str, read: Callable[[T, str], R]) -> Iterator[R]:
        for i, item in enumerate(items):
            try:
                yield read(item, f"{at}[{i}]")
            except _Wrong as wrong:
                self._tell(wrong, "it is left out")

    def _tell(self, wrong: _Wrong, what: str, reason: Reason = Reason.INVALID_OBJECT) -> None:
        at = self.origin.at(field(wrong.field))
        self.findings.append(error(reason, at, f"{wrong}; {what}", "correct the field", Effect.RULE_DROPPED))

    def _listener(self, wished: ManifestListener, at: str) -> Listener:
        if word(ListenerProtocol, wished.protocol) is None:
            raise _Wrong(
                f"{at}.protocol", f"{shown(wished.protocol)} is none of {', '.join(get_args(ListenerProtocol))}"
            )
        if wished.passthrough and wished.protocol != "tls":
            raise _Wrong(f"{at}.passthrough", "only a listener for tls passes TLS on unopened")
        if wished.proxy_protocol and (word(ProxyVersion, wished.proxy_protocol) is None or wished.protocol == "udp"):
            raise _Wrong(
                f"{at}.proxyProtocol", f"{shown(wished.proxy_protocol)} is none of v1, v2, either, or this is UDP"
            )
        if not 0 < wished.port <= 65535:
            raise _Wrong(f"{at}.port", f"{wished.port} is no port")
        tls = ListenerTls(mode="passthrough") if wished.passthrough else None
        if wished.protocol in {"https", "tls"} and not wished.passthrough:
            names = [id_of(self.place[0], name) for name in wished.secret_refs]
            for i, name in enumerate(wished.secret_refs):
                secret = Ref(cluster=self.ref.cluster, kind="Secret", namespace=self.ref.namespace, name=name)
                origin = self.origin.at(field(f"{at}.secretRefs[{i}]"))
                self.certificates.append(CertificateWish(id=names[i], secret=secret, default=i == 0, origin=origin))
            tls = ListenerTls(default_certificate=names[0] if names else None)
        return Listener(
            id=id_of("manifest", *self.place, wished.name),
            load_balancer=self.id,
            group=self.group,
            port=wished.port,
            protocol=word(ListenerProtocol, wished.protocol),
            tls=tls,
            accept_proxy_protocol=word(ProxyVersion, wished.proxy_protocol),
            origin=self.origin.at(field(at)),
        )

    def _backend(self, wished: ManifestBackend, at: str) -> tuple[str, Backend]:
        if wished.name in self.backends:
            raise _Wrong(f"{at}.name", f"there are two backends {shown(wished.name)}")
        if wished.protocol not in {"", *PROTOCOLS}:
            raise _Wrong(f"{at}.protocol", f"{shown(wished.protocol)} is none of {', '.join(PROTOCOLS)}")
        if (wished.service is None) == (not wished.addresses):
            raise _Wrong(at, "a backend has either addresses or a service")
        if wished.proxy_protocol not in {"", "v1", "v2"}:
            raise _Wrong(f"{at}.proxyProtocol", f"{shown(wished.proxy_protocol)} is none of v1, v2")
        name = id_of("manifest", *self.place, "backend", wished.name)
        if wished.service is None:
            members = tuple(self._address(text, f"{at}.addresses[{i}]") for i, text in enumerate(wished.addresses))
            self.wishes[name] = EndpointSetWish(id=name, service=self.ref, port_name=Label(""), static=members)
            made = Backend(id=name, source=FromEndpointSet(id=name), origins=(self.origin.at(field(at)),))
        else:
            made = self._service(wished, at)
            own = wished.protocol or wished.proxy_protocol
            made = msgspec.structs.replace(made, id=name) if own else made
        if wished.proxy_protocol:
            made = msgspec.structs.replace(made, send_proxy_protocol=wished.proxy_protocol)
        if wished.protocol in {"tcp", "udp"}:
            made = msgspec.structs.replace(made, tls=None)
        return wished.name, msgspec.structs.replace(made, protocol=wished.protocol) if wished.protocol else made

    def _service(self, wished: ManifestBackend, at: str) -> Backend:
        assert wished.service is not None
        ref = service_ref(self.ref, wished.service.name)
        transport: Transport = "UDP" if wished.protocol == "udp" else "TCP"
        found = service_backend(self.read.get(self.services, ref), ref, wished.service.port, transport=transport)
        if isinstance(found, NoBackend):
            raise _Wrong(f"{at}.service", found.why)
        if found.wish is not None:
            self.wishes[found.wish.id] = found.wish
        return found.backend

    def _address(self, text: str, at: str) -> Endpoint:
        host, _, port = text.rpartition(":")
        address = host.strip("[]")
        why = refused_address(address, local=True)
        if why is not None or not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= 65535):
            raise _Wrong(at, f"{shown(text)} {why or 'has no port'}; write ip:port")
        return Endpoint(address=_typed(IpAddress, address, at), port=int(port))

    def _stream(self, wished: ManifestStream, at: str, listeners: Sequence[Listener]) -> L4Route:
        name = id_of("manifest", *self.place, wished.listener)
        listener = next((one for one in listeners if one.id == name), None)
        if listener is None or listener.protocol not in {"tcp", "udp", "tls"}:
            raise _Wrong(f"{at}.listener", f"there is no listener {shown(wished.listener)} for tcp, tls or udp")
        if wished.hostnames and listener.tls is None:
            raise _Wrong(f"{at}.hostnames", "only TLS asks for a name")
        names = [hostname(text) for text in wished.hostnames]
        wrong = next((one for one in names if isinstance(one, Refused)), None)
        if wrong is not None:
            raise _Wrong(f"{at}.hostnames", wrong.why)
        return L4Route(
            id=id_of("manifest", *self.place, wished.listener, *wished.hostnames),
            load_balancer=self.id,
            listener=name,
            tls=None if listener.tls is None else listener.tls.mode,
            sni=tuple(one for one in names if not isinstance(one, Refused) and one != ANY),
            forward=Forward(backends=tuple(self._share(one, listener, f"{at}.forward") for one in wished.forward)),
            idle=_limit(wished.idle_timeout_seconds) or None,
            created_at=self.origin.created_at,
            origin=self.origin.at(field(at)),
        )

    def _share(self, wished: ManifestForward, listener: Listener, at: str) -> WeightedBackend:
        """A backend of bytes; the share of one that cannot be used is refused."""
        transport: BackendProtocol = "udp" if listener.protocol == "udp" else "tcp"
        backend = self.backends.get(wished.backend)
        if backend is None or (backend.protocol == "udp") != (transport == "udp"):
            wrong = _Wrong(at, f"there is no backend {shown(wished.backend)} that can be used for {listener.protocol}")
            self._tell(wrong, "its share is refused", Reason.SERVICE_NOT_FOUND)
            return WeightedBackend(backend=id_of("manifest", *self.place, "nowhere"), weight=max(wished.weight, 0))
        if backend.protocol != transport:
            backend = of_bytes(backend)
            self.backends[f"{wished.backend} as bytes"] = backend  # no name of a backend holds a blank
        return WeightedBackend(backend=backend.id, weight=min(max(wished.weight, 0), 1_000_000))

    def _host(self, i: int, text: str, routes: tuple[ManifestRoute, ...]) -> Iterator[HostedRoute]:
        host = hostname(text)
        if isinstance(host, Refused):
            self._tell(_Wrong(f"spec.hosts[{i}].hostname", host.why), "its routes are left out", Reason.INVALID_HOST)
            return
        seen: dict[Id, None] = {}
        for j, wished in enumerate(routes):
            at = f"spec.hosts[{i}].routes[{j}]"
            try:
                route = self._route(host, wished, at)
            except _Wrong as wrong:
                self._tell(wrong, "the route is left out")
                continue
            if route.id in seen:
                self._tell(
                    _Wrong(at, "the host has a route with the same name or match"),
                    "it is left out",
                    Reason.DUPLICATE_ROUTE,
                )
                continue
            seen[route.id] = None
            labels = 1 if host.startswith("*.") else None
            yield HostedRoute(
                load_balancer=self.id, group=self.group, hostname=host, wildcard_labels=labels, route=route
            )

    def _route(self, host: Hostname, wished: ManifestRoute, at: str) -> Route:
        path, spelled = _path(wished, at)
        headers = tuple(
            HeaderMatch(name=_typed(HeaderName, h.name, at), match=Exactly(value=_typed(HeaderValue, h.value, at)))
            for h in wished.headers
        )
        methods = tuple(_typed(Method, m, f"{at}.methods") for m in wished.methods)
        conditions = [f"{h.name}={h.value}" for h in wished.headers]
        return Route(
            id=id_of("manifest", *self.place, host, wished.name or "&".join([spelled, *methods, *conditions])),
            match=RouteMatch(path=path, methods=methods, headers=headers),
            action=self._action(wished, at),
            rewrite=None if wished.rewrite is None else _rewrite(wished.rewrite, f"{at}.rewrite"),
            request_headers=_edit(wished.request_headers, f"{at}.requestHeaders"),
            response_headers=_edit(wished.response_headers, f"{at}.responseHeaders"),
            timeouts=Timeouts(request=_limit(wished.request_timeout_seconds), idle=_limit(wished.idle_timeout_seconds)),
            created_at=self.origin.created_at,
            origin=self.origin.at(field(at)),
        )

    def _action(self, wished: ManifestRoute, at: str) -> Action:
        if bool(wished.forward) + (wished.redirect is not None) + (wished.respond is not None) != 1:
            raise _Wrong(at, "a route has exactly one of forward, redirect and respond")
        if wished.redirect is not None:
            return _redirect(wished.redirect, f"{at}.redirect")
        if wished.respond is not None:
            if not 200 <= wished.respond.status <= 599:
                raise _Wrong(f"{at}.respond.status", f"{wished.respond.status} is no status from 200 to 599")
            return Respond(
                status=wished.respond.status, body=_typed(BodyText, wished.respond.body, f"{at}.respond.body")
            )
        unknown = [f.backend for f in wished.forward if f.backend not in self.backends]
        if unknown:
            wrong = _Wrong(f"{at}.forward", f"there is no backend {shown(unknown[0])} that can be used")
            self._tell(wrong, "its requests are answered 503", Reason.SERVICE_NOT_FOUND)
            return Respond(status=503)
        return Forward(
            backends=tuple(
                WeightedBackend(backend=self.backends[f.backend].id, weight=min(max(f.weight, 0), 1_000_000))
                for f in wished.forward
            )
        )


def _path(wished: ManifestRoute, at: str) -> tuple[PathMatch, str]:
    given = [(kind, text) for kind, text in msgspec.structs.asdict(wished.path).items() if text is not None]
    if len(given) > 1:
        raise _Wrong(f"{at}.path", "a path has one of exact, prefix and regex")
    kind, text = given[0] if given else ("prefix", "/")
    if kind == "regex":
        checked = checked_regex(text)
        if isinstance(checked, Refused):
            raise _Wrong(f"{at}.path.regex", f"the expression {checked.why}")
        return RegexPath(value=checked.text), f"regex-{text}"
    path = _typed(PathText, text, f"{at}.path.{kind}")
    if kind == "exact":
        return ExactPath(value=path), f"exact-{text}"
    return SegmentPrefix(value=PathText(path.rstrip("/") or "/")), f"prefix-{text}"


def _redirect(wished: ManifestRedirect, at: str) -> Redirect:
    if wished.status not in {301, 302, 303, 307, 308} or wished.scheme not in {None, "http", "https"}:
        raise _Wrong(at, "a redirect has a status of 301, 302, 303, 307, 308 and the scheme http or https")
    if wished.port is not None and not 0 < wished.port <= 65535:
        raise _Wrong(f"{at}.port", f"{wished.port} is no port")
    return Redirect(
        scheme=word(Scheme, wished.scheme),
        host=None if wished.host is None else _typed(Authority, wished.host, f"{at}.host"),
        port=wished.port,
        path=None if wished.path is None else FullPath(value=_typed(PathText, wished.path, f"{at}.path")),
        status=wished.status,
    )


def _rewrite(wished: ManifestRewrite, at: str) -> UrlRewrite:
    host = None if wished.host is None else _typed(Authority, wished.host, f"{at}.host")
    if wished.path is not None:
        return UrlRewrite(host=host, path=FullPath(value=_typed(PathText, wished.path, f"{at}.path")))
    if wished.prefix is not None:
        return UrlRewrite(host=host, path=PrefixPath(value=_typed(PathText, wished.prefix, f"{at}.prefix")))
    return UrlRewrite(host=host)


def _edit(wished: ManifestEdit | None, at: str) -> HeaderEdit | None:
    if wished is None:
        return None
    pairs = [
        tuple(
            HeaderValuePair(name=_typed(HeaderName, h.name, at), value=_typed(HeaderValue, h.value, at)) for h in part
        )
        for part in (wished.set, wished.add)
    ]
    return HeaderEdit(set=pairs[0], add=pairs[1], remove=tuple(_typed(HeaderName, name, at) for name in wished.remove))


def _limit(amount: float | None) -> Milliseconds | None:
    return None if amount is None or not 0 <= amount < 10_000_000 else seconds(amount)
