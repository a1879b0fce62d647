"""Hosts whose TLS goes to the backend unopened (``ssl-passthrough`` of ingress-nginx).

Comes in: an Ingress under translation and one of its hosts. Goes out: an ``L4Route`` of the class's listener for HTTPS, or a finding that says why TLS ends here after all. What reads requests cannot hold for
bytes: an Ingress with a guard is not passed, so that nothing gets around it. A host belongs to its oldest Ingress, as in ingress-nginx; the backend is that of the path ``/``.
"""

from collections.abc import Sequence

from weirkeeper.controllers.ingress.claimed import Claimed, first_of
from weirkeeper.controllers.ingress.classes import https_listener
from weirkeeper.controllers.ingress.scope import Scope
from weirkeeper.controllers.shared.ids import id_of
from weirkeeper.controllers.shared.reach import NoBackend
from weirkeeper.controllers.shared.report import error, warning
from weirkeeper.controllers.shared.services import of_bytes, service_ref
from weirkeeper.kube.types import IngressPath
from weirkeeper.model.finding import Effect, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.route import Forward, L4Route, Route, WeightedBackend
from weirkeeper.model.text import Hostname

NAME = "ssl-passthrough"
REMEDY = "see to that, or take the annotation out"


def passed(
    scope: Scope,
    host: Hostname,
    paths: Sequence[IngressPath],
    mains: Sequence[tuple[Ref, Claimed]],
    *,
    template: Route,
    guarded: bool,
) -> L4Route | None:
    """The route of a host whose TLS passes; ``mains`` are all Ingresses with that host, ``guarded`` says that somebody asks its clients for certificates."""
    listener = https_listener(scope.ours, scope.settings)
    root = next((path for path in paths if (path.path or "/") == "/"), None)
    owner = first_of(mains, host)[0] if mains else scope.ref
    closed = guarded or scope.closed or bool(template.auth) or template.ip_rules is not None
    why = next((text for wrong, text in (
        (host.startswith("*"), f"{host} is not the name of one host"),
        (listener is None, "the class has no port for HTTPS"),
        (root is None or root.backend.service is None, f"{host} has no path / that leads to a Service"),
        (owner != scope.ref, f"{host} belongs to the older Ingress {owner.key}"),
        (closed, f"requests for {host} are guarded, which needs them to be read"),
    ) if wrong), "")  # fmt: skip
    if why or listener is None or root is None or root.backend.service is None:
        text = f"{NAME}: {why}; TLS ends at the load balancer"
        scope.tell(error(Reason.ANNOTATION_CONFLICT, scope.annotation(NAME), text, REMEDY, Effect.IGNORED))
        return None
    _tell_unread(scope, host, template)
    service = root.backend.service
    found = scope.service(service_ref(scope.ref, service.name), service.port)
    shares: tuple[WeightedBackend, ...] = ()
    if not isinstance(found, NoBackend):
        backend = scope.keep(of_bytes(found.backend), found.wish)
        shares = (WeightedBackend(backend=backend.id),)
    return L4Route(
        id=id_of(scope.place, scope.name, host, NAME),
        load_balancer=scope.ours.load_balancer,
        listener=listener.id,
        tls="passthrough",
        sni=(host,),
        forward=Forward(backends=shares),
        created_at=scope.origin.created_at,
        origin=scope.annotation(NAME),
    )


def _tell_unread(scope: Scope, host: Hostname, template: Route) -> None:
    """Says which wishes about requests cannot hold for what nobody reads."""
    options = scope.options
    wishes = (
        ("limits of rates", template.rate_limits), ("limits of bodies", template.body_limit), ("session affinity and hashing", options.affinity or options.hash_by),
        ("rewriting", options.rewrite_target or options.upstream_vhost), ("the policy for cross-origin requests", template.cors), ("mirroring", template.mirrors),
        ("headers", template.request_headers or template.response_headers or template.forwarded_prefix), ("error pages", template.error_pages),
    )  # fmt: skip
    unread = [name for name, wished in wishes if wished]
    if unread:
        text = f"{NAME}: requests for {host} that come by TLS are read by nobody on their way, so these wishes hold for them no more: {', '.join(unread)}"
        remedy = "let the backend see to that, or take ssl-passthrough out"
        scope.tell(warning(Reason.ANNOTATION_WITHOUT_EFFECT, scope.annotation(NAME), text, remedy, Effect.DEGRADED))
