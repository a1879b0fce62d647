"""The translation of one Ingress under way: what it reads, and the backends, wishes and findings that it gathers."""

from collections.abc import Callable, Hashable

import msgspec

from weirkeeper.controllers.base import CertificateWish, EndpointSetWish, Inputs
from weirkeeper.controllers.ingress.annotations.options import Options, Url
from weirkeeper.controllers.ingress.claimed import Claimed
from weirkeeper.controllers.ingress.classes import reach_of
from weirkeeper.controllers.ingress.settings import IngressSettings
from weirkeeper.controllers.ingress.variants import Variant, backend_variant
from weirkeeper.controllers.shared.addresses import refused_name
from weirkeeper.controllers.shared.ids import id_of, place
from weirkeeper.controllers.shared.reach import NoBackend, Reach
from weirkeeper.controllers.shared.report import error, field, info
from weirkeeper.controllers.shared.secrets import known_absent, named
from weirkeeper.controllers.shared.services import ServiceBackend, service_backend, service_ref, variant_id
from weirkeeper.flow import Read
from weirkeeper.kube.types import IngressServiceBackend, Service, ServiceBackendPort
from weirkeeper.model.backend import Backend, BackendTls, FromDns, FromServiceAddress, RequestAs
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.finding import Effect, Finding, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, Respond, WeightedBackend
from weirkeeper.model.text import Id, Refused

UNAVAILABLE = Respond(status=503)

Way = tuple[Forward | Respond, Backend | None]
"""What becomes of a request, and the backend that it goes to."""


class Scope:
    """One Ingress under translation; lives for one call. ``closed`` turns every route into a refusal."""

    def __init__(self, read: Read, inputs: Inputs, settings: IngressSettings, claimed: Claimed) -> None:
        self.read = read
        self.inputs = inputs
        self.settings = settings
        self.claimed = claimed
        self.ingress = claimed.ingress
        self.ours = claimed.ours
        self.options: Options = claimed.options
        self.ref: Ref = claimed.ingress.ref
        self.origin: Origin = claimed.ingress.origin()
        self.place = place(self.ref)
        self.name = self.ref.name
        self.closed = claimed.options.closed
        self.findings: list[Finding] = [*claimed.findings, *claimed.options.findings]
        self.backends: dict[Id, Backend] = {}
        self.wishes: dict[Id, EndpointSetWish] = {}
        self.certificates: list[CertificateWish] = []
        self.bundles: list[TrustBundle] = []
        self.variant: Variant | None = None
        self.behind: dict[str, str] | None = None
        """The workloads behind each Service's name, once they have been read."""
        self.reach: Reach = reach_of(self.ours, settings)
        self._services = inputs.of(Service)
        self._ways: dict[Hashable, Way] = {}

    def at(self, path: str) -> Origin:
        """A field of the Ingress."""
        return self.origin.at(field(path))

    def annotation(self, name: str) -> Origin:
        """The annotation of that name, under the prefix that is used."""
        keys = [key for key in self.ingress.annotations if key.endswith("/" + name)]
        return self.at(f"metadata.annotations[{keys[-1] if keys else name}]")

    def tell(self, finding: Finding) -> None:
        """Says something to the owner."""
        self.findings.append(finding)

    def close(self, reason: Reason, at: Origin, why: str, remedy: str) -> None:
        """Lets nobody through, and says why."""
        self.closed = True
        self.tell(error(reason, at, f"{why}; all requests are answered 503", remedy, Effect.FAILS_CLOSED))

    def close_without(self, ref: Ref, at: Origin, absent: Reason) -> None:
        """Lets nobody through for want of an object that is read by name. Says why: it cannot be read, or it is not there; where it may still come, nothing."""
        refused = self.read.get(self.inputs.unread, ref)
        if refused is not None:
            self.close(Reason.NOT_LISTED, at, refused.for_user, refused.remedy)
        elif known_absent(self.read, self.inputs, ref):
            self.close(absent, at, f"the {ref.kind} {ref.key} is not there", "create it")
        self.closed = True

    def forward(self, wished: IngressServiceBackend, path: str) -> Way:
        """Where a Service leads; 503 where it leads nowhere."""
        return self.once((wished.name, wished.port), lambda: self._resolved(wished.name, wished.port, path))

    def once(self, key: Hashable, resolve: Callable[[], Way]) -> Way:
        """The way that was found before under the same key: what is wrong with it is said once."""
        known = self._ways.get(key)
        if known is None:
            known = self._ways[key] = resolve()
        return known

    def _resolved(self, name: str, port: ServiceBackendPort, path: str) -> Way:
        found = self.service(service_ref(self.ref, name), port)
        if isinstance(found, NoBackend):
            leaf = "port.name" if port.name else "port.number"
            at = f"{path}.{leaf}" if found.reason == Reason.PORT_NOT_FOUND else f"{path}.name"
            self.tell(error(found.reason, self.at(at), found.why, found.remedy, Effect.DEGRADED))
            return UNAVAILABLE, None
        if found.strange:
            text = f"the appProtocol {found.strange[:60]!r} of the Service {name[:63]!r} means nothing here; HTTP/1.1 is spoken"
            self.tell(
                info(Reason.UNKNOWN_APP_PROTOCOL, self.at(path), text, "use kubernetes.io/h2c, grpc, https or none")
            )
        return self.way(found.backend, found.wish)

    def way(self, made: Backend, wish: EndpointSetWish | None) -> Way:
        """To this backend, spoken to as the Ingress wishes."""
        backend = self.keep(self._varied(made, wish), wish)
        return Forward(backends=(WeightedBackend(backend=backend.id),)), backend

    def has_service(self, name: str) -> bool:
        """Whether there is a Service of that name beside the Ingress."""
        return self.read.contains(self._services, service_ref(self.ref, name))

    def service(self, ref: Ref, port: ServiceBackendPort) -> ServiceBackend | NoBackend:
        """The backend of a Service port."""
        return service_backend(
            self.read.get(self._services, ref),
            ref,
            port,
            external_names=self.ours.spec.allow_external_name,
            forbidden=self.settings.api_server,
            reach=self.reach,
        )

    def _varied(self, backend: Backend, wish: EndpointSetWish | None) -> Backend:
        variant = self.variant
        if variant is None:
            return backend
        if self.reach.mode != "pods" or (wish is not None and wish.workloads):
            variant = msgspec.structs.replace(variant, service_address=False)
        return backend_variant(backend, variant, variant_id(backend.id, self.ref), self.origin)

    def keep(self, backend: Backend, wish: EndpointSetWish | None) -> Backend:
        """Puts a backend and its wish into the intent."""
        if isinstance(backend.source, FromServiceAddress) and wish is not None and not wish.service_port:
            port = int(wish.id.rpartition("/")[2])
            wish = msgspec.structs.replace(wish, id=backend.source.id, service_port=port)
        self.backends[backend.id] = backend
        if wish is not None:
            self.wishes[wish.id] = wish
        return backend

    def reference(self, text: str, kind: str) -> Ref | Refused:
        """The object that an annotation names."""
        return named(text, kind, self.ref, cross_namespace=self.ours.spec.allow_cross_namespace)

    def url_backend(self, url: Url, *, external: bool, requests_as: RequestAs | None = None) -> Backend | Refused:
        """The backend of a URL: a Service of the cluster by its DNS name, else, where allowed, a name outside. ``requests_as`` makes it one of its own."""
        labels = url.host.split(".")
        if len(labels) in {3, 5} and labels[2] == "svc" and labels[3:] in ([], ["cluster", "local"]):
            return self._cluster_backend(url, labels[0], labels[1], requests_as)
        why = refused_name(url.host, self.settings.api_server)
        if why is None and not external:
            why = "is outside of the cluster, which this class does not allow"
        if why is not None:
            return Refused(f"{url.host} {why}")
        backend = Backend(
            id=id_of(self.place, self.name, "asked" if requests_as else "url", f"{url.scheme}:{url.host}:{url.port}"),
            requests_as=requests_as,
            source=FromDns(name=url.host, port=url.port),
            tls=BackendTls(server_name=url.host, system_trust=True, verify=True, san_dns=(url.host,))
            if url.scheme == "https"
            else None,
            origins=(self.origin,),
        )
        return self.keep(backend, None)

    def _cluster_backend(
        self, url: Url, service: str, namespace: str, requests_as: RequestAs | None
    ) -> Backend | Refused:
        if refused_name(url.host, self.settings.api_server):
            return Refused(f"{url.host} is the API server")
        ref = Ref(cluster=self.ref.cluster, kind="Service", namespace=namespace, name=service)
        found = self.service(ref, ServiceBackendPort(number=url.port))
        if isinstance(found, NoBackend):
            return Refused(found.why.partition(";")[0])
        backend = found.backend
        if url.scheme == "https" and backend.tls is None:
            tls = BackendTls(server_name=url.host)
            backend = msgspec.structs.replace(backend, id=variant_id(backend.id, self.ref), tls=tls)
        if requests_as is not None:
            asked = id_of("asked", f"{requests_as.method}:{requests_as.host}", backend.id)  # one for all who ask alike
            backend = msgspec.structs.replace(backend, id=asked, requests_as=requests_as)
        return self.keep(backend, found.wish)
