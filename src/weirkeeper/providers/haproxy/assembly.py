"""What one HAProxy is to be, put together from engine items. Pure: items in, tables out; no word of a command is made here.

Comes in: changes of items of one load balancer, in any order. Goes out: tables that are always whole, and which of their rows each change touched. A row that several
hosts need (a section of equal wishes) is there as long as one of them is.
"""

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

import msgspec

from weirkeeper.model.text import Id
from weirkeeper.providers.base import EngineItem, ItemKey
from weirkeeper.providers.haproxy.translate import items as kinds
from weirkeeper.providers.haproxy.translate.items import (
    Bundle,
    Chain,
    Endpoints,
    Fork,
    Host,
    Named,
    Port,
    Section,
    Server,
)

V = TypeVar("V")
RING, HEAVIEST = 1280, 256
"""What the weights of a ring are brought up to in all, and the largest that HAProxy takes."""


class Rows(Generic[V]):
    """Rows with owners; ``touched`` are the keys whose row may differ since it was emptied."""

    def __init__(self) -> None:
        self.rows: dict[str, V] = {}
        self.owners: dict[str, set[str]] = {}
        self.touched: set[str] = set()

    def replace(self, owner: str, old: Mapping[str, V], new: Mapping[str, V]) -> None:
        """What an owner needs now, in place of what it needed."""
        for key, row in new.items():
            if key not in old or self.rows.get(key) != row:
                self.rows[key] = row
                self.touched.add(key)
            self.owners.setdefault(key, set()).add(owner)
        for key in old.keys() - new.keys():
            self.touched.add(key)
            owners = self.owners.get(key, set())
            owners.discard(owner)
            if not owners:
                self.rows.pop(key, None)
                self.owners.pop(key, None)


class Assembly:
    """One HAProxy as it is wished."""

    def __init__(self) -> None:
        self.items: dict[ItemKey, EngineItem] = {}
        self.hosts: dict[str, Host] = {}
        self.ports: dict[str, Port] = {}
        self.routes: Rows[str] = Rows()
        self.shares: Rows[str] = Rows()
        self.users: Rows[str] = Rows()
        self.streams: Rows[str] = Rows()
        self.sections: Rows[Section] = Rows()
        self.forks: Rows[Fork] = Rows()
        self.endpoints: dict[Id, tuple[Server, ...]] = {}
        self.chains: dict[Id, Chain] = {}
        self.named: dict[str, Id] = {}
        self.bundles: dict[Id, Bundle] = {}
        self.by_source: dict[Id, set[str]] = {}
        self.touched_sources: set[Id] = set()
        self.touched_chains: set[Id] = set()
        self.touched_names: set[str] = set()
        self.touched_frame = False
        self._by_name: dict[str, set[Id]] = {}

    def take(self, changes: Mapping[ItemKey, EngineItem | None]) -> None:
        """Put these changes in. An item that is withheld leaves what is there of it."""
        for key, item in changes.items():
            if item is not None and item.withheld:
                continue
            if item is None:
                self.items.pop(key, None)
            else:
                self.items[key] = item
            self._put(key, None if item is None else msgspec.json.decode(item.whole, type=kinds.BODIES[key.kind]))

    @property
    def leads(self) -> bool:
        """Whether a port leads connections on as they are: the map for that is read then."""
        return any(port.stream is not None for port in self.ports.values())

    def certificate_of(self, name: str) -> Id | None:
        """The certificate that answers for a name: the one that an object names for it, else the first that holds it."""
        wished = self.named.get(name)
        if wished in self.chains:
            return wished
        return min(self._by_name.get(name, ()), default=None)

    def names(self) -> set[str]:
        """All names that a certificate answers for."""
        return {name for name in (*self.named, *self._by_name) if self.certificate_of(name) is not None}

    def servers(self, section: Section) -> tuple[Server, ...]:
        """The servers that a section is to have."""
        found = self.endpoints.get(section.source, ()) if section.source is not None else ()
        return _on_a_ring(found) if section.ring else found

    def settle(self) -> None:
        """Forget what was touched: the engine has all of it."""
        for rows in (self.routes, self.shares, self.users, self.streams, self.sections, self.forks):
            rows.touched.clear()
        self.touched_sources.clear()
        self.touched_chains.clear()
        self.touched_names.clear()
        self.touched_frame = False

    def owners_of(self, section: str) -> Iterable[str]:
        """The names of the host items that need a section."""
        return self.sections.owners.get(section, ())

    def _put(self, key: ItemKey, value: object) -> None:
        match key.kind:
            case kinds.HOST:
                self._host(key.name, value if isinstance(value, Host) else Host())
            case kinds.ENDPOINTS:
                source = Id(key.name)
                self.touched_sources.add(source)
                _set(self.endpoints, source, value.servers if isinstance(value, Endpoints) else None)
            case kinds.PORT:
                self._port(key.name, value if isinstance(value, Port) else None)
            case kinds.CERTIFICATE:
                self._chain(Id(key.name), value if isinstance(value, Chain) else None)
            case kinds.SERVER_NAME:
                self.touched_names.add(key.name)
                _set(self.named, key.name, value.certificate if isinstance(value, Named) else None)
            case kinds.BUNDLE:
                self.touched_frame = True
                _set(self.bundles, Id(key.name), value if isinstance(value, Bundle) else None)
            case _:
                raise AssertionError(f"nobody made an item of kind {key.kind}")

    def _port(self, name: str, new: Port | None) -> None:
        """Its rows are a port's own: no host is named like them."""
        self.touched_frame = True
        rows = [{} if one is None or one.stream is None else one.stream.rows for one in (self.ports.get(name), new)]
        self.streams.replace(f"port-{name}", rows[0], rows[1])
        _set(self.ports, name, new)

    def _host(self, name: str, new: Host) -> None:
        old = self.hosts.get(name, Host())
        _set(self.hosts, name, new if new != Host() else None)
        self.routes.replace(name, old.routes, new.routes)
        self.shares.replace(name, old.shares, new.shares)
        self.users.replace(name, old.users, new.users)
        self.streams.replace(name, old.streams, new.streams)
        before, after = {one.name: one for one in old.sections}, {one.name: one for one in new.sections}
        self.sections.replace(name, before, after)
        for found in (*before.values(), *after.values()):
            self._source(found)
        self.forks.replace(name, {one.name: one for one in old.forks}, {one.name: one for one in new.forks})

    def _source(self, section: Section) -> None:
        if section.source is not None:
            users = self.by_source.setdefault(section.source, set())
            (users.add if section.name in self.sections.rows else users.discard)(section.name)

    def _chain(self, name: Id, new: Chain | None) -> None:
        old = self.chains.get(name)
        for held in old.names if old else ():
            self._by_name[held].discard(name)
        for held in new.names if new else ():
            self._by_name.setdefault(held, set()).add(name)
        self.touched_chains.add(name)
        self.touched_names.update(old.names if old else (), new.names if new else ())
        self.touched_names.update(host for host, wished in self.named.items() if wished == name)
        _set(self.chains, name, new)


def _on_a_ring(servers: tuple[Server, ...]) -> tuple[Server, ...]:
    """The same proportions in larger numbers: HAProxy gives a server 16 places on a ring for each unit, and few places are unequal shares."""
    if not servers:
        return servers
    times = max(1, min(HEAVIEST // max(1, *(one.weight for one in servers)), RING // len(servers)))
    return tuple(Server(address=one.address, port=one.port, weight=one.weight * times) for one in servers)


K = TypeVar("K")


def _set(table: dict[K, V], key: K, value: V | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
