"""A place of its own for one scenario: a namespace, a host, backends to forward to, and a client.

In: a stage and a name. Out: manifests that a scenario hands over, and answers to its requests. Nothing of one site is seen by another, so that many
scenarios share one engine.
"""

import base64
import contextlib
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, cast

import msgspec

from weirkeeper.controllers.base import Intent
from weirkeeper.controllers.ingress.classes import id_of_group
from weirkeeper.controllers.shared.ids import id_of
from weirkeeper.feeds.decode import Decoder
from weirkeeper.kube.types import KubeObject, Metadata
from weirkeeper.model.backend import Backend, FromEndpointSet
from weirkeeper.model.endpoint import Endpoint, EndpointSetWish
from weirkeeper.model.features import UpdateStyle
from weirkeeper.model.finding import Finding
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import Listener
from weirkeeper.model.match import RouteMatch
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Action, Forward, HostedRoute, Route, WeightedBackend
from weirkeeper.model.text import Hostname, Id, IpAddress, Label, trusted
from weirkeeper.testing.certificates import PemPair
from weirkeeper.testing.client import Response, fetch, get
from weirkeeper.testing.conformance.backends import Backends
from weirkeeper.testing.conformance.neutral import GROUP, Neutral
from weirkeeper.testing.conformance.stage import Stage
from weirkeeper.testing.eventually import poll_until

Manifest: TypeAlias = "Mapping[str, object] | KubeObject"

CLASS = "weirkeeper"
AWAY = (OSError, ssl.SSLError, TimeoutError)
NGINX = "nginx.ingress.kubernetes.io/"


class Site:
    """What a scenario works with."""

    def __init__(self, stage: Stage, backends: Backends, slug: str) -> None:
        self.stage, self.backends, self.namespace = stage, backends, slug
        self.host = f"{slug}.example"
        self._decoder = Decoder(stage.reconciler.kinds)
        self._applied: dict[Ref, None] = {}

    # -- manifests

    def ingress(
        self,
        annotations: Mapping[str, str] | None = None,
        *,
        name: str = "main",
        host: str | None = None,
        paths: Iterable[tuple[str, str, str]] = (("/", "Prefix", "a"),),
        **spec: object,
    ) -> Manifest:
        """An Ingress of this site's host; paths are (path, type, Service); annotations are named without their prefix."""
        backend = [{"path": p, "pathType": kind, "backend": self.to(service)} for p, kind, service in paths]
        rule = {"http": {"paths": backend}} | ({"host": self.host if host is None else host} if host != "" else {})
        metadata = {"annotations": {NGINX + key: text for key, text in (annotations or {}).items()}}
        rules = [rule] if backend else []
        return self.manifest(
            "networking.k8s.io/v1", "Ingress", name, metadata, spec={"ingressClassName": CLASS, "rules": rules, **spec}
        )

    @staticmethod
    def to(service: str, port: int | str = 80) -> dict[str, object]:
        """The backend of a rule."""
        return {"service": {"name": service, "port": {"name" if isinstance(port, str) else "number": port}}}

    def service(self, name: str, *ports: int, app_protocol: str | None = None, **spec: object) -> list[Manifest]:
        """A Service with its endpoints: these ports on loopback."""
        port: dict[str, object] = {"name": "web", "port": 80}
        if app_protocol is not None:
            port["appProtocol"] = app_protocol
        made = self.manifest("v1", "Service", name, spec={"ports": [port], **spec})
        return [made, *(self.slice(name, port, number) for number, port in enumerate(ports or (0,)))]

    def slice(self, service: str, port: int, number: int = 0) -> Manifest:
        """An EndpointSlice of a Service with one endpoint on loopback, or with none for port 0."""
        return self.manifest(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            f"{service}-{number}",
            {"labels": {"kubernetes.io/service-name": service}},
            addressType="IPv4",
            ports=[{"name": "web", "port": port or 9}],
            endpoints=[{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}] if port else [],
        )

    def secret(self, name: str, **texts: str | bytes) -> Manifest:
        """A Secret; `tls_crt` stands for the key `tls.crt`."""
        encoded = {k.replace("_", "."): base64.b64encode(_bytes(text)).decode() for k, text in texts.items()}
        return self.manifest("v1", "Secret", name, data=encoded)

    def tls_secret(self, name: str, pair: PemPair) -> Manifest:
        """A Secret with a certificate and its key."""
        return self.secret(name, tls_crt=pair.certificate, tls_key=pair.key)

    def tls_secret_garbage(self, name: str) -> Manifest:
        """A Secret that looks like a certificate and is none."""
        return self.secret(
            name, tls_crt="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", tls_key="none"
        )

    def manifest(
        self, version: str, kind: str, name: str, metadata: Mapping[str, object] | None = None, **fields: object
    ) -> Manifest:
        """Any manifest in this site's namespace."""
        named = {"name": name, "namespace": self.namespace, "creationTimestamp": "2026-01-01T00:00:00Z"}
        return {"apiVersion": version, "kind": kind, "metadata": {**named, **(metadata or {})}, **fields}

    # -- neutral configuration

    @property
    def load_balancer(self) -> Id:
        """The load balancer that Ingresses of this stage belong to."""
        return id_of("ingress", CLASS)

    def origin(self, path: str = "intent") -> Origin:
        """Where neutral configuration of this site comes from."""
        return Origin(ref=Ref(group=GROUP, kind="Neutral", namespace=self.namespace, name="main")).at(path)

    def neutral(
        self,
        *routes: Route,
        listeners: Iterable[Listener] = (),
        backends: Iterable[Backend] = (),
        endpoints: Mapping[str, Iterable[int]] | None = None,
        group: Id | None = None,
        **intent: object,
    ) -> KubeObject:
        """An object that means these routes of the site's host; backends `a` and `b` are there."""
        ports: dict[str, Iterable[int]] = {
            "a": (self.backends.a.port,),
            "b": (self.backends.b.port,),
            **(endpoints or {}),
        }
        own = {one.id: one for one in (self.backend("a"), self.backend("b"), *backends)}
        fields: Any = {
            "load_balancer": self.load_balancer,
            "listeners": tuple(listeners),
            "routes": tuple(self._hosted(route, group or id_of_group(self.load_balancer)) for route in routes),
            "backends": tuple(own.values()),
            "endpoint_sets": tuple(self._static(name, numbers) for name, numbers in ports.items()),
            **intent,
        }
        metadata = Metadata(name="main", namespace=self.namespace)
        return Neutral(api_version=f"{GROUP}/v1", kind="Neutral", metadata=metadata, intent=Intent(**fields))

    def route(self, match: RouteMatch | None = None, to: str | Action = "a", **filters: Any) -> Route:
        """A route to a backend of the site, or with that action."""
        name = id_of(self.namespace, str(msgspec.json.encode(match or RouteMatch()), "ascii"))
        action = self.forward(to) if isinstance(to, str) else to
        return Route(id=name, match=match or RouteMatch(), action=action, origin=self.origin(), **filters)

    def forward(self, *names: str) -> Forward:
        """To backends of the site, in equal shares."""
        return Forward(backends=tuple(WeightedBackend(backend=self.backend_id(name)) for name in names))

    def backend(self, name: str, **fields: Any) -> Backend:
        """A backend of the site whose endpoints are listed under the same name."""
        made: Any = {"source": FromEndpointSet(id=self.backend_id(name)), "origins": (self.origin(),), **fields}
        return Backend(id=self.backend_id(name), **made)

    def backend_id(self, name: str) -> Id:
        """The id of a backend of the site."""
        return id_of(self.namespace, "neutral", name)

    def listener(self, port: int, group: str = "", **fields: Any) -> Listener:
        """A listener of the site's own; without a group it serves what Ingresses serve."""
        return Listener(
            id=id_of(self.namespace, f"listener-{port}"),
            load_balancer=self.load_balancer,
            group=id_of(self.namespace, group) if group else id_of_group(self.load_balancer),
            addresses=(IpAddress("127.0.0.1"),),
            port=port,
            origin=self.origin(f"listeners[{port}]"),
            **fields,
        )

    def _hosted(self, route: Route, group: Id) -> HostedRoute:
        host = trusted(Hostname, self.host)
        return HostedRoute(load_balancer=self.load_balancer, group=group, hostname=host, route=route)

    def _static(self, name: str, ports: Iterable[int]) -> EndpointSetWish:
        static = tuple(Endpoint(address=IpAddress("127.0.0.1"), port=port) for port in ports)
        service = Ref(kind="Service", namespace=self.namespace, name=name)
        return EndpointSetWish(id=self.backend_id(name), service=service, port_name=Label(""), static=static)

    # -- what happens

    def apply(self, *manifests: Manifest) -> None:
        """Hand these objects over."""
        objects = [found for one in manifests for found in self._objects(one)]
        self._applied.update(dict.fromkeys(found.ref for found in objects))
        self.stage.apply(*objects)

    def delete(self, kind: str, name: str) -> None:
        """Take an object away."""
        gone = [ref for ref in self._applied if (ref.kind, ref.name) == (kind, name)]
        assert gone, f"there is no {kind} {name} in this site"
        self._forget(gone)

    def clear(self) -> None:
        """Take all objects away."""
        self._forget(list(self._applied))

    def _forget(self, refs: list[Ref]) -> None:
        for ref in refs:
            del self._applied[ref]
        self.stage.delete(*refs)

    def _objects(self, manifest: Manifest) -> list[KubeObject]:
        if isinstance(manifest, KubeObject):
            return [manifest]
        found = list(self._decoder.objects(cast(Any, manifest)))
        assert found, f"nothing reads {manifest.get('kind')}"
        assert all(one.object is not None for one in found), found
        return [one.object for one in found if one.object is not None]

    def get(self, path: str = "/", *, scheme: str = "http", port: int | None = None, **more: Any) -> Response:
        """The answer to one request for the site's host (or `host`)."""
        default = self.stage.https_port if scheme == "https" else self.stage.http_port
        address, number = self.stage.rig.reach(port or default)
        host = more.pop("host", self.host)
        return get(f"{scheme}://{host}{path}", via=number, address=address, **more)

    async def fetch(self, path: str = "/", **more: Any) -> Response:
        """`get` for several at once."""
        address, number = self.stage.rig.reach(self.stage.http_port)
        return await fetch(f"http://{self.host}{path}", via=number, address=address, **more)

    def tried(self, path: str = "/", **more: Any) -> Response | None:
        """The answer, or None where nobody listens or the connection broke."""
        self.stage.check_engine()
        with contextlib.suppress(*AWAY):
            return self.get(path, **more)
        return None

    def until(self, right: Callable[[Response], object], path: str = "/", **more: Any) -> Response:
        """The first right answer; everything that is asked after it must be right at once. Processes that take each other's place (a reload) answer
        side by side for a moment: an engine that needs them has until it says that it has taken everything.
        """
        last: list[Response | None] = [None]

        def look() -> Response | None:
            last[0] = self.tried(path, **more)
            return last[0] if last[0] is not None and right(last[0]) else None

        try:
            found = poll_until(look, self.stage.rig.patience, what=f"the right answer to {path} of {self.host}")
        except AssertionError as error:
            raise AssertionError(f"{error}; the last answer: {last[0]}; findings: {self.findings()}; "
                                 f"rejected: {self.stage.rejected()}") from None  # fmt: skip
        assert found is not None
        if self.stage.rig.provider.capabilities.config_updates is not UpdateStyle.LIVE:
            poll_until(self.stage.settled, self.stage.rig.patience, what="the engine has taken everything")
        return found

    def answers(self, to: str = "a", path: str = "/", **more: Any) -> Response:
        """Waits until that backend answers."""
        return self.until(lambda got: got.status == 200 and got.header("x-echo-name") == to, path, **more)

    def exact(self, feature: str) -> bool:
        """Whether the provider does it to the letter, not by an approximation that it declares."""
        return feature in self.stage.rig.provider.capabilities.supported

    def findings(self) -> tuple[Finding, ...]:
        """What owners of this site's objects should know."""
        return tuple(
            f for ref, found in self.stage.findings().items() for f in found if ref.namespace == self.namespace
        )


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
