"""What an Ingress needs and the manifests do not have: classes and Services, as far as the Ingress says what they are.

Comes in: objects. Goes out: objects to put beside them, and what is said of it. A folder often holds Ingresses alone; a Service's number is all that a migration wants of it.
"""

from collections.abc import Iterable, Iterator, Mapping

from weirkeeper.controllers.ingress.annotations.reading import read_options
from weirkeeper.controllers.ingress.claim import wanted
from weirkeeper.controllers.ingress.classes import DEFAULT_CLASS, is_default
from weirkeeper.controllers.ingress.settings import INGRESS_NGINX
from weirkeeper.controllers.shared.services import service_ref
from weirkeeper.kube.types import (
    Ingress,
    IngressBackend,
    IngressClass,
    IngressClassSpec,
    Metadata,
    Service,
    ServicePort,
    ServiceSpec,
)
from weirkeeper.migrate.notes import Aspect, Notes, Outcome
from weirkeeper.model.ids import Ref

NETWORKING = "networking.k8s.io/v1"
BUILT_IN = "weirkeeper"


def classes(ingresses: Iterable[Ingress], known: Iterable[IngressClass]) -> Iterator[IngressClass]:
    """The classes that Ingresses name and that are not there; the default one where some name none and others do."""
    there = {one.metadata.name: one for one in known}
    names = sorted({wanted(one).name for one in ingresses})
    if names == [""]:
        return
    for name in names:
        if name and name not in there:
            yield _class(name, {})
    if "" in names and not any(is_default(one) for one in there.values()) and BUILT_IN not in {*there, *names}:
        yield _class(BUILT_IN, {DEFAULT_CLASS: "true"})


def _class(name: str, annotations: dict[str, str]) -> IngressClass:
    return IngressClass(
        api_version=NETWORKING,
        kind="IngressClass",
        metadata=Metadata(name=name, annotations=annotations),
        spec=IngressClassSpec(controller=INGRESS_NGINX),
    )


def services(ingresses: Iterable[Ingress], known: Mapping[Ref, Service], notes: Notes) -> Iterator[Service]:
    """The Services that Ingresses lead to and that are not there. A port of them that is named stays unknown, and is told."""
    found: dict[Ref, set[int]] = {}
    for ingress in ingresses:
        for name, port_name, number in _wished(ingress):
            ref = service_ref(ingress.ref, name)
            if ref in known:
                continue
            ports = found.setdefault(ref, set())
            if port_name:
                why = f"{ref} is not among the manifests, so the number of its port {port_name} is not known; its requests are answered 500"
                notes.tell(
                    [ingress.ref],
                    Aspect.BACKENDS,
                    Outcome.LOST,
                    why=why,
                    remedy="add the Service to the manifests and migrate again",
                )
            else:
                ports.add(number)
    for ref, numbers in sorted(found.items()):
        metadata = Metadata(name=ref.name, namespace=ref.namespace)
        ports_of = tuple(ServicePort(name=f"port-{number}", port=number) for number in sorted(numbers))
        yield Service(api_version="v1", kind="Service", metadata=metadata, spec=ServiceSpec(ports=ports_of))


def _wished(ingress: Ingress) -> Iterator[tuple[str, str, int]]:
    spec = ingress.spec
    paths = [path.backend for rule in spec.rules or () if rule.http is not None for path in rule.http.paths]
    for backend in (*paths, spec.default_backend or IngressBackend()):
        if backend.service is not None:
            yield backend.service.name, backend.service.port.name, backend.service.port.number
    options = read_options(ingress)
    for url in (options.mirror_target, options.auth_url):
        labels = url.host.split(".") if url is not None else []
        if url is not None and labels[1:2] == [ingress.ref.namespace] and labels[2:3] == ["svc"]:
            yield labels[0], "", url.port
