"""A virtual host to HAProxy's: what its paths lead to as rows of a map, and what these rows name.

Comes in: a host with its routes in order, the backends that they lead to, default limits of time. Goes out: a ``Host``. A row's key is ``<group>/<host><raw prefix>``, or
``<group>/<host><path>/?`` for a whole path (no path of a request holds a ``?``); its value names two targets, for requests that came by HTTP and by HTTPS. A target is a
section, a deal of shares (``w.``) or a fork of conditions (``f.``).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import gcd

from weirkeeper.model.backend import Backend
from weirkeeper.model.filters import Timeouts
from weirkeeper.model.ids import Ref
from weirkeeper.model.match import RegexPath, RouteMatch
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, Route, VirtualHost, WeightedBackend
from weirkeeper.model.text import Id
from weirkeeper.providers.haproxy.translate.conditions import Conditions, conditions
from weirkeeper.providers.haproxy.translate.guards import users
from weirkeeper.providers.haproxy.translate.items import Fork, Host, Section, digest, unique
from weirkeeper.providers.haproxy.translate.paths import places
from weirkeeper.providers.haproxy.translate.quoting import key
from weirkeeper.providers.haproxy.translate.sections import Around, Revoked, forwarding, own_answer, refusing

MISSING, MISDIRECTED, UNDECIDED, UNAVAILABLE = 404, 421, 500, 503
MOST_SHARES = 1000
"""Weights are brought down to at most so many shares in all: each is a row."""
PLAIN = Route(id=Id("asked"), action=Forward(backends=()), origin=Origin(ref=Ref(kind="", name="")))
BackendOf = Callable[[Id], Backend | None]


def host(wished: VirtualHost, backend_of: BackendOf, defaults: Timeouts, revoked: Revoked = lambda _: False) -> Host:
    """Everything that one virtual host needs."""
    made = _Made(backend_of, defaults, revoked)
    found = places(wished.routes)
    prefix = host_key(wished.group, wished.hostname, wished.wildcard_labels)
    rows = {f"{prefix}{path}/?": made.targets(routes) for path, routes in found.exact.items()}
    rows |= {f"{prefix}{raw}": made.targets(routes) for raw, routes in found.prefix.items()}
    return Host(
        routes={key(row): value for row, value in sorted(rows.items())},
        shares=dict(sorted(made.shares.items())),
        users=dict.fromkeys(sorted(made.users), "1"),
        sections=unique(made.sections.values()),
        forks=tuple(fork for _, fork in sorted(made.forks.items())),
    )


def refusing_host(group: str, hostname: str, status: int) -> Host:
    """A host that answers every request with a bare status."""
    section = refusing(status)
    return Host(routes={host_key(group, hostname) + "/": both(section.name)}, sections=(section,))


def host_key(group: str, hostname: str, labels: int | None = 1) -> str:
    """How every row of a host begins. A wildcard that stands for any number of ``labels`` is written with two stars."""
    deep = hostname.startswith("*.") and labels is None
    return f"{group_token(group)}/{'*' if deep else ''}{hostname}"


def group_token(group: str) -> str:
    """A short name for a route group; no host name can run into it."""
    return digest(group)


def both(target: str) -> str:
    """The value of a row that holds for HTTP and HTTPS."""
    return f"{target};{target}"


class _Made:
    """What the rows of one host name, gathered while they are made."""

    def __init__(self, backend_of: BackendOf, defaults: Timeouts, revoked: Revoked) -> None:
        self._backend_of = backend_of
        self._around = Around(defaults, revoked, self._asked_of)
        self.sections: dict[str, Section] = {}
        self.shares: dict[str, str] = {}
        self.forks: dict[str, Fork] = {}
        self.users: set[str] = set()
        self._known: dict[Id, str] = {}

    def targets(self, routes: Sequence[Route]) -> str:
        """The value of the row of a place that these routes cover, in the order of matching."""
        plain = self._target([route for route in routes if route.match.scheme != "https"])
        secure = self._target([route for route in routes if route.match.scheme != "http"])
        return f"{plain};{secure}"

    def _target(self, routes: Iterable[Route]) -> str:
        asked: list[Route] = []
        for route in routes:
            if not _conditional(route.match):
                return self._fork(asked, self._of(route))
            asked.append(route)
        return self._fork(asked, self._section(refusing(MISSING)))

    def _fork(self, asked: Sequence[Route], otherwise: str) -> str:
        if not asked:
            return otherwise
        terms = [conditions(route.match) for route in asked]
        acls = tuple(dict.fromkeys(line for one in terms for line in one.acls))
        rules = tuple(rule for one, route in zip(terms, asked, strict=True) for rule in self._rules(one, route))
        name = "f." + digest(otherwise, *acls, *(text for rule in rules for text in rule))
        self.forks[name] = Fork(name=name, acls=acls, rules=rules, otherwise=otherwise)
        return name

    def _rules(self, asked: Conditions, route: Route) -> Iterator[tuple[str, str]]:
        """The rule of a route, behind one for each expression that could not be decided."""
        for undecided in asked.undecided:
            yield undecided, self._section(refusing(UNDECIDED))
        yield " ".join(asked.terms), self._of(route)

    def _of(self, route: Route) -> str:
        """The target of a route, made once."""
        if route.id not in self._known:
            self.users |= set(users(route))
            action = route.action
            self._known[route.id] = (
                self._forward(route, action)
                if isinstance(action, Forward)
                else self._section(own_answer(route, action, self._around))
            )
        return self._known[route.id]

    def _forward(self, route: Route, forward: Forward) -> str:
        shares = [share for share in forward.backends if share.weight > 0]
        found = []
        for share in shares:
            backend = self._backend_of(share.backend)
            made = refusing(UNAVAILABLE)
            if backend is not None:
                made = forwarding(route, share, backend, self._around)
            found.append((self._section(made), share.weight))
        if len(found) < 2:
            return found[0][0] if found else self._section(refusing(UNAVAILABLE))
        return self._deal(found)

    def _asked_of(self, name: Id) -> tuple[str, Backend] | None:
        """Where a backend is asked: the section of a route without wishes."""
        backend = self._backend_of(name)
        if backend is None:
            return None
        return self._section(forwarding(PLAIN, WeightedBackend(backend=name), backend, self._around)), backend

    def _deal(self, found: Sequence[tuple[str, int]]) -> str:
        name, shares = deal(found)
        self.shares |= shares
        return name

    def _section(self, section: Section) -> str:
        self.sections[section.name] = section
        return section.name


def deal(found: Sequence[tuple[str, int]]) -> tuple[str, dict[str, str]]:
    """The name of a deal, and its rows ``<deal>.<number>``: whose is that share. How many there are stands in the name."""
    weights = reduced([weight for _, weight in found])
    dealt = [name for (name, _), weight in zip(found, weights, strict=True) for _ in range(weight)]
    name = f"w.{len(dealt)}.{digest(*dealt)}"
    return name, {f"{name}.{number}": to for number, to in enumerate(dealt)}


def reduced(weights: Sequence[int]) -> list[int]:
    """The same proportions in numbers that are as small as can be, and at most ``MOST_SHARES`` in all; none becomes nothing."""
    common = gcd(*weights)
    smaller = [weight // common for weight in weights]
    total = sum(smaller)
    if total <= MOST_SHARES:
        return smaller
    return [max(1, round(weight * (MOST_SHARES - len(smaller)) / total)) for weight in smaller]


def _conditional(match: RouteMatch) -> bool:
    beyond = match.methods or match.headers or match.cookies or match.query or match.source or match.host_regex
    return bool(beyond) or isinstance(match.path, RegexPath)
