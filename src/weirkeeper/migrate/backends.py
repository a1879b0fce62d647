"""References to backends, and how backends are spoken to: by what their Service says of its port, and by BackendTLSPolicies.

Comes in: backends of the neutral model. Goes out: ``backendRef``s, policies, the references that need a ReferenceGrant, and notes. Gateway API says of the Service what an Ingress says of
itself: how a port is spoken to is one thing for everybody.
"""

from collections.abc import Mapping
from typing import Any

from weirkeeper.controllers.shared.services import APP_PROTOCOLS
from weirkeeper.kube.types import Service, ServicePort
from weirkeeper.migrate.names import Names
from weirkeeper.migrate.notes import Aspect, Notes, Outcome
from weirkeeper.migrate.source import Front
from weirkeeper.model.backend import Backend, BackendTls, FromDns, FromServiceAddress, RoundRobin
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Id, Refused

GROUP = "gateway.networking.k8s.io"
V1 = f"{GROUP}/v1"
H2C = "kubernetes.io/h2c"
SPOKEN = {"h2c": H2C, "grpc": H2C, "h2": H2C}
USUAL_CONNECT_TIMEOUT = 5000

Json = dict[str, Any]
Port = tuple[Ref, int]
"""A Service and one of its ports."""


class Backends:
    """The backends of one front as references; gathers what else they need. Lives for one call."""

    def __init__(self, front: Front, services: Mapping[Ref, Service], names: Names, notes: Notes) -> None:
        self._front, self._services, self._names, self._notes = front, services, names, notes
        self._spoken: dict[Port, tuple[str, BackendTls | None]] = {}
        self.objects: list[Json] = []
        self.crossings: dict[tuple[str, Ref], None] = {}
        """From routes of a namespace to a Service of another."""

    def reference(self, name: Id, namespace: str, about: list[Ref]) -> Json | Refused:
        """The reference to a backend from a route in a namespace, or why there can be none."""
        backend = self._front.backends.get(name)
        found = Refused("leads nowhere") if backend is None else self._port(backend)
        if isinstance(found, Refused) or backend is None:
            return found if isinstance(found, Refused) else Refused("leads nowhere")
        service, port = found
        self._say(backend, service, port, about)
        reference: Json = {"name": service.name, "port": port.port}
        if service.namespace != namespace:
            self.crossings[namespace, service] = None
            reference["namespace"] = service.namespace
        return reference

    def _port(self, backend: Backend) -> tuple[Ref, ServicePort] | Refused:
        service = next((one.ref for one in backend.origins if one.ref.kind == "Service"), None)
        if service is None:
            wish = self._front.wishes.get(backend.source.id) if not isinstance(backend.source, FromDns) else None
            kinds = sorted({one.workload.kind for one in wish.workloads}) if wish is not None else []
            return Refused(f"leads to pods of a {' or '.join(kinds)}" if kinds else "leads out of the cluster")
        ports = self._services[service].spec.ports or ()
        if isinstance(backend.source, FromDns):
            number = backend.source.port
            return service, next((one for one in ports if one.port == number), ServicePort(port=number))
        wish = self._front.wishes[backend.source.id]
        udp = wish.transport == "UDP"
        for one in ports:
            if wish.service_port in {0, one.port} and one.name == wish.port_name and (one.protocol == "UDP") is udp:
                return service, one
        return Refused("leads to a port that its Service does not have")

    def _say(self, backend: Backend, service: Ref, port: ServicePort, about: list[Ref]) -> None:
        tell, lost = self._notes.tell, Outcome.LOST
        if backend.balancing != RoundRobin():
            tell(about, Aspect.BALANCING, lost, why="Gateway API does not say how an endpoint is chosen")
        if backend.connect_timeout != USUAL_CONNECT_TIMEOUT:
            tell(about, Aspect.CONNECT_TIMEOUT, lost, why="Gateway API knows no limit for connecting alone")
        if isinstance(backend.source, FromServiceAddress):
            tell(about, Aspect.SERVICE_ADDRESS, lost, why="Gateway API leads to the endpoints of a Service")
        wish = None if isinstance(backend.source, FromDns) else self._front.wishes.get(backend.source.id)
        if wish is not None and wish.node_port:
            tell(about, Aspect.SERVICE_ADDRESS, lost, why="Gateways lead to pods, not to ports of nodes")
        if backend.protocol in {"tcp", "udp"}:
            return
        spoken = (backend.protocol, backend.tls)
        known = self._spoken.setdefault((service, port.port), spoken)
        if known != spoken:
            why = f"another route speaks otherwise to port {port.port} of {service}, and the way is the Service's own in Gateway API"
            tell(
                about,
                Aspect.PROTOCOL,
                lost,
                why=why,
                remedy="let all Ingresses speak alike, or give the port a second Service",
            )
        elif backend.tls is not None:
            self._tls(backend, backend.tls, service, port, about)
        elif backend.protocol == "auto":
            tell(about, Aspect.PROTOCOL, lost, why="HTTP/1.1 is spoken; Gateway API does not negotiate with backends")
        else:
            self._by_port(backend.protocol, service, port, about)

    def _by_port(self, protocol: str, service: Ref, port: ServicePort, about: list[Ref]) -> None:
        """Whether the Service says itself how it is spoken to."""
        said, over_tls = APP_PROTOCOLS.get((port.app_protocol or "").lower(), ("http1", False))
        if SPOKEN.get(said, said) == SPOKEN.get(protocol, protocol) and not over_tls:
            if protocol != "http1":
                self._notes.tell(about, Aspect.PROTOCOL, Outcome.TRANSLATED, f"appProtocol of {service}")
            return
        wished = SPOKEN.get(protocol, "http")
        self._notes.tell(
            about,
            Aspect.PROTOCOL,
            Outcome.BY_HAND,
            why=f"the protocol is said by the port of {service} in Gateway API",
            remedy=_patch(service, port, wished),
        )

    def _tls(self, backend: Backend, tls: BackendTls, service: Ref, port: ServicePort, about: list[Ref]) -> None:
        if not tls.verify:
            why = "Gateway API knows no TLS to backends without a check of their certificate"
            remedy = f"verify it (proxy-ssl-verify), or where Weirkeeper serves: {_patch(service, port, 'https')}"
            outcome = (
                Outcome.DIFFERS
                if APP_PROTOCOLS.get((port.app_protocol or "").lower(), ("", False))[1]
                else Outcome.BY_HAND
            )
            for aspect in (Aspect.PROTOCOL, Aspect.BACKEND_TLS):
                self._notes.tell(
                    about,
                    aspect,
                    outcome,
                    f"appProtocol of {service}" if outcome is Outcome.DIFFERS else "",
                    why,
                    remedy,
                )
            return
        name = self._policy(tls, service, port)
        said = []
        said += (
            ["no name is given (proxy-ssl-name), so that of the Service is demanded"] if tls.server_name is None else []
        )
        said += (
            ["our certificate for backends is a wish of the whole Gateway there (spec.tls.backend)"]
            if tls.client_certificate
            else []
        )
        said += (
            ["versions, ciphers and depth are not said"]
            if tls.min_version or tls.max_version or tls.ciphers or tls.depth is not None
            else []
        )
        for aspect in (Aspect.PROTOCOL, Aspect.BACKEND_TLS):
            lost = aspect is Aspect.BACKEND_TLS and said
            self._notes.tell(
                about,
                aspect,
                Outcome.DIFFERS if lost else Outcome.TRANSLATED,
                f"BackendTLSPolicy {name}",
                "; ".join(said) if lost else "",
            )
        if backend.protocol not in {"http1", "auto"}:
            self._by_port(backend.protocol, service, port, about)

    def _policy(self, tls: BackendTls, service: Ref, port: ServicePort) -> str:
        target: Json = {
            "group": "",
            "kind": "Service",
            "name": service.name,
            **({"sectionName": port.name} if port.name else {}),
        }
        name = f"{service.name}-{port.name or port.port}"
        known = next(
            (
                one
                for one in self.objects
                if one["kind"] == "BackendTLSPolicy"
                and one["spec"]["targetRefs"] == [target]
                and one["metadata"]["namespace"] == service.namespace
            ),
            None,
        )
        if known is not None:
            return f"{service.namespace}/{known['metadata']['name']}"
        name = self._names.new((service.namespace, "BackendTLSPolicy"), name)
        validation: Json = {"hostname": tls.server_name or f"{service.name}.{service.namespace}.svc"}
        bundle = self._front.bundles.get(tls.trust) if tls.trust is not None else None
        if bundle is None:
            validation["wellKnownCACertificates"] = "System"
        else:
            held = self._names.new((service.namespace, "ConfigMap"), f"{service.name}-authorities")
            validation["caCertificateRefs"] = [{"group": "", "kind": "ConfigMap", "name": held}]
            self.objects.append({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": held, "namespace": service.namespace}, "data": {"ca.crt": str(bundle.certificates)},
            })  # fmt: skip
        names = [{"type": "Hostname", "hostname": str(one)} for one in tls.san_dns if one != validation["hostname"]]
        names += [{"type": "URI", "uri": str(one)} for one in tls.san_uri]
        if names:
            validation["subjectAltNames"] = names
        self.objects.append({
            "apiVersion": V1, "kind": "BackendTLSPolicy", "metadata": {"name": name, "namespace": service.namespace},
            "spec": {"targetRefs": [target], "validation": validation},
        })  # fmt: skip
        return f"{service.namespace}/{name}"


def _patch(service: Ref, port: ServicePort, wished: str) -> str:
    """The command that lets a Service say how its port is spoken to."""
    change = f'{{"spec":{{"ports":[{{"port":{port.port},"appProtocol":"{wished}"}}]}}}}'
    return f"kubectl patch service -n {service.namespace} {service.name} --type strategic -p '{change}'"
