"""Classes: which are ours, and the load balancer that each one defines.

Comes in: an IngressClass with its parameters, or the built-in class. Goes out: ``OurClass`` (what claims and translations need) and the ``Intent``
that defines the load balancer with its listeners and class-wide default backend. Both listeners are in one route group: they share hosts.
"""

import msgspec

from weirkeeper.controllers.base import EndpointSetWish, HostedRoute, Inputs, Intent
from weirkeeper.controllers.ingress.settings import IngressSettings
from weirkeeper.controllers.ingress.stream_services import Front, Streams, stream_services
from weirkeeper.controllers.shared.hostnames import ANY
from weirkeeper.controllers.shared.ids import id_of
from weirkeeper.controllers.shared.parameters import (
    GROUP,
    ClassSpec,
    ConfigMapReference,
    LoadBalancerClassParameters,
    client_address,
)
from weirkeeper.controllers.shared.publish import class_published
from weirkeeper.controllers.shared.reach import NoBackend, Reach
from weirkeeper.controllers.shared.report import error, warning
from weirkeeper.controllers.shared.services import ServiceBackend, service_backend
from weirkeeper.flow import Read
from weirkeeper.kube.types import IngressClass, Service
from weirkeeper.model.backend import Backend
from weirkeeper.model.certificate import CertificateWish
from weirkeeper.model.config import NOTHING_STARTED, Defaults, Infrastructure, LoadBalancer
from weirkeeper.model.filters import HeaderEdit, HeaderValuePair, Timeouts
from weirkeeper.model.finding import Effect, Finding, Reason
from weirkeeper.model.fleet import Fleet
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import HttpOptions, Listener, ListenerTls
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, Respond, Route, WeightedBackend
from weirkeeper.model.text import Cidr, CipherName, HeaderName, HeaderValue, Id, Name, Refused, parse, shown
from weirkeeper.model.value import Value, seconds
from weirkeeper.model.words import EndpointMode, ProxyVersion, TlsVersion, Transport, word

DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
CLASS_DEFAULT_PRIORITY = -2000
VERSIONS = ("1.0", "1.1", "1.2", "1.3")


class OurClass(Value, frozen=True, kw_only=True):
    """A class that is ours: its name, its load balancer, and what its owner chose. ``own``: that load balancer is one
    Ingress's alone, or of those that call it ``together``.
    """

    name: str
    load_balancer: Id
    spec: ClassSpec
    origin: Origin
    fleet: Fleet | None = None
    own: bool = False
    together: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def group(self) -> Id:
        """The route group of both listeners."""
        return id_of_group(self.load_balancer)


def id_of_group(load_balancer: Id) -> Id:
    """The route group that a class's listeners share."""
    return Id(f"{load_balancer}/main")


def part_of(ours: OurClass, *names: str) -> Id:
    """The id of what belongs to the load balancer and to no Ingress."""
    return Id(f"{ours.load_balancer}/{id_of(*names)}")


def reach_of(ours: OurClass, settings: IngressSettings) -> Reach:
    """Where the class sends requests for Services; to pods where its word for it is none of ours."""
    return Reach(mode=word(EndpointMode, ours.spec.endpoint_mode) or "pods", nodes=settings.reads_nodes)


def _reach_findings(ours: OurClass, settings: IngressSettings) -> tuple[Finding, ...]:
    wished = ours.spec.endpoint_mode
    if word(EndpointMode, wished) is None:
        return (_bad(ours, "endpointMode", "is none of pods, clusterIP, nodePort; pods holds"),)
    if wished == "nodePort" and not settings.reads_nodes:
        text = "spec.endpointMode of its parameters is nodePort, but this install reads no nodes; all Services are answered 503"
        remedy = "add the component node-ports to the install (docs/backends.md), or send requests to pods"
        return (error(Reason.BACKENDS_NOT_READ, ours.origin, text, remedy, Effect.DEGRADED),)
    return ()


def class_ref(name: str) -> Ref:
    """The IngressClass of that name."""
    return Ref(group="networking.k8s.io", kind="IngressClass", name=name)


def is_default(found: IngressClass) -> bool:
    """Whether Ingresses without a class belong to it."""
    return found.annotations.get(DEFAULT_CLASS, "") == "true"


def our_class(read: Read, inputs: Inputs, found: IngressClass, settings: IngressSettings) -> OurClass | None:
    """The class with its parameters, or nothing when another controller has it."""
    if found.spec.controller not in settings.controllers:
        return None
    spec, findings = _parameters(read, inputs, found)
    return built_class(found.metadata.name, spec, found.origin(), findings)


def built_class(name: str, spec: ClassSpec, origin: Origin, findings: tuple[Finding, ...] = ()) -> OurClass:
    """A class of ours."""
    return OurClass(name=name, load_balancer=id_of("ingress", name), spec=spec, origin=origin, findings=findings)


def _parameters(read: Read, inputs: Inputs, found: IngressClass) -> tuple[ClassSpec, tuple[Finding, ...]]:
    wished = found.spec.parameters
    if wished is None:
        return ClassSpec(), ()
    origin = found.origin("spec.parameters")
    if (wished.api_group, wished.kind) != (GROUP, "LoadBalancerClassParameters"):
        text = f"parameters of kind {shown(wished.kind)} in {shown(wished.api_group or 'core')} mean nothing here"
        remedy = f"name a LoadBalancerClassParameters of {GROUP}"
        return ClassSpec(), (error(Reason.INVALID_CLASS, origin, text, remedy, Effect.IGNORED),)
    ref = Ref(cluster=found.cluster, group=GROUP, kind=wished.kind, name=wished.name)
    parameters = read.get(inputs.of(LoadBalancerClassParameters), ref)
    if parameters is None:
        text = f"there is no LoadBalancerClassParameters {shown(wished.name)}; the defaults hold"
        return ClassSpec(), (error(Reason.INVALID_CLASS, origin, text, "create it", Effect.IGNORED),)
    return parameters.spec, ()


def class_intent(read: Read, inputs: Inputs, ours: OurClass, settings: IngressSettings) -> Intent:
    """The load balancer of a class."""
    listeners, wrong = _listeners(ours, settings)
    default = _default_backend(read, inputs, ours, settings)
    certificates = _certificates(ours)
    published, unpublished = (
        (None, ()) if ours.own else class_published(read, inputs, ours.spec.publish, ours.origin, settings.published)
    )
    streams = Streams() if ours.own else _streams(read, inputs, ours, settings, listeners)
    return Intent(
        load_balancer=ours.load_balancer,
        defines=LoadBalancer(
            id=ours.load_balancer,
            class_name=_name(ours.name),
            provider=_name(ours.spec.provider) or settings.provider,
            defaults=_defaults(ours.spec),
            infrastructure=NOTHING_STARTED if ours.fleet is None else Infrastructure(fleet=ours.fleet),
            published=published,
            origin=ours.origin,
        ),
        listeners=(*listeners, *streams.listeners),
        routes=default.routes,
        l4_routes=tuple(streams.routes),
        backends=(*default.backends, *streams.backends),
        endpoint_sets=(*default.endpoint_sets, *streams.wishes),
        certificates=certificates,
        findings=(
            *ours.findings,
            *_reach_findings(ours, settings),
            *wrong,
            *default.findings,
            *unpublished,
            *streams.findings,
        ),
    )


def _streams(
    read: Read, inputs: Inputs, ours: OurClass, settings: IngressSettings, listeners: tuple[Listener, ...]
) -> Streams:
    """The ports of bytes that ConfigMaps list for the class."""
    front = Front(
        load_balancer=ours.load_balancer,
        origin=ours.origin,
        taken=tuple(one.port for one in listeners),
        access_log=ours.spec.access_log,
        external_names=ours.spec.allow_external_name,
        reach=reach_of(ours, settings),
    )
    lists: dict[Transport, Ref | None] = {
        "TCP": _config_map(ours, ours.spec.tcp_services) or settings.tcp_services,
        "UDP": _config_map(ours, ours.spec.udp_services) or settings.udp_services,
    }
    return stream_services(read, inputs, front, lists, settings)


def _config_map(ours: OurClass, wished: ConfigMapReference | None) -> Ref | None:
    if wished is None:
        return None
    return Ref(cluster=ours.origin.ref.cluster, kind="ConfigMap", namespace=wished.namespace, name=wished.name)


def _name(text: str) -> Name | None:
    typed = parse(Name, text)
    return None if isinstance(typed, Refused) else typed


def _defaults(spec: ClassSpec) -> Defaults:
    idle, request = spec.timeouts.idle_seconds, spec.timeouts.request_seconds
    timeouts = Timeouts(
        idle=None if idle is None or idle < 0 else seconds(idle),
        request=None if request is None or request < 0 else seconds(request),
    )
    edit = None
    if spec.hsts is not None:
        parts = [f"max-age={max(spec.hsts.max_age_seconds, 0)}"]
        parts += ["includeSubDomains"] * spec.hsts.include_subdomains + ["preload"] * spec.hsts.preload
        pair = HeaderValuePair(name=HeaderName("Strict-Transport-Security"), value=HeaderValue("; ".join(parts)))
        edit = HeaderEdit(set=(pair,))
    return Defaults(timeouts=timeouts, response_headers=edit, access_log=spec.access_log)


def _listeners(ours: OurClass, settings: IngressSettings) -> tuple[tuple[Listener, ...], tuple[Finding, ...]]:
    spec, findings = ours.spec, list[Finding]()
    if any(isinstance(parse(Cidr, text), Refused) for text in spec.trusted_ranges):
        findings.append(_bad(ours, "trustedRanges", "has an entry that is no address range"))
    if spec.proxy_protocol not in {"", "v1", "v2", "either"}:
        findings.append(_bad(ours, "proxyProtocol", "is none of v1, v2, either"))
    plain = Listener(
        id=part_of(ours, "http"),
        load_balancer=ours.load_balancer,
        group=ours.group,
        addresses=settings.addresses,
        port=settings.http_port if spec.ports.http is None else spec.ports.http,
        http=HttpOptions(client_address=client_address(spec)),
        accept_proxy_protocol=word(ProxyVersion, spec.proxy_protocol),
        access_log=spec.access_log,
        origin=ours.origin,
    )
    secure = msgspec.structs.replace(
        plain,
        id=part_of(ours, "https"),
        port=settings.https_port if spec.ports.https is None else spec.ports.https,
        protocol="https",
        tls=_tls(ours, findings),
    )
    kept = tuple(listener for listener in (plain, secure) if 0 < listener.port <= 65535)
    return kept, tuple(findings)


def https_listener(ours: OurClass, settings: IngressSettings) -> Listener | None:
    """The listener for HTTPS of a class, where it has one."""
    return next((one for one in _listeners(ours, settings)[0] if one.tls is not None), None)


def _tls(ours: OurClass, findings: list[Finding]) -> ListenerTls:
    wished, default = ours.spec.tls, ours.spec.default_certificate
    if wished.min_version not in VERSIONS or (wished.max_version or "1.3") not in VERSIONS:
        findings.append(_bad(ours, "tls.minVersion", "is none of 1.0, 1.1, 1.2, 1.3; 1.2 holds"))
        wished = msgspec.structs.replace(wished, min_version="1.2", max_version=None)
    ciphers = [parse(CipherName, text) for text in wished.ciphers]
    if any(isinstance(c, Refused) for c in ciphers):
        findings.append(_bad(ours, "tls.ciphers", "has an entry that is no cipher"))
    return ListenerTls(
        default_certificate=None if default is None else id_of(default.namespace, default.name),
        min_version=word(TlsVersion, wished.min_version) if wished.min_version != "1.2" else None,
        max_version=word(TlsVersion, wished.max_version),
        ciphers=tuple(c for c in ciphers if not isinstance(c, Refused)),
    )


def _bad(ours: OurClass, place: str, why: str) -> Finding:
    return warning(Reason.INVALID_CLASS, ours.origin, f"spec.{place} of its parameters {why}", "correct the parameters")


def _certificates(ours: OurClass) -> tuple[CertificateWish, ...]:
    wished = ours.spec.default_certificate
    if wished is None:
        return ()
    secret = Ref(cluster=ours.origin.ref.cluster, kind="Secret", namespace=wished.namespace, name=wished.name)
    name = id_of(wished.namespace, wished.name)
    return (CertificateWish(id=name, secret=secret, default=True, origin=ours.origin),)


class _Default(msgspec.Struct, frozen=True, kw_only=True):
    routes: tuple[HostedRoute, ...] = ()
    backends: tuple[Backend, ...] = ()
    endpoint_sets: tuple[EndpointSetWish, ...] = ()
    findings: tuple[Finding, ...] = ()


def _default_backend(read: Read, inputs: Inputs, ours: OurClass, settings: IngressSettings) -> _Default:
    wished = ours.spec.default_backend
    if wished is None:
        return _Default()
    ref = Ref(cluster=ours.origin.ref.cluster, kind="Service", namespace=wished.namespace, name=wished.service)
    found = service_backend(
        read.get(inputs.of(Service), ref),
        ref,
        wished.port,
        forbidden=settings.api_server,
        reach=reach_of(ours, settings),
    )
    if isinstance(found, NoBackend):
        told = error(found.reason, ours.origin, found.why, found.remedy, Effect.DEGRADED)
        return _Default(routes=(_catch_all(ours, Respond(status=503)),), findings=(told,))
    forward = Forward(backends=(WeightedBackend(backend=found.backend.id),))
    return _Default(routes=(_catch_all(ours, forward),), backends=(found.backend,), endpoint_sets=_wishes(found))


def _wishes(found: ServiceBackend) -> tuple[EndpointSetWish, ...]:
    return () if found.wish is None else (found.wish,)


def _catch_all(ours: OurClass, action: Forward | Respond) -> HostedRoute:
    route = Route(
        id=part_of(ours, "default-backend"),
        action=action,
        priority=CLASS_DEFAULT_PRIORITY,
        origin=ours.origin,
    )
    return HostedRoute(load_balancer=ours.load_balancer, group=ours.group, hostname=ANY, route=route)
