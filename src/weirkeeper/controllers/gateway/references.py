"""References of routes to backends, for every kind of route: resolved through one door, with one verdict for the status.

Comes in: a ``backendRef`` and its route. Goes out: a ``Backend`` and the wish for its endpoints, or the reason why there is none, as the condition ResolvedRefs has it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from weirkeeper.controllers.base import CertificateWish, EndpointSetWish, Inputs
from weirkeeper.controllers.gateway.backend_tls import Secured, closed
from weirkeeper.controllers.gateway.external_backends import External
from weirkeeper.controllers.gateway.grants import Grants, permitted
from weirkeeper.controllers.gateway.listeners import referred
from weirkeeper.controllers.gateway.matches import WrongMatch
from weirkeeper.controllers.gateway.policies import Policies, policy_of
from weirkeeper.controllers.gateway.settings import GatewaySettings
from weirkeeper.controllers.gateway.traffic_policies import Traffic, session_of
from weirkeeper.controllers.shared.reach import NoBackend
from weirkeeper.controllers.shared.services import of_bytes, service_backend
from weirkeeper.flow import Read, Table
from weirkeeper.kube.conditions import Judgement
from weirkeeper.kube.gateway_types import EXPERIMENTAL, BackendReference
from weirkeeper.kube.types import Service, ServiceBackendPort
from weirkeeper.model.backend import Backend
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.filters import Affinity
from weirkeeper.model.finding import Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Id, shown
from weirkeeper.model.words import BackendProtocol, Transport

EXTERNAL = (EXPERIMENTAL, "XBackend")


class Consents(NamedTuple):
    """What others say of references: whether they may be followed, and how what they lead to is spoken to."""

    grants: Grants
    policies: Policies[Secured]
    traffic: Policies[Traffic]
    externals: Table[Ref, External]


class Gathered:
    """What a route's translation gathers on its way; lives for one call. ``resolved`` is the first thing that is wrong with a reference."""

    def __init__(self, read: Read, inputs: Inputs, consents: Consents, settings: GatewaySettings, route: Ref) -> None:
        self.read, self.inputs, self.settings, self.route = read, inputs, settings, route
        self.grants, self.policies, self.traffic, self.externals = consents
        self.services: dict[Ref, None] = {}
        self.backends: dict[Id, Backend] = {}
        self.wishes: dict[Id, EndpointSetWish] = {}
        self.certificates: dict[Id, CertificateWish] = {}
        self.bundles: dict[Id, TrustBundle] = {}
        self.wrong: list[Judgement] = []

    @property
    def resolved(self) -> Judgement:
        """The condition ResolvedRefs."""
        return self.wrong[0] if self.wrong else Judgement(good=True, reason="ResolvedRefs")

    def backend(self, one: BackendReference, *, grpc: bool = False) -> Id | None:
        """The backend of a reference, gathered; nothing where it leads nowhere, which is noted."""
        ref = referred(self.route, one, "Service")
        found = self._external(ref) if (ref.group, ref.kind) == EXTERNAL else self._found(one)
        if isinstance(found, Judgement):
            self.wrong.append(found)
            return None
        backend, wish = found if (ref.group, ref.kind) == EXTERNAL else self._secured(ref, *found)
        if grpc and backend.protocol == "http1":
            backend = msgspec.structs.replace(backend, id=Id(f"{backend.id}~grpc"), protocol="grpc")
        self.backends[backend.id] = backend
        if wish is not None:
            self.wishes[wish.id] = wish
        return backend.id

    def _external(self, ref: Ref) -> tuple[Backend, EndpointSetWish | None] | Judgement:
        if ref.namespace != self.route.namespace:
            why = (
                f"an XBackend takes requests of routes of its own namespace alone, not of {shown(self.route.namespace)}"
            )
            return Judgement(good=False, reason="RefNotPermitted", message=why)
        found = self.read.get(self.externals, ref)
        if found is None:
            return Judgement(good=False, reason="BackendNotFound", message=f"there is no XBackend {shown(ref.name)}")
        self.services[ref] = None
        if found.backend is None:
            bad = found.accepted if not found.accepted.good else found.resolved
            reason = bad.reason if bad.reason == "UnsupportedProtocol" else "BackendNotFound"
            return Judgement(good=False, reason=reason, message=f"the XBackend {shown(ref.name)}: {bad.message}")
        if found.bundle is not None:
            self.bundles[found.bundle.id] = found.bundle
        if found.certificate is not None:
            self.certificates[found.certificate.id] = found.certificate
        return found.backend, found.wish

    def session(self, backends: Sequence[BackendReference]) -> Affinity | None:
        """What these backends wish of sessions: an XBackend of its own, or a policy about Services: the first that wishes for any, for all of them."""
        refs = [referred(self.route, one, "Service") for one in backends]
        kept = next((found for ref in refs if (found := self._kept(ref)) is not None), None)
        if kept is not None and len(refs) > 1:
            # It may not say which of several backends a client comes to (GEP-1619, v1.7), and one for a whole rule would.
            raise WrongMatch("the session of an XBackend needs a rule with one backend here")
        if kept is not None:
            return kept
        for ref in refs:
            policy = policy_of(self.read, self.traffic, ref, "")
            if policy is not None and policy.session is not None:
                return session_of(policy, len(refs))
        return None

    def _kept(self, ref: Ref) -> Affinity | None:
        """The session of an XBackend that the route may lead to."""
        if (ref.group, ref.kind) != EXTERNAL or ref.namespace != self.route.namespace:
            return None
        found = self.read.get(self.externals, ref)
        return None if found is None else found.session

    def stream_backend(self, one: BackendReference, transport: Transport, *, opened: bool = False) -> Id | None:
        """The backend of a reference for bytes: what its Service says of HTTP is between it and its clients. Bytes of a connection whose TLS was ``opened`` go on as policies say."""
        found = self._found(one, transport, bytes_only=True)
        if isinstance(found, Judgement):
            self.wrong.append(found)
            return None
        backend, wish = found[0] if transport == "UDP" else of_bytes(found[0]), found[1]
        if opened:
            backend, wish = self._closed_again(referred(self.route, one, "Service"), backend, wish)
        self.backends[backend.id] = backend
        if wish is not None:
            self.wishes[wish.id] = wish
        return backend.id

    def _closed_again(
        self, service: Ref, backend: Backend, wish: EndpointSetWish | None
    ) -> tuple[Backend, EndpointSetWish | None]:
        secured, wish = self._secured(service, backend, wish)
        if secured.tls is None:
            return secured, wish
        return msgspec.structs.replace(secured, id=Id(f"{secured.id}~tls")), wish

    def _secured(
        self, service: Ref, backend: Backend, wish: EndpointSetWish | None
    ) -> tuple[Backend, EndpointSetWish | None]:
        """The backend as the policies for its Service want it spoken to."""
        self.services[service] = None
        traffic = policy_of(self.read, self.traffic, service, "")
        if traffic is not None and traffic.budget is not None:
            backend = msgspec.structs.replace(backend, retry_budget=traffic.budget)
        policy = policy_of(self.read, self.policies, service, wish.port_name if wish is not None else "")
        if policy is None:
            return backend, wish
        if policy.tls is None:
            return closed(backend, service)
        if policy.bundle is not None:
            self.bundles[policy.bundle.id] = policy.bundle
        protocol: BackendProtocol = "h2" if backend.protocol == "h2c" else backend.protocol
        return msgspec.structs.replace(backend, tls=policy.tls, protocol=protocol), wish

    def _found(
        self, one: BackendReference, transport: Transport = "TCP", *, bytes_only: bool = False
    ) -> tuple[Backend, EndpointSetWish | None] | Judgement:
        ref = referred(self.route, one, "Service")
        if (ref.group, ref.kind) != ("", "Service"):
            why = f"requests are sent to Services, not to a {shown(ref.kind)} of {shown(ref.group or 'core')}"
            return Judgement(good=False, reason="InvalidKind", message=why)
        if not permitted(self.read, self.grants, self.route, ref):
            return _not_permitted(ref)
        service = self.read.get(self.inputs.of(Service), ref)
        port = ServiceBackendPort(number=one.port or 0)
        found = service_backend(service, ref, port, forbidden=self.settings.api_server, transport=transport)
        if isinstance(found, NoBackend):
            reason = "UnsupportedProtocol" if found.reason is Reason.EXTERNAL_NAME_REFUSED else "BackendNotFound"
            return Judgement(good=False, reason=reason, message=found.why.partition(";")[0])
        if found.strange and not bytes_only:
            why = f"the Service {shown(ref.name)} has the appProtocol {shown(found.strange)} at this port, which is not spoken here"
            return Judgement(good=False, reason="UnsupportedProtocol", message=why)
        return found.backend, found.wish


def _not_permitted(ref: Ref) -> Judgement:
    why = (
        f"no ReferenceGrant in the namespace {shown(ref.namespace)} lets this one use the {ref.kind} {shown(ref.name)}"
    )
    return Judgement(good=False, reason="RefNotPermitted", message=why)
