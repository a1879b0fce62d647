"""What is wished of one NGINX, put together from its items: entries of the dictionary, and what its file needs. Pure, and kept up to date item by item.

Comes in: changes of items. Goes out: entries by key, ports, ways, authorities; and which entries were touched since the last look.
"""

from collections.abc import Mapping

import msgspec

from weirkeeper.model.text import Id
from weirkeeper.providers.base import EngineItem, ItemKey
from weirkeeper.providers.nginx.translate.items import (
    BACKEND,
    BUNDLE,
    CERTIFICATE,
    HOST,
    LED,
    PORT,
    PREFIXES,
    SERVER_NAME,
    Bundle,
    Led,
    Port,
    Way,
    Ways,
    bundle_file,
    certificate_file,
    revoked_file,
)

_WAYS = msgspec.json.Decoder(Ways)


class Assembly:
    """The wishes of one load balancer."""

    def __init__(self) -> None:
        self.items: dict[ItemKey, EngineItem] = {}
        self.entries: dict[str, str] = {}
        """Entries by key: a version, a space, JSON."""
        self.ports: dict[str, Port] = {}
        self.bundles: dict[str, Bundle] = {}
        self.led: dict[ItemKey, Led] = {}
        self.names: dict[str, str] = {}
        """The certificate of each name of TLS."""
        self.touched: set[str] = set()
        self._ways: dict[ItemKey, tuple[Way, ...]] = {}

    def take(self, changes: Mapping[ItemKey, EngineItem | None]) -> None:
        """Change items. One whose body is not known here stays as it was."""
        for key, item in changes.items():
            if item is None or not item.withheld:
                self._put(key, item)

    def _put(self, key: ItemKey, item: EngineItem | None) -> None:
        if item is None:
            self.items.pop(key, None)
        else:
            self.items[key] = item
        self._file(key, item)
        if key.kind in PREFIXES:
            name = entry_key(key)
            self.touched.add(name)
            if item is None:
                self.entries.pop(name, None)
            else:
                self.entries[name] = f"{item.version} {item.whole.decode()}"

    def _file(self, key: ItemKey, item: EngineItem | None) -> None:
        """What the file needs of it."""
        if key.kind == PORT:
            self.ports.pop(key.name, None)
            if item is not None:
                self.ports[key.name] = msgspec.json.decode(item.whole, type=Port)
        elif key.kind == BUNDLE:
            self.bundles.pop(key.name, None)
            if item is not None:
                self.bundles[key.name] = msgspec.json.decode(item.whole, type=Bundle)
        elif key.kind == LED:
            self.led.pop(key, None)
            if item is not None:
                self.led[key] = msgspec.json.decode(item.whole, type=Led)
        elif key.kind == SERVER_NAME:
            self.names.pop(key.name, None)
            if item is not None:
                self.names[key.name] = msgspec.json.decode(item.whole)["certificate"]
        elif key.kind in {HOST, BACKEND}:
            self._ways.pop(key, None)
            if item is not None and b'"ways":' in item.whole and (found := _WAYS.decode(item.whole).ways):
                self._ways[key] = found

    @property
    def ways(self) -> frozenset[Way]:
        """Every way that an entry names."""
        return frozenset(way for many in self._ways.values() for way in many)

    def waits(self, key: ItemKey, known: frozenset[Way]) -> bool:
        """Whether an item needs a way that is not among these."""
        return not known.issuperset(self._ways.get(key, ()))

    @property
    def named(self) -> tuple[tuple[str, str], ...]:
        """Of each name of TLS the certificate, where TLS ends before bytes; nothing where it does not."""
        return tuple(sorted(self.names.items())) if any(one.opened for one in self.led.values()) else ()

    def chains(self) -> dict[str, str]:
        """The files of certificates that are shown before bytes, with their keys."""
        opened = [one.opened for one in self.led.values() if one.opened]
        if not opened:
            return {}
        shown = {*self.names.values(), *(name for one in opened for name in (one.certificate, one.default))}
        found = {}
        for key, item in self.items.items():
            if key.kind == CERTIFICATE and key.name in shown:
                pair = msgspec.json.decode(item.whole)
                found[certificate_file(key.name)] = pair["chain"] + pair["key"]
        return found

    def authorities(self) -> dict[str, str]:
        """The files of authorities and revocations that the file of NGINX may name."""
        found = {}
        for name, bundle in self.bundles.items():
            file = bundle_file(Id(name))
            found[file] = bundle.certificates
            if bundle.revocations:
                found[revoked_file(file)] = bundle.revocations
        return found


def entry_key(key: ItemKey) -> str:
    """The key of an item's entry."""
    return PREFIXES[key.kind] + key.name


def item_of(load_balancer: Id, entry: str) -> ItemKey:
    """The item whose entry has that key."""
    kinds = {prefix: kind for kind, prefix in PREFIXES.items()}
    return ItemKey(load_balancer, kinds[entry[:2]], entry[2:])
