"""One replica's side of the distribution: one address for the engines of all providers, fed by what each provider wishes.

Comes in: the mailboxes of the providers (``Desired``), ``ready``, refusals that other replicas heard. Goes out: responses to engines, ``ItemObservation``
and ``InstanceObservation``. Until ``ready`` is set an engine is turned away with a reason, never told that there is nothing: it keeps what it has and
asks another replica.

An instance is announced after its first full sync and taken back when it has been gone for the grace time (``presence``). A replica that stops takes
nothing back: what it saw is let go by whoever relied on it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from weirkeeper.distribute import wire
from weirkeeper.distribute.credentials import TlsSource, spread
from weirkeeper.distribute.door import Away, Door
from weirkeeper.distribute.kinds import PORTS
from weirkeeper.distribute.presence import InstanceKey, Presence
from weirkeeper.distribute.progress import printable
from weirkeeper.distribute.server import Connection, Distributor
from weirkeeper.distribute.store import DesiredStore
from weirkeeper.model.observation import InstanceObservation, ItemObservation, ItemState
from weirkeeper.model.text import Id, IpAddress, Label, Name, Refused, Sentence, parse
from weirkeeper.model.value import Value
from weirkeeper.providers.base import Desired

ObserveInstances = Callable[[ItemObservation | InstanceObservation], None]
LATER = 1.2
"""Streams live longer than their connection, which has been told to end by then (gRPC spreads its age by a tenth)."""


class ServiceSettings(Value, frozen=True, kw_only=True):
    """Where engines are served and for how long. ``replica`` is this replica's name. Times in seconds."""

    address: str = "[::]:18000"
    replica: Label = Label("")
    grace_seconds: float = 5.0
    stream_seconds: float | None = 1800.0
    drain_seconds: float = 5.0


class Service:
    """Serves every engine that connects to this replica."""

    def __init__(self, settings: ServiceSettings, tls: TlsSource) -> None:
        self.ready = asyncio.Event()
        """Set it when all that is wished is known. Until then nobody is told anything."""
        self.port = 0
        self.listening = asyncio.Event()
        self._settings = settings
        self._tls = tls
        self._distributors: dict[str, Distributor] = {}
        self._refusals: dict[tuple[str, ...], ItemObservation] = {}
        self._filled: set[str] = set()

    async def serve(self, desired: Mapping[str, Desired], observe: ObserveInstances) -> None:
        """Run until cancelled, which ends all streams and says nothing of instances."""
        rosters = {name: Roster(Name(name), self._settings, observe) for name in desired}
        self._distributors = {name: self._distributor(name, observe, rosters[name]) for name in desired}
        self._filled = set()
        door = Door(self._place, self._settings.stream_seconds)
        try:
            async with asyncio.TaskGroup() as group:
                for name, wishes in desired.items():
                    group.create_task(self._follow(name, wishes), name=f"wishes of {name}")
                    group.create_task(rosters[name].run(), name=f"instances of {name}")
                self.port = await door.open(self._settings.address, self._tls)
                self.listening.set()
        finally:
            for roster in rosters.values():
                roster.silence()
            self.listening.clear()
            await asyncio.shield(door.close())

    def learn(self, refusals: Iterable[ItemObservation]) -> None:
        """All refusals that are known anywhere, as a whole: such versions are not sent here either, and what is no longer among them may be tried again.

        Refusals of listeners are not shared: their port may be taken on one machine only.
        """
        present = {_identity(one): one for one in refusals if one.state is ItemState.REJECTED and one.kind not in PORTS}
        gone = [one for key, one in self._refusals.items() if key not in present]
        news = [one for key, one in present.items() if key not in self._refusals]
        self._refusals = present
        for provider, distributor in self._distributors.items():
            distributor.learn(
                [one for one in news if one.provider == provider], (one for one in gone if one.provider == provider)
            )

    def instances(self, load_balancer: Id) -> int:
        """How many engines of this load balancer are connected here and have all that they should have."""
        return sum(distributor.instances(load_balancer) for distributor in self._distributors.values())

    def _distributor(self, name: str, observe: ObserveInstances, roster: "Roster") -> Distributor:
        limit = self._settings.stream_seconds
        return Distributor(
            DesiredStore(),
            observe,
            provider=Name(name),
            drain_seconds=self._settings.drain_seconds,
            told=roster,
            age=lambda: None if limit is None else spread(limit * (LATER + 0.2), 1 / 7),
        )

    async def _follow(self, name: str, wishes: Desired) -> None:
        await self.ready.wait()
        distributor = self._distributors[name]
        await distributor.fill(wishes.items())
        distributor.learn([one for one in self._refusals.values() if one.provider == name], ())
        self._filled.add(name)
        while True:
            distributor.put(await wishes.changed())

    def _place(self, load_balancer: Id, node: wire.Node) -> Distributor | Away:
        """The provider that has items for this load balancer, else the one that is called as the engine is, else the only one."""
        if not self.ready.is_set() or self._filled != self._distributors.keys():
            return Away("this replica does not know yet what is wished")
        for distributor in self._distributors.values():
            shelf = distributor.store.shelves.get(load_balancer)
            if shelf is not None and shelf.entries:
                return distributor
        named = self._distributors.get(node.engine.partition(" ")[0])
        alone = next(iter(self._distributors.values())) if len(self._distributors) == 1 else None
        return named or alone or Away("nothing is wished for this load balancer by any provider")


class Roster:
    """Says of one provider's instances who is there, to whoever observes."""

    def __init__(self, provider: Name, settings: ServiceSettings, observe: ObserveInstances) -> None:
        self._provider, self._replica, self._observe = provider, settings.replica, observe
        self._presence = Presence(settings.grace_seconds)
        self._bell = asyncio.Event()
        self._silent = False

    def came(self, load_balancer: Id, connection: Connection) -> None:
        """A stream began."""
        self._presence.came(_key(load_balancer, connection))
        self.ails(load_balancer, connection)

    def serves(self, load_balancer: Id, connection: Connection) -> None:
        """Its engine has all that it should have."""
        key, addresses = _key(load_balancer, connection), addresses_of(connection.node, connection.peer)
        if self._presence.serves(key, addresses):
            self._say(key)

    def ails(self, load_balancer: Id, connection: Connection) -> None:
        """It says something else of its engine than before."""
        key = _key(load_balancer, connection)
        if self._presence.ails(key, printable(connection.node.trouble), time.monotonic()):
            self._say(key)
            self._bell.set()

    def went(self, load_balancer: Id, connection: Connection) -> None:
        """The stream ended."""
        self._presence.went(_key(load_balancer, connection), time.monotonic())
        self._bell.set()

    def silence(self) -> None:
        """Say nothing more: the replica stops, and what becomes of its instances others see."""
        self._silent = True

    async def run(self) -> None:
        """Take back, until cancelled, who has been gone, or ailing, for the grace time."""
        while True:
            self._bell.clear()
            due = self._presence.wake_at()
            try:
                async with asyncio.timeout(None if due is None else max(due - time.monotonic(), 0.0)):
                    await self._bell.wait()
            except TimeoutError:
                for key in self._presence.gone(time.monotonic()):
                    self._say(key)

    def _say(self, key: InstanceKey) -> None:
        if not self._silent:
            addresses, trouble = self._presence.standing(key)
            self._observe(
                InstanceObservation(
                    load_balancer=key.load_balancer,
                    provider=self._provider,
                    instance=Label(key.instance),
                    replica=self._replica,
                    addresses=addresses or (),
                    serving=addresses is not None,
                    trouble=Sentence(trouble),
                )
            )


def addresses_of(node: wire.Node, peer: str) -> tuple[IpAddress, ...]:
    """The addresses that the node lists, those that are none left out; else the one that it came from."""
    listed = [parse(IpAddress, text) for text in (node.addresses or (peer,))]
    return tuple(dict.fromkeys(one for one in listed if not isinstance(one, Refused)))


def _key(load_balancer: Id, connection: Connection) -> InstanceKey:
    return InstanceKey(load_balancer, instance_of(connection.node.id))


def instance_of(node: str) -> str:
    """An instance's own name out of its node id, without what a terminal would obey."""
    return "".join(c for c in node.rpartition("/")[2][:253] if c.isprintable())


def _identity(one: ItemObservation) -> tuple[str, ...]:
    return (one.provider, one.load_balancer, one.kind, one.name, one.version, one.engine_version)
