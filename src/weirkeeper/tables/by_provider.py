"""What a provider makes of the composed tables: its own rows, fitted to what it can do, and their translation.

Comes in: the composed tables of all load balancers; what engines refused. Goes out: ``Served``. Which function fits what, and which translates, is said here; what they do, nowhere here.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from weirkeeper.compose.fit import Fit, fit_backend, fit_listener, fit_route, fit_virtual_host
from weirkeeper.compose.l4 import fit_l4_route
from weirkeeper.flow import MANY, Graph, Memo, Read, Table
from weirkeeper.model.backend import Backend
from weirkeeper.model.features import Capabilities
from weirkeeper.model.finding import Finding
from weirkeeper.model.ids import HostKey, Part, ServerName
from weirkeeper.model.listener import Listener
from weirkeeper.model.observation import ItemObservation
from weirkeeper.model.route import Forward, L4Route, Route, VirtualHost
from weirkeeper.model.text import Id
from weirkeeper.providers.base import Composed, EngineItem, ItemKey, Provider
from weirkeeper.status.findings import FindingKey, FindingRow, rejected, rows_by_object

K = TypeVar("K", HostKey, Part, ServerName)
V = TypeVar("V")
Said = Table[FindingKey, tuple[Finding, ...]]


class RejectedItem(NamedTuple):
    """An engine item that an engine refused."""

    provider: str
    key: ItemKey


class Served(NamedTuple):
    """What one provider serves: the composed tables as it can serve them, its engine items, and what is said of both."""

    composed: Composed
    items: Table[ItemKey, EngineItem]
    said: tuple[Said, ...]


class _Fitted(NamedTuple):
    """A listener, backend or L4 route with what fitting it had to say."""

    value: Listener | Backend | L4Route | None
    findings: tuple[Finding, ...]


def serve(
    graph: Graph, every: Composed, provider: Provider, rejections: Table[RejectedItem, ItemObservation], *, alone: bool
) -> Served:
    """Declares what this provider serves; a provider that is ``alone`` serves all load balancers."""
    name, can = provider.name, provider.capabilities
    own = every if alone else _own(graph, every, name)
    listeners = graph.derive(f"{name}.fit_listeners", own.listeners, lambda _, __, v: _fitted(*fit_listener(v, can)))
    backends = graph.derive(f"{name}.fit_backends", own.backends, lambda _, __, v: _fitted(*fit_backend(v, can)))
    l4_routes = graph.derive(f"{name}.fit_l4_routes", own.l4_routes, lambda _, __, v: _fitted(*fit_l4_route(v, can)))
    composed = own._replace(
        listeners=graph.derive(f"{name}.listeners", listeners, lambda _, __, fitted: _only(fitted, Listener)),
        virtual_hosts=_fit_hosts(graph, own.virtual_hosts, backends, name, can),
        backends=graph.derive(f"{name}.backends", backends, lambda _, __, fitted: _only(fitted, Backend)),
        l4_routes=graph.derive(f"{name}.l4_routes", l4_routes, lambda _, __, fitted: _only(fitted, L4Route)),
    )
    items = provider.declare(graph, composed)

    def said(about: str, table: Table[Part, _Fitted]) -> Said:
        return graph.spread(
            f"{name}.{about}_findings", table, lambda _, part, one: rows_by_object(about, str(part), one.findings)
        )

    def of_host(_: Read, key: HostKey, host: VirtualHost) -> Iterator[FindingRow]:
        return rows_by_object("host", str(key), host.findings)

    def refused(read: Read, one: RejectedItem, seen: ItemObservation) -> Iterator[FindingRow]:
        return rejected(read, items, name, one.key, seen) if one.provider == name else iter(())

    return Served(
        composed,
        items,
        (
            graph.spread(f"{name}.host_findings", composed.virtual_hosts, of_host),
            said("listener", listeners),
            said("backend", backends),
            said("l4", l4_routes),
            graph.spread(f"{name}.rejected", rejections, refused),
        ),
    )


def _own(graph: Graph, every: Composed, name: str) -> Composed:
    """The rows of the load balancers that name the provider."""
    fronts = graph.derive(
        f"{name}.load_balancers", every.load_balancers, lambda _, __, front: front if front.provider == name else None
    )

    def of(table: Table[K, V]) -> Table[K, V]:
        return graph.derive(
            f"{name}.own.{table.name}",
            table,
            lambda read, key, value: value if read.contains(fronts, key.load_balancer) else None,
        )

    return Composed(
        load_balancers=fronts,
        listeners=of(every.listeners),
        virtual_hosts=of(every.virtual_hosts),
        backends=of(every.backends),
        endpoint_sets=of(every.endpoint_sets),
        certificates=of(every.certificates),
        server_names=of(every.server_names),
        trust_bundles=of(every.trust_bundles),
        l4_routes=of(every.l4_routes),
    )


def _fit_hosts(
    graph: Graph, hosts: Table[HostKey, VirtualHost], backends: Table[Part, _Fitted], name: str, can: Capabilities
) -> Table[HostKey, VirtualHost]:
    """Virtual hosts as the provider can serve them. Routes to backends that it cannot speak to fail closed."""
    refused = graph.derive(
        f"{name}.refused_backends", backends, lambda _, __, fitted: True if fitted.value is None else None
    )
    fits: Memo[Route, Fit] = Memo(lambda route: fit_route(route, can))

    def fit_host(read: Read, key: HostKey, host: VirtualHost) -> VirtualHost:
        known = fits if len(host.routes) > MANY else None
        fitted = fit_virtual_host(host, can, fits=known)
        bad = [b for b in _backends_of(fitted) if read.contains(refused, Part(key.load_balancer, b))]
        return fit_virtual_host(host, can, frozenset(bad), known) if bad else fitted

    return graph.derive(f"{name}.virtual_hosts", hosts, fit_host)


def _backends_of(host: VirtualHost) -> Iterable[Id]:
    """The backends of its routes, each once."""
    sent = (route.action.backends for route in host.routes if isinstance(route.action, Forward))
    return {weighted.backend: None for backends in sent for weighted in backends}


def _fitted(value: Listener | Backend | L4Route | None, findings: Iterable[Finding]) -> _Fitted:
    return _Fitted(value, tuple(findings))


def _only(fitted: _Fitted, kind: type[V]) -> V | None:
    return fitted.value if isinstance(fitted.value, kind) else None
