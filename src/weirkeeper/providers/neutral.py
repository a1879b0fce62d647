"""Neutral items: what one load balancer is to do, as bytes for agents that translate it themselves. Pure.

Comes in: composed tables, fitted to the provider's capabilities; or the bytes of an item. Goes out: engine items under type URLs of ours; or a row of a composed table, or
why it is none.

An item is JSON, ``{"needs": [...], "value": {...}}``, the value as the model has it. An agent that is older than the control plane reads what it knows: fields that it does not know
are left out, and what must not be left out stands in ``needs``, the features that the value asks of an engine: one that the agent's engine lacks makes it refuse the item. So does a
word that it does not know in place of one that it does. Within ``v1`` no field changes its meaning or its default.
"""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from weirkeeper.compose.needs import needs
from weirkeeper.distribute import kinds
from weirkeeper.distribute.kinds import (
    BACKEND,
    CERTIFICATE,
    ENDPOINT_SET,
    L4_ROUTE,
    LISTENER,
    LOAD_BALANCER,
    SHOWN_FOR,
    TRUST_BUNDLE,
    VIRTUAL_HOST,
)
from weirkeeper.flow import Graph, Read, Source, Table
from weirkeeper.model.backend import Backend, FromDns
from weirkeeper.model.certificate import Certificate, TrustBundle
from weirkeeper.model.config import NOTHING_STARTED, LoadBalancer
from weirkeeper.model.endpoint import EndpointSet
from weirkeeper.model.features import Capabilities
from weirkeeper.model.ids import HostKey, Part, ServerName
from weirkeeper.model.listener import Listener
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, L4Route, VirtualHost
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import Digest, Hostname, Id
from weirkeeper.model.value import Value
from weirkeeper.providers.base import Composed, EngineItem, ItemKey, Row

V = TypeVar("V", bound=Value)


class Named(Value, frozen=True, kw_only=True):
    """Which certificate is shown for a name."""

    certificate: Id


TYPES: Mapping[str, type[Value]] = {
    LOAD_BALANCER: LoadBalancer, TRUST_BUNDLE: TrustBundle, CERTIFICATE: Certificate, SHOWN_FOR: Named, ENDPOINT_SET: EndpointSet,
    BACKEND: Backend, VIRTUAL_HOST: VirtualHost, LISTENER: Listener, L4_ROUTE: L4Route,
}  # fmt: skip


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    value: msgspec.Raw
    needs: tuple[str, ...] = ()


class NotUnderstood(NamedTuple):
    """Why an item cannot be taken."""

    why: str


class Told(NamedTuple):
    """A row of a composed table; the value is None where it is gone."""

    key: Hashable
    value: Any


# Written


def declare(graph: Graph, composed: Composed, name: str) -> Table[ItemKey, EngineItem]:
    """The neutral items of a provider's load balancers."""

    def table(kind: str, source: Table[Any, V], **how: Any) -> Table[ItemKey, EngineItem]:
        return graph.spread(f"{name}/{kind.rpartition('.')[2]}", source, _spread(kind, **how))

    def needed(read: Read, key: HostKey, host: VirtualHost) -> Iterator[tuple[str, str]]:
        """What an older form of a host stands on stays while it stands in for a newer one."""
        return stands_on(read, key.load_balancer, dict.fromkeys(_backends_of(host)))

    def l4_needed(read: Read, key: Part, route: L4Route) -> Iterator[tuple[str, str]]:
        return stands_on(read, key.load_balancer, dict.fromkeys(share.backend for share in route.forward.backends))

    def stands_on(read: Read, load_balancer: Id, backends: Iterable[Id]) -> Iterator[tuple[str, str]]:
        for backend in backends:
            yield BACKEND, backend
            found = read.get(composed.backends, Part(load_balancer, backend))
            if found is not None and not isinstance(found.source, FromDns):
                yield ENDPOINT_SET, found.source.id

    tables = [
        table(LOAD_BALANCER, composed.load_balancers, of=lambda key: (key, key), form=_front),
        table(TRUST_BUNDLE, composed.trust_bundles),
        table(CERTIFICATE, composed.certificates, private=True),
        table(ENDPOINT_SET, composed.endpoint_sets),
        table(BACKEND, composed.backends),
        table(VIRTUAL_HOST, composed.virtual_hosts, of=_of_host, form=_host, private=True, needed=needed),
        table(LISTENER, composed.listeners),
        table(L4_ROUTE, composed.l4_routes, needed=l4_needed),
        graph.spread(f"{name}/ServerName", composed.server_names, _server_name),
    ]
    return graph.union(f"{name}/items", tables)


def encoded(value: Value) -> bytes:
    """The bytes of an item."""
    asked = tuple(dict.fromkeys(feature for feature, _ in needs(value)))
    return msgspec.json.encode(_Envelope(needs=asked, value=msgspec.Raw(_value(value))))


def _value(value: Value) -> bytes:
    return msgspec.json.encode(value, enc_hook=_opened)


def _opened(value: object) -> object:
    if isinstance(value, Secret):
        return value.open()
    raise NotImplementedError(type(value).__name__)


def _spread(
    kind: str,
    *,
    of: Callable[[Any], tuple[Id, str]] = lambda key: (key.load_balancer, key.id),
    form: Callable[[Any], Value] = lambda value: value,
    private: bool = False,
    needed: Callable[[Read, Any, Any], Iterator[tuple[str, str]]] = lambda *_: iter(()),
) -> Callable[[Read, Any, Any], Iterator[Row]]:
    def rows(read: Read, key: Any, value: Any) -> Iterator[Row]:
        load_balancer, name = of(key)
        body = encoded(form(value))
        yield _item(ItemKey(load_balancer, kind, name), body, _origins(value), tuple(needed(read, key, value)), private)

    return rows


def _server_name(_: Read, key: ServerName, certificate: Id) -> Iterator[Row]:
    yield _item(
        ItemKey(key.load_balancer, SHOWN_FOR, key.hostname), encoded(Named(certificate=certificate)), (), (), False
    )


def _item(
    key: ItemKey, body: bytes, origins: tuple[Origin, ...], needed: Sequence[tuple[str, str]], private: bool
) -> Row:
    version = Digest(hashlib.blake2b(body, digest_size=12).hexdigest())
    return key, EngineItem(body=body, version=version, origins=origins, needs=tuple(needed), private=private)


def _front(front: LoadBalancer) -> LoadBalancer:
    """Without what is nobody's business beside an engine."""
    return msgspec.structs.replace(front, infrastructure=NOTHING_STARTED, published=None)


def _host(host: VirtualHost) -> VirtualHost:
    return msgspec.structs.replace(host, findings=()) if host.findings else host


def _of_host(key: HostKey) -> tuple[Id, str]:
    return key.load_balancer, f"{key.group}|{key.hostname}"


def _origins(value: Any) -> tuple[Origin, ...]:
    if isinstance(value, VirtualHost):
        return value.origins or tuple(dict.fromkeys(route.origin for route in value.routes))
    many: tuple[Origin, ...] = getattr(value, "origins", ())
    one: Origin | None = getattr(value, "origin", None)
    return many or (() if one is None else (one,))


def _backends_of(host: VirtualHost) -> Iterator[Id]:
    for route in host.routes:
        if isinstance(route.action, Forward):
            yield from (share.backend for share in route.action.backends)


# Read


def sources(graph: Graph) -> Composed:
    """Input tables for neutral items, as a provider's translations read them."""
    return Composed(*(graph.source(f"told/{name}") for name in Composed._fields))


def table_of(composed: Composed, kind: str) -> Source[Any, Any]:
    """The table that items of this kind are rows of."""
    places: Mapping[str, Table[Any, Any]] = {
        LOAD_BALANCER: composed.load_balancers, TRUST_BUNDLE: composed.trust_bundles, CERTIFICATE: composed.certificates,
        SHOWN_FOR: composed.server_names, ENDPOINT_SET: composed.endpoint_sets, BACKEND: composed.backends,
        VIRTUAL_HOST: composed.virtual_hosts, LISTENER: composed.listeners,
        L4_ROUTE: composed.l4_routes,
    }  # fmt: skip
    found = places[kind]
    assert isinstance(found, Source)
    return found


def key_of(load_balancer: Id, kind: str, name: str) -> Hashable:
    """The row's key, out of an item's name."""
    match kind:
        case kinds.LOAD_BALANCER:
            return Id(name)
        case kinds.SHOWN_FOR:
            return ServerName(load_balancer, Hostname(name))
        case kinds.VIRTUAL_HOST:
            group, _, hostname = name.rpartition("|")
            return HostKey(load_balancer, Id(group), Hostname(hostname))
        case _:
            return Part(load_balancer, Id(name))


def read(load_balancer: Id, kind: str, name: str, body: bytes, can: Capabilities) -> Told | NotUnderstood:
    """The row that an item is, for an engine that can do this."""
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        lacked = sorted(feature for feature in envelope.needs if can.lacks(feature))
        if lacked:
            return NotUnderstood(f"{can.engine} as this agent knows it cannot do {', '.join(lacked)}")
        value = _known(envelope.value, TYPES[kind])
    except (msgspec.DecodeError, ValueError) as error:
        return NotUnderstood(f"this agent does not understand it: {error}")
    return Told(key_of(load_balancer, kind, name), value.certificate if isinstance(value, Named) else value)


def _known(raw: msgspec.Raw, kind: type[V]) -> V:
    """The value; where it has fields that this version of ours does not know, without them."""
    try:
        return msgspec.json.decode(raw, type=kind, dec_hook=_closed)
    except msgspec.ValidationError:
        return msgspec.convert(_pruned(msgspec.json.decode(raw), kind), kind, dec_hook=_closed)


def _closed(kind: type, text: object) -> Any:
    if kind is Secret and isinstance(text, str):
        return Secret(text)
    raise NotImplementedError(kind.__name__)


def _pruned(value: object, hint: Any) -> object:
    """Without the fields that the types do not have. Whatever else is wrong stays as it is."""
    options = get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
    structs = [one for one in options if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    if isinstance(value, dict):
        found = _meant(value, structs)
        return value if found is None else _without_strangers(value, found)
    if isinstance(value, list):
        row = next((one for one in structs if one.__struct_config__.array_like), None)
        if row is not None:
            hints = get_type_hints(row)
            return [_pruned(part, hints[name]) for part, name in zip(value, row.__struct_fields__, strict=False)]
        item = next((get_args(one)[0] for one in options if get_origin(one) is tuple), None)
        return [_pruned(part, item) for part in value]
    return value


def _without_strangers(value: dict[str, object], kind: type[msgspec.Struct]) -> dict[str, object]:
    hints = get_type_hints(kind)
    tag = kind.__struct_config__.tag_field
    return {
        word: part if word == tag else _pruned(part, hints[word])
        for word, part in value.items()
        if word == tag or word in hints
    }


def _meant(value: Mapping[str, object], structs: Sequence[type[msgspec.Struct]]) -> type[msgspec.Struct] | None:
    """The struct among the types of a place that this mapping is."""
    for one in structs:
        config = one.__struct_config__
        if config.tag_field is None or value.get(config.tag_field) == config.tag:
            return one
    return None
