"""The derived tables, in order: the whole program on one screen.

Comes in: controllers and providers. Goes out: a graph whose inputs are objects and observations and whose last tables are engine items, findings and
statuses. Nothing here decides anything: it says which pure function makes which table from which.

    objects ─ controllers ─ intents ─┬─ load balancers, listeners, backends, endpoint sets, certificates
                                     └─ hosted routes ─ virtual hosts
    each provider:  fit to capabilities ─ translate ─ engine items
    observations, problems ─────────────────────────── findings by object, statuses
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from weirkeeper.compose.certificates import (
    CertificateClaim,
    CertificateReport,
    CertificateUse,
    certificate_uses,
    claimed_names,
    common_wish,
    secrets_wished,
    served_certificate,
    winning_certificate,
)
from weirkeeper.compose.l4 import Claim, Rank, claims, losses, settled, winner
from weirkeeper.compose.listeners import listener_conflicts
from weirkeeper.compose.virtual_hosts import host_key, virtual_host
from weirkeeper.controllers.base import COMMON_KINDS, CertificateWish, Controller, Inputs, Intent
from weirkeeper.controllers.shared.backends import declare_endpoint_sets, declare_slice_findings
from weirkeeper.controllers.shared.certificates import (
    CertificateResult,
    clock,
    declare_certificates,
    unnamed_hosts,
)
from weirkeeper.controllers.shared.workloads import declare_selections
from weirkeeper.flow import Graph, Handle, Read, Source, Table
from weirkeeper.kube.conditions import ConditionsWish, Report
from weirkeeper.kube.types import Service
from weirkeeper.model.certificate import Certificate
from weirkeeper.model.config import LoadBalancer
from weirkeeper.model.finding import Finding
from weirkeeper.model.fleet import ON_HOST_PORTS, FleetWish
from weirkeeper.model.ids import Part, Ref, ServerName
from weirkeeper.model.listener import Listener
from weirkeeper.model.observation import FleetService, InstanceObservation, ItemObservation, LoadBalancerObservation
from weirkeeper.model.route import L4Route
from weirkeeper.model.text import Hostname, Id
from weirkeeper.providers.base import Composed, Provider, StatusWish
from weirkeeper.status.addresses import Addresses, behind_service, front_addresses
from weirkeeper.status.engines import down
from weirkeeper.status.findings import FindingRow, merged, rows_by_object, unserved
from weirkeeper.status.gateway import conditions_wish
from weirkeeper.status.ingress import ingress_status
from weirkeeper.status.public_endpoints import Front, Target, Way, public_text, ways
from weirkeeper.status.shortages import Shortage, missing, shortage
from weirkeeper.tables import parts
from weirkeeper.tables.by_provider import RejectedItem, Served, serve
from weirkeeper.tables.parts import first_of_each


class InstanceKey(NamedTuple):
    """An instance of a load balancer as one replica of the control plane sees it."""

    load_balancer: Id
    provider: str
    instance: str
    replica: str


class LeavingKey(NamedTuple):
    """An instance that was told to go, whoever sees it."""

    load_balancer: Id
    instance: str


class Program:
    """The graph with handles to the tables that others read."""

    def __init__(
        self, controllers: Sequence[Controller], providers: Sequence[Provider], *, local_endpoints: bool = True
    ) -> None:
        """Declare everything. Controllers and providers keep their order; the first provider is the default one."""
        self.graph = graph = Graph()
        kinds = {(k.group, k.kind): k for c in controllers for k in c.kinds} | {
            (k.group, k.kind): k for k in COMMON_KINDS
        }
        self.inputs = Inputs(graph, tuple(kinds.values()))
        self.problems = self.inputs.problems
        self.rejections: Source[RejectedItem, ItemObservation] = graph.source("rejections")
        self.observations: Source[Id, LoadBalancerObservation] = graph.source("observations")
        self.instances: Source[InstanceKey, InstanceObservation] = graph.source("instances")
        self.leaving: Source[LeavingKey, bool] = graph.source("leaving")
        self.missing: Source[Id, bool] = graph.source("missing")
        self.fleet_services: Source[Id, FleetService] = graph.source("fleet_services")
        self.clock = clock(graph)
        self.providers = tuple(providers)

        tables = [table for controller in controllers for table in controller.declare(graph, self.inputs)]
        self.intents = graph.union("intents", tables)
        self.load_balancers = graph.spread("load_balancers", self.intents, parts.load_balancers)
        self.wished_listeners = graph.spread("wished_listeners", self.intents, parts.listeners)
        self.hosted_routes = graph.spread("hosted_routes", self.intents, parts.routes)
        self.backends = graph.spread("backends", self.intents, parts.backends)
        self.trust_bundles = graph.spread("trust_bundles", self.intents, parts.bundles)
        members = graph.spread("endpoint_set_wishes", self.intents, parts.endpoint_sets)
        self.endpoint_sets = declare_endpoint_sets(graph, self.inputs, members, allow_local=local_endpoints)
        self.pod_selections = declare_selections(graph, self.inputs, members)
        self.slice_findings = declare_slice_findings(graph, self.inputs, allow_local=local_endpoints)
        self.certificates = self._declare_certificates()
        self.server_names = self._declare_server_names()
        self.listeners = self._declare_listeners()
        self.l4_routes = self._declare_l4_routes()
        hosts = graph.index("routes_by_host", self.hosted_routes, lambda _, hosted: (host_key(hosted),))
        self.virtual_hosts = graph.group("virtual_hosts", hosts, lambda _, key, members: virtual_host(key, members))

        self.served = self._declare_providers()
        self.composed = {name: served.composed for name, served in self.served.items()}
        self.items = {name: served.items for name, served in self.served.items()}
        self._listeners_by_front = graph.index(
            "listeners_by_front", self.listeners, lambda part, _: (part.load_balancer,)
        )
        self._instances_by_front = graph.index(
            "instances_by_front", self.instances, lambda key, _: (key.load_balancer,)
        )
        self.fleets = graph.derive("fleets", self.load_balancers, self._fleet)
        self.shortages = graph.derive("shortages", self.fleets, self._shortage)
        self.findings = self._declare_findings()
        self.addresses = self._declare_addresses()
        self.statuses = graph.derive("statuses", self.intents, self._status)
        self.reports = graph.union("reports", self.inputs.reports)
        self.conditions = graph.derive("conditions", self.reports, self._conditions)
        self.public: Table[Ref, str] | None = None
        self._tell()

    def declare_public(self) -> None:
        """Declare the public endpoints of Services and workloads: only where somebody writes them down, as they cost a row for each."""
        graph = self.graph
        led = graph.spread(
            "ways", self.intents, lambda _, ref, intent: ways(ref, intent) if ref.kind == "Ingress" else iter(())
        )

        def text(read: Read, target: Ref, members: Sequence[tuple[Target, tuple[Way, ...]]]) -> str | None:
            names = {way.load_balancer for _, many in members for way in many}
            return public_text(target, members, {name: self._front(read, name) for name in sorted(names)})

        by_target = graph.index("ways_by_target", led, lambda key, _: (key.target,))
        self.public = graph.group("public_endpoints", by_target, text)
        self._tell()

    def _tell(self) -> None:
        """What an outcome is made of."""
        tables: list[Handle] = [self.findings, self.statuses, self.conditions, self.fleets, self.shortages]
        tables += self.items.values()
        tables += [composed.virtual_hosts for composed in self.composed.values()]
        tables += [] if self.public is None else [self.public]
        self.graph.tell(tables)

    def _front(self, read: Read, name: Id) -> Front:
        listeners = [listener for _, listener in read.lookup(self._listeners_by_front, name)]
        return Front(read.get(self.addresses, name), listeners)

    def _declare_certificates(self) -> Table[Part, Certificate]:
        graph = self.graph
        secrets = graph.spread(
            "certificate_secrets",
            self.intents,
            lambda _, __, i: first_of_each(secrets_wished(i.load_balancer, i.certificates)),
        )
        uses = graph.spread(
            "certificate_uses",
            self.intents,
            lambda _, __, i: first_of_each(certificate_uses(i.load_balancer, i.certificates)),
        )
        wishes = graph.derive("certificate_wishes", secrets, lambda _, part, secret: common_wish(part, secret))
        self.certificate_results: Table[Part, CertificateResult] = declare_certificates(graph, self.inputs, wishes)

        def served(read: Read, part: Part, result: CertificateResult) -> Certificate | None:
            if result.certificate is None:
                return None
            by_names, by_hosts, default = (
                read.contains(uses, CertificateUse(part, use)) for use in ("names", "hosts", "default")
            )
            return served_certificate(result.certificate, by_names=by_names and not by_hosts, default=default)

        self.certificate_reports = graph.derive("certificate_reports", self.certificate_results, _report)
        return graph.derive("certificates", self.certificate_results, served)

    def _declare_server_names(self) -> Table[ServerName, Id]:
        graph = self.graph
        claims = graph.spread("certificate_claims", self.intents, parts.certificates)
        by_host = graph.index("certificate_claims_by_host", claims, claimed_names)

        def bound(read: Read, _: ServerName, claims: Sequence[tuple[CertificateClaim, CertificateWish]]) -> Id | None:
            part = winning_certificate(claims)
            return part.id if read.contains(self.certificates, part) else None

        return graph.group("server_names", by_host, bound)

    def _declare_listeners(self) -> Table[Part, Listener]:
        graph = self.graph
        by_port = graph.index("listeners_by_port", self.wished_listeners, lambda p, w: ((p.load_balancer, w.port),))
        by_listener = graph.group(
            "port_conflicts", by_port, lambda _, __, members: tuple(listener_conflicts(one for _, one in members))
        )
        self.listener_conflicts: Table[Part, Finding] = graph.spread(
            "listener_conflicts",
            by_listener,
            lambda _, port, found: ((Part(port[0], name), finding) for name, finding in found),
        )
        return graph.derive(
            "listeners",
            self.wished_listeners,
            lambda read, part, listener: None if read.contains(self.listener_conflicts, part) else listener,
        )

    def _declare_l4_routes(self) -> Table[Part, L4Route]:
        graph = self.graph
        wished = graph.spread("wished_l4_routes", self.intents, parts.l4_routes)

        def wanted(read: Read, part: Part, route: L4Route) -> Iterator[tuple[Claim, Rank]]:
            listener = read.get(self.listeners, Part(part.load_balancer, route.listener))
            return iter(()) if listener is None else claims(route, listener)

        claimed = graph.spread("l4_claims", wished, wanted)
        winners = graph.group(
            "l4_winners",
            graph.index("l4_claims_by_place", claimed, lambda claim, _: (claim.place,)),
            lambda _, __, members: winner(members),
        )

        def lost(read: Read, part: Part, route: L4Route) -> frozenset[Hostname] | None:
            listener = read.get(self.listeners, Part(part.load_balancer, route.listener))
            wanted = () if listener is None else claims(route, listener)
            return frozenset(c.place.name for c, _ in wanted if read.get(winners, c.place) != route.id) or None

        self.lost_names = graph.derive("l4_lost", wished, lost)
        self.l4_losses = graph.derive(
            "l4_losses", self.lost_names, lambda read, part, names: _losses(read.get(wished, part), names)
        )

        def served(read: Read, part: Part, route: L4Route) -> L4Route | None:
            if not read.contains(self.listeners, Part(part.load_balancer, route.listener)):
                return None
            return settled(route, read.get(self.lost_names, part) or ())

        return graph.derive("l4_routes", wished, served)

    def _declare_addresses(self) -> Table[Id, Addresses]:
        """Where each load balancer answers. Statuses read this, so that an instance more or less changes them all and nothing else."""
        graph = self.graph
        listeners = self._listeners_by_front

        def addresses(read: Read, name: Id, front: LoadBalancer) -> Addresses | None:
            said = None if front.published is None else front.published.service
            found = front_addresses(
                front.published,
                seen=read.get(self.observations, name),
                instances=self._staying(read, name),
                service=None if said is None else read.get(self.inputs.of(Service), said),
                ports=[listener.port for _, listener in read.lookup(listeners, name)],
            )
            fleet = front.infrastructure.fleet
            if fleet is None or fleet.exposure in ON_HOST_PORTS or front.published is not None:
                return found
            return behind_service(found, fleet.exposure, read.get(self.fleet_services, name))

        return graph.derive("addresses", self.load_balancers, addresses)

    def _staying(self, read: Read, name: Id) -> list[InstanceObservation]:
        """The instances that serve and were not told to go, as each replica sees them."""
        return [
            instance
            for key, instance in read.lookup(self._instances_by_front, name)
            if instance.serving and not read.contains(self.leaving, LeavingKey(name, key.instance))
        ]

    def _shortage(self, read: Read, name: Id, wish: FleetWish) -> Shortage | None:
        return shortage(wish, (one.instance for one in self._staying(read, name)))

    def _missing(self, read: Read, name: Id, found: Shortage) -> Iterator[FindingRow]:
        return rows_by_object("missing", name, (missing(found),) if read.contains(self.missing, name) else ())

    def _ailing(self, read: Read, name: Id, front: LoadBalancer) -> Iterator[FindingRow]:
        seen = (instance for _, instance in read.lookup(self._instances_by_front, name))
        return rows_by_object("engines", name, down(seen, front.origin))

    def _fleet(self, read: Read, name: Id, front: LoadBalancer) -> FleetWish | None:
        wished = front.infrastructure.fleet
        if wished is None:
            return None
        listeners = [listener for _, listener in read.lookup(self._listeners_by_front, name)]
        return FleetWish(
            load_balancer=name,
            provider=front.provider,
            fleet=wished,
            ports=tuple(sorted({one.port for one in listeners if one.protocol != "udp"})),
            datagram_ports=tuple(sorted({one.port for one in listeners if one.protocol == "udp"})),
            labels=front.infrastructure.labels,
            annotations=front.infrastructure.annotations,
            namespace=front.infrastructure.namespace,
            addresses=front.infrastructure.addresses,
            origin=front.origin,
        )

    def _declare_providers(self) -> dict[str, Served]:
        every = Composed(
            load_balancers=self.load_balancers,
            listeners=self.listeners,
            virtual_hosts=self.virtual_hosts,
            backends=self.backends,
            endpoint_sets=self.endpoint_sets,
            certificates=self.certificates,
            server_names=self.server_names,
            trust_bundles=self.trust_bundles,
            l4_routes=self.l4_routes,
        )
        found: dict[str, Served] = {}
        for provider in self.providers:
            with self.graph.apart(provider.name):
                alone = len(self.providers) == 1
                found[provider.name] = serve(self.graph, every, provider, self.rejections, alone=alone)
        return found

    def _declare_findings(self) -> Table[Ref, tuple[Finding, ...]]:
        graph, names = self.graph, [provider.name for provider in self.providers]
        tables = [
            graph.spread(
                "problem_findings", self.problems, lambda _, ref, found: rows_by_object("problem", str(ref), found)
            ),
            graph.spread(
                "intent_findings", self.intents, lambda _, ref, i: rows_by_object("intent", str(ref), i.findings)
            ),
            graph.spread(
                "left_out", self.slice_findings, lambda _, ref, found: rows_by_object("slice", str(ref), found)
            ),
            graph.spread("certificate_findings", self.intents, self._certificate_findings),
            graph.spread(
                "conflict_findings",
                self.listener_conflicts,
                lambda _, part, f: rows_by_object("conflict", str(part), (f,)),
            ),
            graph.spread(
                "lost_findings", self.l4_losses, lambda _, part, found: rows_by_object("lost", str(part), found)
            ),
            graph.spread("unserved_findings", self.load_balancers, lambda _, __, front: unserved(front, names)),
            graph.spread("missing_findings", self.shortages, self._missing),
            graph.spread("engine_findings", self.load_balancers, self._ailing),
            *(table for served in self.served.values() for table in served.said),
        ]
        every = graph.union("all_findings", tables)
        by_object = graph.index("findings_by_object", every, lambda key, _: (key[1],))
        return graph.group("findings", by_object, lambda _, __, members: merged(members))

    def _certificate_findings(self, read: Read, ref: Ref, intent: Intent) -> Iterator[FindingRow]:
        found = []
        for wish in intent.certificates:
            report = read.get(self.certificate_reports, Part(intent.load_balancer, wish.id))
            if report is not None:
                found += [msgspec.structs.replace(problem, origin=wish.origin) for problem in report.problems]
                found += unnamed_hosts(wish, report.names) if report.names is not None else ()
            unread = read.get(self.inputs.unread, wish.secret)
            if unread is not None:
                found.append(msgspec.structs.replace(unread, origin=wish.origin))
        yield from rows_by_object("certificate", str(ref), found)

    def _conditions(self, read: Read, ref: Ref, report: Report) -> ConditionsWish:
        return conditions_wish(
            ref, report, lambda name: read.get(self.addresses, name), read.get(self.findings, ref) or ()
        )

    def _status(self, read: Read, ref: Ref, intent: Intent) -> StatusWish | None:
        if ref.kind != "Ingress":
            return None
        return ingress_status(ref, read.get(self.addresses, intent.load_balancer))


def _losses(route: L4Route | None, names: frozenset[Hostname]) -> tuple[Finding, ...] | None:
    return None if route is None else losses(route, names)


def _report(_: Read, __: Part, result: CertificateResult) -> CertificateReport:
    return CertificateReport(result.problems, result.certificate.names if result.certificate else None)
