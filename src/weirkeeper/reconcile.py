"""The heart: what was seen comes in, what should be comes out. No IO, no clock, no thread: ``settle()`` is a plain call.

Comes in: objects seen, observations, and which kinds are completely known. Goes out: an ``Outcome``, the net changes of one settle. The same object runs in
`weir up`, in every offline command, and in tests without an event loop.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import msgspec

from weirkeeper.controllers.base import Controller, Kind
from weirkeeper.feeds.base import Cause, Seen, Synced
from weirkeeper.flow import Change, FlowError, Graph, Settled
from weirkeeper.kube.conditions import ConditionsWish
from weirkeeper.model.finding import Finding
from weirkeeper.model.fleet import FleetWish
from weirkeeper.model.ids import HostKey, Ref
from weirkeeper.model.observation import (
    FleetService,
    InstanceLeaving,
    InstanceObservation,
    InstancesMissing,
    ItemObservation,
    ItemState,
    LoadBalancerObservation,
    Today,
)
from weirkeeper.model.sharing import shared
from weirkeeper.model.text import Id
from weirkeeper.providers.base import EngineItem, ItemKey, Provider, StatusWish
from weirkeeper.status.shortages import Shortage
from weirkeeper.tables import InstanceKey, LeavingKey, Program, RejectedItem

K = TypeVar("K")
V = TypeVar("V")

Event: TypeAlias = (
    Seen
    | Synced
    | ItemObservation
    | LoadBalancerObservation
    | InstanceObservation
    | InstanceLeaving
    | FleetService
    | InstancesMissing
    | Today
)


BY_NAME = (Cause.NOT_FOUND, Cause.FORGOTTEN)
"""What is said only of things that were asked for by name: whether one is absent is known of it alone."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one settle changed. ``None`` stands for "gone". ``hosts`` are the virtual hosts that changed; ``runs`` counts derivations by table.

    ``failures``: the providers that could not say all that is wished, by a bug of theirs; what they said before stands, and they are asked again by the next settle.
    """

    items: Mapping[str, Mapping[ItemKey, EngineItem | None]]
    findings: Mapping[Ref, tuple[Finding, ...] | None]
    statuses: Mapping[Ref, StatusWish | None]
    hosts: tuple[HostKey, ...]
    runs: Mapping[str, int]
    fleets: Mapping[Id, FleetWish | None] = {}
    public: Mapping[Ref, str | None] = {}
    shortages: Mapping[Id, Shortage | None] = {}
    conditions: Mapping[Ref, ConditionsWish | None] = {}
    failures: Mapping[str, FlowError] = {}

    @property
    def empty(self) -> bool:
        """Whether nothing changed that anybody outside would see."""
        return (
            not (
                any(self.items.values())
                or self.findings
                or self.statuses
                or self.fleets
                or self.public
                or self.shortages
            )
            and not self.conditions
        )

    def after(self, earlier: "Outcome") -> "Outcome":
        """Both as one: what the later one says of a thing counts."""
        providers = {**earlier.items, **self.items}
        return Outcome(
            items={name: {**earlier.items.get(name, {}), **self.items.get(name, {})} for name in providers},
            findings={**earlier.findings, **self.findings},
            statuses={**earlier.statuses, **self.statuses},
            hosts=tuple(dict.fromkeys((*earlier.hosts, *self.hosts))),
            runs=Counter(earlier.runs) + Counter(self.runs),
            failures=self.failures,
            fleets={**earlier.fleets, **self.fleets},
            public={**earlier.public, **self.public},
            shortages={**earlier.shortages, **self.shortages},
            conditions={**earlier.conditions, **self.conditions},
        )


class Reconciler:
    """Receives events and settles. The first provider is the one that load balancers get when they name none."""

    def __init__(
        self, controllers: Sequence[Controller], providers: Sequence[Provider], *, local_endpoints: bool = True, lives: bool = False
    ) -> None:  # fmt: skip
        """Build the program from these plugins.

        ``local_endpoints``: whether endpoints may be on loopback, right for a developer's machine only. ``lives``: it goes on where a provider fails, and tells so; else ``settle`` raises.
        """
        self._lives = lives
        self.program = Program(controllers, providers, local_endpoints=local_endpoints)
        self.kinds: Mapping[tuple[str, str], Kind] = self.program.inputs.kinds

    @property
    def graph(self) -> Graph:
        """The graph, for those who ask why."""
        return self.program.graph

    def receive(self, batch: Iterable[Event]) -> None:
        """Put what was seen into the input tables. Equal values stop here."""
        for event in batch:
            match event:
                case Seen():
                    self._see(event)
                case Synced():
                    for kind in event.kinds:
                        self.graph.put(self.program.inputs.complete, kind, True)
                case ItemObservation():
                    self._observe(event)
                case LoadBalancerObservation():
                    self.graph.put(self.program.observations, event.load_balancer, event)
                case InstanceObservation():
                    key = InstanceKey(event.load_balancer, event.provider, event.instance, event.replica)
                    self.graph.put(self.program.instances, key, event if event.stands else None)
                case InstanceLeaving():
                    leaving = LeavingKey(event.load_balancer, event.instance)
                    self.graph.put(self.program.leaving, leaving, True if event.leaving else None)
                case InstancesMissing():
                    self.graph.put(self.program.missing, event.load_balancer, True if event.lasting else None)
                case FleetService():
                    self.graph.put(self.program.fleet_services, event.load_balancer, event if event.ports else None)
                case Today():
                    self.graph.put(self.program.clock, "day", event.day)

    def _see(self, seen: Seen) -> None:
        problem = (seen.problem,) if seen.problem is not None else None
        self.graph.put(self.program.problems, seen.ref, problem)
        kind = self.kinds.get((seen.ref.group, seen.ref.kind))
        if kind is None or (seen.object is None and seen.problem is not None):
            return  # an object that no longer parses: its last good form stays
        if seen.cause in BY_NAME:
            self.graph.put(self.program.inputs.complete, seen.ref, True if seen.cause is Cause.NOT_FOUND else None)
        found = None if seen.object is None else seen.object.without_status()
        if found is not None and not kind.packed:
            found = shared(found)
        self.graph.put(self.program.inputs.of(kind.type), seen.ref, found)

    def _observe(self, seen: ItemObservation) -> None:
        key = RejectedItem(seen.provider, ItemKey(seen.load_balancer, seen.kind, seen.name))
        self.graph.put(self.program.rejections, key, seen if seen.state is ItemState.REJECTED else None)

    def settle(self) -> Outcome:
        """Bring every table up to date and say what changed."""
        settled = self.graph.settle()
        if not self._lives:
            for failure in settled.failures.values():
                raise failure
        program = self.program
        return Outcome(
            items={name: _after(settled.changes(table)) for name, table in program.items.items()},
            findings=_after(settled.changes(program.findings)),
            statuses=_after(settled.changes(program.statuses)),
            hosts=_hosts(settled, program),
            runs=dict(settled.runs),
            failures=settled.failures,
            fleets=_after(settled.changes(program.fleets)),
            shortages=_after(settled.changes(program.shortages)),
            conditions=_after(settled.changes(program.conditions)),
            public={} if program.public is None else _after(settled.changes(program.public)),
        )


def _after(changes: Mapping[K, Change[V]]) -> Mapping[K, V | None]:
    return {key: change.after for key, change in changes.items()}


def _hosts(settled: Settled, program: Program) -> tuple[HostKey, ...]:
    return tuple(key for composed in program.composed.values() for key in settled.changes(composed.virtual_hosts))
