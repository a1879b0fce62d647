"""The Gateway API controller: its tables, in order.

GatewayClass ─ classes ─ Gateway ─ gateways ─┬─ entries ─ verdicts ─ listeners ─ ports (model listeners, isolation)
ListenerSet ─ sets ──────────────────────────┘                          │
HTTPRoute, GRPCRoute ─┬─ attachments (parents, listeners, hosts) ───────┤
                      └─ rules (matches, filters, backends) ────────────┴─ intents, reports
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from weirkeeper.controllers.base import CertificateWish, Inputs, Intent, Kind
from weirkeeper.controllers.gateway import reports
from weirkeeper.controllers.gateway.attachment import (
    EVERY,
    Attached,
    Reach,
    Tables,
    Wished,
    attached,
    reaches,
    unserved,
)
from weirkeeper.controllers.gateway.backend_tls import (
    Identity,
    Secured,
    declare_policies,
    identity_of,
)
from weirkeeper.controllers.gateway.classes import (
    OurClass,
    OurGateway,
    class_ref,
    gateway_intent,
    our_class,
    our_gateway,
)
from weirkeeper.controllers.gateway.conflicts import verdicts
from weirkeeper.controllers.gateway.counts import declare_counts
from weirkeeper.controllers.gateway.external_backends import External, declare_externals, external_report
from weirkeeper.controllers.gateway.grants import Grants, declare_grants
from weirkeeper.controllers.gateway.hosts import hostnames
from weirkeeper.controllers.gateway.infrastructure import Holding, claimed, holder, infrastructure
from weirkeeper.controllers.gateway.kinds import KINDS
from weirkeeper.controllers.gateway.listeners import (
    OF_SET,
    OWN,
    Claim,
    Entry,
    EntryKey,
    Listening,
    PortKey,
    Sight,
    entries,
    listening,
)
from weirkeeper.controllers.gateway.policies import Policy, policy_report
from weirkeeper.controllers.gateway.ports import port_intent
from weirkeeper.controllers.gateway.references import Consents, Gathered
from weirkeeper.controllers.gateway.routes import intents
from weirkeeper.controllers.gateway.rules import Translated, grpc_rules, http_rules
from weirkeeper.controllers.gateway.sets import SetParent, set_parent
from weirkeeper.controllers.gateway.settings import GatewaySettings
from weirkeeper.controllers.gateway.streams import STREAMS, Around, declare_streams
from weirkeeper.controllers.gateway.traffic_policies import Traffic, declare_traffic
from weirkeeper.controllers.shared.parameters import GROUP as PARAMETERS_GROUP
from weirkeeper.controllers.shared.report import field
from weirkeeper.controllers.shared.workloads import PODS
from weirkeeper.flow import Graph, Index, Read, Table
from weirkeeper.kube.conditions import Report, condition
from weirkeeper.kube.gateway_routes import GRPCRoute, HTTPRoute
from weirkeeper.kube.gateway_types import Gateway, GatewayClass, ListenerSet
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Id, IpAddress, Name

R = TypeVar("R", HTTPRoute, GRPCRoute)


class GatewayController:
    """Reads Gateways, their classes and listeners, and the routes that attach to them."""

    name = "gateway"
    kinds: tuple[Kind, ...] = KINDS

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        if settings.pods:
            self.kinds = (*self.kinds, PODS)

    def declare(self, graph: Graph, inputs: Inputs) -> tuple[Table[Ref, Intent], ...]:
        """Declare the tables; the last ones are the intents of Gateways, of their ports and of routes."""
        program = _Program(graph, inputs, self.settings)
        inputs.reports += program.reports()
        return (*program.fronts(), *program.routes)


class Address(NamedTuple):
    """An address of a cluster."""

    cluster: str
    ip: IpAddress


class _Program:
    """The tables of one graph."""

    def __init__(self, graph: Graph, inputs: Inputs, settings: GatewaySettings) -> None:
        self.graph, self.inputs, self.settings = graph, inputs, settings
        self.grants: Grants = declare_grants(graph, inputs)
        self.classes: Table[Ref, OurClass] = graph.derive(
            "gateway.classes", inputs.of(GatewayClass), lambda read, _, found: our_class(read, inputs, found, settings)
        )
        self.gateways: Table[Ref, OurGateway] = graph.derive("gateway.gateways", inputs.of(Gateway), self._gateway)
        self.sets: Table[Ref, SetParent] = graph.derive(
            "gateway.sets",
            inputs.of(ListenerSet),
            lambda read, _, found: set_parent(read, inputs, self.gateways, found),
        )
        self.policies = declare_policies(graph, inputs, self.grants)
        self.traffic = declare_traffic(graph, inputs)
        sight = Sight(inputs, self.grants)
        self.externals = declare_externals(graph, sight, settings.api_server)
        self.identities: Table[Ref, Identity] = graph.derive(
            "gateway.identities", self.gateways, lambda read, _, ours: identity_of(read, sight, ours)
        )
        self._listeners()
        self._routes()

    def _gateway(self, read: Read, _: Ref, found: Gateway) -> OurGateway | None:
        ours = read.get(self.classes, class_ref(found.cluster, found.spec.gateway_class_name))
        return None if ours is None else our_gateway(read, self.inputs, found, ours)

    # Listeners

    def _listeners(self) -> None:
        graph = self.graph
        own = graph.spread(
            "gateway.own_entries",
            self.gateways,
            lambda _, __, ours: entries(ours, ours.gateway, ours.gateway.spec.listeners or (), OWN),
        )
        of_sets = graph.spread("gateway.set_entries", self.sets, self._set_entries)
        every: Table[EntryKey, Entry] = graph.union("gateway.entries", (own, of_sets))
        by_port = graph.index(
            "gateway.entries_by_port",
            every,
            lambda key, one: (PortKey(key.gateway, one.spec.port, one.family == "udp"),),
        )
        ports = graph.group("gateway.port_verdicts", by_port, lambda _, __, members: tuple(verdicts(members)))
        judged = graph.spread("gateway.verdicts", ports, lambda _, __, found: found)
        self.claims: Table[Claim, EntryKey] = graph.spread(
            "gateway.claims",
            every,
            lambda read, key, one: self._claim(
                key, one, good=(v := read.get(judged, key)) is not None and not v.reason
            ),
        )

        sight = Sight(self.inputs, self.grants)

        def listener(read: Read, key: EntryKey, entry: Entry) -> Listening | None:
            verdict = read.get(judged, key)
            return None if verdict is None else listening(read, sight, key, entry, verdict)

        self.listeners: Table[EntryKey, Listening] = graph.derive("gateway.listeners", every, listener)
        self.by_owner: Index[Ref, EntryKey, Listening] = graph.index(
            "gateway.listeners_by_owner", self.listeners, lambda key, _: (key.owner,)
        )

    def _set_entries(self, read: Read, _: Ref, parent: SetParent) -> Iterator[tuple[EntryKey, Entry]]:
        ours = read.get(self.gateways, parent.gateway)
        if ours is None or not parent.let_in.good:
            return iter(())
        return entries(ours, parent.found, parent.found.spec.listeners or (), OF_SET)

    def _claim(self, key: EntryKey, one: Entry, *, good: bool) -> Iterator[tuple[Claim, EntryKey]]:
        if good and not one.wrong:
            yield Claim(key.gateway, one.spec.port, one.family, one.hostname), key

    # Routes

    def _routes(self) -> None:
        graph = self.graph
        homes = graph.derive(
            "gateway.homes_of_sets", self.sets, lambda _, __, parent: parent.gateway if parent.let_in.good else None
        )
        by_default: Index[str, Ref, OurGateway] = graph.index(
            "gateway.defaults",
            self.gateways,
            lambda ref, ours: (ref.cluster,) if ours.gateway.spec.default_scope == EVERY else (),
        )
        self._tables = Tables(self.inputs, self.gateways, homes, self.by_owner, self.claims, by_default)
        self.attachments: list[Table[Ref, Attached]] = []
        self.routes: list[Table[Ref, Intent]] = []
        self.route_reports: list[Table[Ref, Report]] = []
        self.reaches: list[Table[Reach, bool]] = []
        self._declare_routes("http", HTTPRoute, http_rules)
        self._declare_routes("grpc", GRPCRoute, grpc_rules)
        around = Around(self.inputs, self._tables, self.listeners, self._gathered, self.settings.controller)
        for name in STREAMS:
            streams = declare_streams(graph, around, name)
            self.attachments.append(streams.attachments)
            self.routes.append(streams.intents)
            self.route_reports.append(streams.reports)
            self.reaches.append(streams.reaches)
        every = graph.union("gateway.attached", self.attachments)
        self.counts: Table[EntryKey, int] = declare_counts(graph, every)

    def _gathered(self, read: Read, ref: Ref) -> Gathered:
        return Gathered(
            read, self.inputs, Consents(self.grants, self.policies, self.traffic, self.externals), self.settings, ref
        )

    def _declare_routes(self, name: str, kind: type[R], rules: Callable[[R, Gathered], Translated]) -> None:
        graph, inputs = self.graph, self.inputs

        def hang(read: Read, ref: Ref, route: R) -> Attached | None:
            wished = Wished(route.spec.parent_refs or (), route.spec.use_default_gateways)
            return attached(read, self._tables, ref, wished, hostnames(route.spec.hostnames))

        attachments: Table[Ref, Attached] = graph.derive(f"gateway.{name}_attachments", inputs.of(kind), hang)

        def translate(read: Read, ref: Ref, route: R) -> Translated | None:
            if not read.contains(attachments, ref):
                return None  # somebody else's: its references are none of our business
            return rules(route, self._gathered(read, ref))

        translated: Table[Ref, Translated] = graph.derive(f"gateway.{name}_rules", inputs.of(kind), translate)

        def hung(read: Read, ref: Ref, at: Attached) -> Iterator[tuple[Ref, Intent]]:
            found, route = read.get(translated, ref), read.get(inputs.of(kind), ref)
            if found is None or route is None:
                return iter(())
            lost = tuple(unserved(at, route.origin(field("spec.hostnames"))))
            return intents(ref, at, found, self._shown(read, at), lost)

        def report(read: Read, ref: Ref, at: Attached) -> Report | None:
            found, route = read.get(translated, ref), read.get(inputs.of(kind), ref)
            if found is None or route is None:
                return None
            return reports.route_report(route.metadata.generation, at, found, self.settings.controller)

        def reached(read: Read, ref: Ref, at: Attached) -> Iterator[tuple[Reach, bool]]:
            found = read.get(translated, ref)
            return iter(()) if found is None else reaches(ref, at, found.services)

        self.attachments.append(attachments)
        self.reaches.append(graph.spread(f"gateway.{name}_reaches", attachments, reached))
        self.routes.append(graph.spread(f"gateway.{name}_intents", attachments, hung))
        self.route_reports.append(graph.derive(f"gateway.{name}_reports", attachments, report))

    def _shown(self, read: Read, at: Attached) -> dict[Id, CertificateWish]:
        """What the Gateways of a route show to backends."""
        found = ((parent.load_balancer, read.get(self.identities, parent.gateway)) for parent in at.parents)
        return {front: one.wish for front, one in found if one is not None and one.wish is not None}

    # What comes of it

    def fronts(self) -> tuple[Table[Ref, Intent], ...]:
        """The intents of Gateways and of their ports."""
        by_port = self.graph.index(
            "gateway.listeners_by_port",
            self.listeners,
            lambda key, one: (PortKey(key.gateway, one.port, one.family == "udp"),),
        )

        def port(read: Read, key: PortKey, members: Sequence[tuple[EntryKey, Listening]]) -> Intent | None:
            ours = read.get(self.gateways, key.gateway)
            return None if ours is None else port_intent(key, members, ours.ours, self.settings)

        ports = self.graph.group("gateway.ports", by_port, port)
        holders = self._holders()

        def front(read: Read, ref: Ref, ours: OurGateway) -> Intent:
            held = tuple(
                one for one in claimed(ours, self.settings) if read.get(holders, Address(ref.cluster, one)) == ref
            )
            started, findings = infrastructure(ours, held, self.settings)
            made = gateway_intent(read, self.inputs, ours, self.settings, started)
            return msgspec.structs.replace(made, findings=(*findings, *made.findings))

        return (
            self.graph.derive("gateway.fronts", self.gateways, front),
            self.graph.spread("gateway.port_intents", ports, lambda _, key, one: ((_port_ref(key), one),)),
        )

    def _holders(self) -> Table[Address, Ref]:
        """Which Gateway has an address that may be asked for."""

        def wished(_: Read, ref: Ref, ours: OurGateway) -> Iterator[tuple[Holding, str]]:
            age = ours.gateway.metadata.creation_timestamp
            return ((Holding(ref, one), age or "") for one in claimed(ours, self.settings))

        rows = self.graph.spread("gateway.wished_addresses", self.gateways, wished)
        by_address = self.graph.index(
            "gateway.gateways_by_address", rows, lambda key, _: (Address(key.gateway.cluster, key.address),)
        )
        return self.graph.group("gateway.address_holders", by_address, lambda _, __, members: holder(members))

    def reports(self) -> list[Table[Ref, Report]]:
        """What is said of every object of ours."""
        graph, controller = self.graph, self.settings.controller
        standing = graph.derive("gateway.standing_sets", self.sets, self._home_of_standing)
        sets_of = graph.index("gateway.sets_by_gateway", standing, lambda _, home: (home,))
        sets = graph.group("gateway.set_counts", sets_of, lambda _, __, members: len(members))

        def of_class(read: Read, ref: Ref, ours: OurClass) -> Report | None:
            found = read.get(self.inputs.of(GatewayClass), ref)
            return None if found is None else reports.class_report(found, ours, controller, self._claimed(ours))

        def of_gateway(read: Read, ref: Ref, ours: OurGateway) -> Report:
            identity, count = read.get(self.identities, ref), read.get(sets, ref) or 0
            judged = identity.judged if identity is not None else None
            return reports.gateway_report(ours, self._counted(read, ref), count, judged, controller)

        def of_set(read: Read, ref: Ref, one: SetParent) -> Report:
            return reports.set_report(one.found, one.load_balancer, one.let_in, self._counted(read, ref), controller)

        by_service: Index[Ref, Reach, bool] = graph.index(
            "gateway.reaches_by_service", graph.union("gateway.reaches", self.reaches), lambda key, _: (key.service,)
        )

        def served(read: Read, one: Policy) -> set[Ref]:
            rows = [row for target in one.targets for row in read.lookup(by_service, target.service)]
            return {key.gateway for key, _ in rows}

        def of_policy(read: Read, ref: Ref, one: Secured) -> Report | None:
            more = (condition("ResolvedRefs", one.resolved),)
            return policy_report(read, self.policies, (ref, one), served(read, one), controller, more=more)

        def of_traffic(read: Read, ref: Ref, one: Traffic) -> Report | None:
            return policy_report(read, self.traffic, (ref, one), served(read, one), controller)

        def of_external(read: Read, ref: Ref, one: External) -> Report | None:
            gateways = {key.gateway for key, _ in read.lookup(by_service, ref)}
            return external_report(one, gateways, controller)

        return [
            graph.derive("gateway.external_reports", self.externals, of_external),
            graph.derive("gateway.policy_reports", self.policies.table, of_policy),
            graph.derive("gateway.traffic_reports", self.traffic.table, of_traffic),
            graph.derive("gateway.class_reports", self.classes, of_class),
            graph.derive("gateway.gateway_reports", self.gateways, of_gateway),
            graph.derive("gateway.set_reports", self.sets, of_set),
            *self.route_reports,
        ]

    def _home_of_standing(self, read: Read, ref: Ref, one: SetParent) -> Ref | None:
        """The Gateway of a set that is let in and has a listener that stands: only such a one counts (Gateway API, GatewayStatus.attachedListenerSets)."""
        stands = one.let_in.good and any(at.accepted.good for _, at in read.lookup(self.by_owner, ref))
        return one.gateway if stands else None

    def _claimed(self, ours: OurClass) -> tuple[str, ...]:
        return dict(self.settings.features).get(Name(ours.spec.provider or self.settings.provider), ())

    def _counted(self, read: Read, owner: Ref) -> list[tuple[tuple[EntryKey, Listening], int]]:
        rows = read.lookup(self.by_owner, owner)
        return [((key, one), read.get(self.counts, key) or 0) for key, one in rows]


def _port_ref(key: PortKey) -> Ref:
    """What a port is called among objects; no object has this kind."""
    gateway = key.gateway
    return Ref(
        cluster=gateway.cluster,
        group=PARAMETERS_GROUP,
        kind="GatewayPort",
        namespace=gateway.namespace,
        name=f"{gateway.name} {key.port}{' udp' if key.datagrams else ''}",
    )
