"""What Gateway API's objects say of an answer: conditions of the listener and route that had a part in it, routes that would take the request and are not attached, and consents.

Comes in: a settled program and an answer. Goes out: `ObjectWord`s. Nothing is judged here: conditions are those that statuses get, a ReferenceGrant is one that the reference needs.
"""

from collections.abc import Iterable, Iterator

from weirkeeper.compose.explain import Answer
from weirkeeper.compose.explain.answer import ObjectWord
from weirkeeper.compose.explain.hosts import covers
from weirkeeper.controllers.gateway.hosts import hostnames
from weirkeeper.kube.conditions import Condition, ListenerReport, Report
from weirkeeper.kube.gateway_policies import BackendTLSPolicy
from weirkeeper.kube.gateway_routes import GRPCRoute, HTTPRoute
from weirkeeper.kube.gateway_streams import TCPRoute, TLSRoute, UDPRoute
from weirkeeper.kube.gateway_types import Gateway, ListenerSet, ListenerSpec, ReferenceGrant
from weirkeeper.kube.types import KubeObject
from weirkeeper.model.ids import Part, Ref
from weirkeeper.model.text import Hostname, Sentence
from weirkeeper.reconcile import Reconciler

ROUTES: dict[str, tuple[type[KubeObject], ...]] = {
    "http": (HTTPRoute, GRPCRoute), "https": (HTTPRoute, GRPCRoute, TLSRoute), "tls": (TLSRoute,), "tcp": (TCPRoute,), "udp": (UDPRoute,),
}  # fmt: skip
"""The kinds of routes that a request may be for."""
PROTOCOLS = {"http": ("HTTP",), "https": ("HTTPS", "TLS"), "tls": ("TLS",), "tcp": ("TCP",), "udp": ("UDP",)}
BAD_WHERE_TRUE = frozenset({"Conflicted", "OverlappingTLSConfig", "PartiallyInvalid", "InsecureFrontendValidationMode"})
"""Conditions that say something is amiss while they are true."""
GRANT = "Grant"


def good(word: ObjectWord) -> bool:
    """Whether all is well, as far as it goes."""
    return word.type == GRANT or (word.status == "True") is not (word.type in BAD_WHERE_TRUE)


def object_words(reconciler: Reconciler, one: Answer, *, live: bool) -> list[ObjectWord]:
    """All that there is to say. Whether something is programmed is known to a running program alone."""
    program = reconciler.program
    if not program.inputs.reads(Gateway):
        return []
    words = _Words(reconciler, one)
    said = [*words.listeners(), *words.routes(), *words.policies(), *words.grants()]
    return [word for word in said if live or word.type != "Programmed"]


class _Words:
    """What is said of one answer; lives for one call."""

    def __init__(self, reconciler: Reconciler, one: Answer) -> None:
        self._graph, self._inputs, self._one = reconciler.graph, reconciler.program.inputs, one
        listening = reconciler.program.listeners
        self._listener = self._graph.get(listening, Part(one.load_balancer, one.listener)) if one.listener else None
        wishes = self._graph.rows(reconciler.program.conditions)
        self._reports = [(ref, wish.report) for ref, wish in sorted(wishes.items())]
        self._backends = self._services(reconciler)
        self._owners: dict[Ref, None] = {}
        """The Gateways and ListenerSets whose listener it is."""

    def listeners(self) -> Iterator[ObjectWord]:
        """Of the listener that the request comes in by; where there is none, of those with which something is amiss."""
        for ref, report in self._reports:
            if report.listeners is None or report.load_balancer != self._one.load_balancer:
                continue
            chosen = self._section(self._specs(ref))
            yield from (word for word in _words(ref, "", report.conditions) if not good(word))
            for section in report.listeners:
                if chosen is not None and section.name == chosen.name:
                    self._owners[ref] = None
                    yield from _words(ref, _part(section), section.conditions)
                elif self._one.listener is None:
                    yield from (word for word in _words(ref, _part(section), section.conditions) if not good(word))

    def _specs(self, ref: Ref) -> tuple[ListenerSpec, ...]:
        gateway, more = (
            self._graph.get(self._inputs.of(Gateway), ref),
            self._graph.get(self._inputs.of(ListenerSet), ref),
        )
        spec = gateway.spec if gateway is not None else more.spec if more is not None else None
        return () if spec is None else spec.listeners or ()

    def _section(self, specs: Iterable[ListenerSpec]) -> ListenerSpec | None:
        request, listener = self._one.request, self._listener
        if listener is None:
            return None
        fitting = [
            spec
            for spec in specs
            if spec.protocol in PROTOCOLS[request.scheme]
            and spec.port == listener.port
            and covers(Hostname(spec.hostname.lower()) if spec.hostname else None, request.host)
        ]
        return max(fitting, key=lambda spec: len(spec.hostname or ""), default=None)

    def routes(self) -> Iterator[ObjectWord]:
        """Of the route that decided; and of each that has the host but was not accepted."""
        decided = self._one.decided_by.ref if self._one.decided_by is not None else None
        for kind in ROUTES[self._one.request.scheme]:
            routes = self._graph.rows(self._inputs.of(kind))
            for ref, report in self._reports:
                route = routes.get(ref)
                if route is None or not (ref == decided or self._has_host(route)):
                    continue
                for parent in report.parents or ():
                    if parent.load_balancer == self._one.load_balancer:
                        words = _words(
                            ref,
                            f"parent {dict(parent.reference).get('sectionName') or dict(parent.reference)['name']}",
                            parent.conditions,
                        )
                        yield from (
                            word for word in words if ref == decided or (word.type == "Accepted" and not good(word))
                        )

    def _has_host(self, route: KubeObject) -> bool:
        names = hostnames(getattr(getattr(route, "spec", None), "hostnames", ()))
        return not names or any(covers(name, self._one.request.host) for name in names)

    def _services(self, reconciler: Reconciler) -> list[Ref]:
        wanted = {Part(self._one.load_balancer, backend.id) for backend in self._one.backends}
        rows = self._graph.rows(reconciler.program.backends)
        found = (origin.ref for part in sorted(wanted) if part in rows for origin in rows[part].origins)
        return [ref for ref in dict.fromkeys(found) if ref.kind == "Service"]

    def policies(self) -> Iterator[ObjectWord]:
        """Of the policies for the Services that requests are sent to."""
        policies = self._graph.rows(self._inputs.of(BackendTLSPolicy))
        names = {(ref.namespace, ref.name) for ref in self._backends}
        for ref, report in self._reports:
            policy = policies.get(ref)
            targets = (
                {(ref.namespace, target.name) for target in policy.spec.target_refs or ()}
                if policy is not None
                else set()
            )
            if targets & names:
                yield from _ancestor_words(ref, report)

    def grants(self) -> Iterator[ObjectWord]:
        """The ReferenceGrants without which a reference would lead nowhere."""
        decided, certificate = self._one.decided_by, self._one.certificate
        used = [(decided.ref, service) for service in self._backends if decided is not None]
        used += [(owner, certificate.origin.ref) for owner in self._owners if certificate is not None]
        for referrer, to in used:
            for ref, grant in sorted(self._graph.rows(self._inputs.of(ReferenceGrant)).items()):
                if (
                    to.namespace not in {referrer.namespace, ""}
                    and ref.namespace == to.namespace
                    and _lets(grant, referrer, to)
                ):
                    why = f"lets every {referrer.kind} of {referrer.namespace} refer to the {to.kind} {to.name}"
                    yield ObjectWord(object=ref, type=GRANT, message=Sentence(why))


def _lets(grant: ReferenceGrant, referrer: Ref, to: Ref) -> bool:
    who = any(
        (one.group, one.kind, one.namespace) == (referrer.group, referrer.kind, referrer.namespace)
        for one in grant.spec.from_ or ()
    )
    return who and any(
        (one.group, one.kind) == (to.group, to.kind) and (one.name or to.name) == to.name for one in grant.spec.to or ()
    )


def _part(section: ListenerReport) -> str:
    return f"listener {section.name}"


def _ancestor_words(ref: Ref, report: Report) -> Iterator[ObjectWord]:
    conditions = dict.fromkeys(one for parent in report.parents or () for one in parent.conditions)
    yield from _words(ref, "", tuple(conditions))


def _words(ref: Ref, part: str, conditions: Iterable[Condition]) -> Iterator[ObjectWord]:
    for one in conditions:
        yield ObjectWord(
            object=ref, part=part, type=one.type, status=one.status, reason=one.reason, message=Sentence(one.message)
        )
