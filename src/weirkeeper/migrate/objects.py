"""The manifests of one front: its Gateway with listeners, the routes at them, and the consents that their references need.

Comes in: a ``Front`` and what was chosen. Goes out: manifests as plain values, in the order in which they are to be applied. Routes live where their Ingress does; the Gateway lives in
one namespace, and reaches certificates elsewhere by ReferenceGrants.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from weirkeeper.controllers.shared.hostnames import ANY
from weirkeeper.migrate.backends import GROUP, V1, Backends
from weirkeeper.migrate.choices import Choices
from weirkeeper.migrate.hosts import Placed, out_of_order, placed
from weirkeeper.migrate.matches import swap_of_route
from weirkeeper.migrate.names import Names, host_word
from weirkeeper.migrate.notes import Aspect, Notes, Outcome
from weirkeeper.migrate.rules import Rule, Writer
from weirkeeper.migrate.sections import MOST, Section, Sections, sections_of, secure_sections
from weirkeeper.migrate.source import INGRESS, Front, refs_of
from weirkeeper.model.ids import Ref
from weirkeeper.model.match import PathMatch, RegexPath, SegmentPrefix
from weirkeeper.model.route import L4Route, Route
from weirkeeper.model.text import Hostname, PathText, Refused

Json = dict[str, Any]
MOST_RULES, MOST_MATCHES, MOST_TOGETHER, MOST_PARENTS, MOST_GRANTED = 16, 64, 128, 32, 16
NAME_LABEL = "kubernetes.io/metadata.name"


class FrontObjects:
    """The manifests of a front; lives for one call."""

    def __init__(self, front: Front, choices: Choices, backends: Backends, names: Names, notes: Notes) -> None:
        self._front, self._choices, self._backends, self._names, self._notes = front, choices, backends, names, notes
        self.namespace = front.only or choices.namespace or _sole(front.namespaces)
        self.gateway = names.new((self.namespace, "Gateway"), front.name)
        self._writer = Writer(backends, notes, choices.channel)
        self._sections: Sections = sections_of(front, names)
        self._sets = self._split()
        self._used: set[str] = set()
        self._homes: set[str] = set()
        self.made: dict[Ref, dict[str, None]] = {}
        """What was made of each object."""

    def all(self, gateway_class: str) -> list[Json]:
        """Everything, in the order of applying."""
        routes = [*self._http_routes(), *self._stream_routes()]
        return [*self._gateways(gateway_class), *self._grants(), *self._backends.objects, *routes]

    # Gateways

    def _split(self) -> dict[str, str]:
        """The ListenerSet of each listener that the Gateway has no room for."""
        found, rest = {}, self._sections.all[MOST:]
        for i in range(0, len(rest), MOST):
            name = self._names.new((self.namespace, "ListenerSet"), self.gateway, f"more-{i // MOST + 1:02}")
            found.update({one.name: name for one in rest[i : i + MOST]})
        return found

    def _gateways(self, gateway_class: str) -> Iterator[Json]:
        kept = [one for one in self._sections.all if one.name in self._used]
        spec: Json = {
            "gatewayClassName": gateway_class,
            "listeners": [self._listener(one) for one in kept if one.name not in self._sets],
        }
        if any(one.name in self._sets for one in kept):
            spec["allowedListeners"] = {"namespaces": {"from": "Same"}}
        if not spec["listeners"]:
            return
        yield {"apiVersion": V1, "kind": "Gateway", "metadata": self._metadata(self.gateway), "spec": spec}
        for name in dict.fromkeys(self._sets.values()):
            listeners = [self._listener(one) for one in kept if self._sets.get(one.name) == name]
            if listeners:
                parent = {"group": GROUP, "kind": "Gateway", "name": self.gateway}
                yield {
                    "apiVersion": V1,
                    "kind": "ListenerSet",
                    "metadata": self._metadata(name),
                    "spec": {"parentRef": parent, "listeners": listeners},
                }

    def _metadata(self, name: str) -> Json:
        return {"name": name, "namespace": self.namespace}

    def _listener(self, one: Section) -> Json:
        tls: Json = {}
        if one.secret is not None:
            where = {} if one.secret.namespace == self.namespace else {"namespace": one.secret.namespace}
            tls = {
                "tls": {
                    "mode": "Terminate",
                    "certificateRefs": [{"group": "", "kind": "Secret", "name": one.secret.name, **where}],
                }
            }
        elif one.mode:
            tls = {"tls": {"mode": one.mode}}
        host = {} if one.hostname == ANY else {"hostname": str(one.hostname)}
        return {
            "name": one.name,
            "port": one.port,
            "protocol": one.protocol,
            **host,
            **tls,
            "allowedRoutes": {"namespaces": self._allowed()},
        }

    def _allowed(self) -> Json:
        if self._homes <= {self.namespace}:
            return {"from": "Same"}
        chosen = {"key": NAME_LABEL, "operator": "In", "values": sorted(self._homes)}
        return {"from": "Selector", "selector": {"matchExpressions": [chosen]}}

    # Consents

    def _grants(self) -> Iterator[Json]:
        wished: dict[tuple[str, str, str], dict[tuple[str, str], None]] = {}
        for one in self._sections.all:
            if one.secret is not None and one.name in self._used and one.secret.namespace != self.namespace:
                kind = "ListenerSet" if one.name in self._sets else "Gateway"
                wished.setdefault((one.secret.namespace, kind, self.namespace), {})["Secret", one.secret.name] = None
        for namespace, service in self._backends.crossings:
            wished.setdefault((service.namespace, "HTTPRoute", namespace), {})["Service", service.name] = None
        for (home, kind, namespace), to in sorted(wished.items()):
            listed = sorted(to)
            for i in range(0, len(listed), MOST_GRANTED):
                name = self._names.new((home, "ReferenceGrant"), self.gateway, f"{kind.lower()}s", namespace)
                yield {
                    "apiVersion": V1, "kind": "ReferenceGrant", "metadata": {"name": name, "namespace": home},
                    "spec": {
                        "from": [{"group": GROUP, "kind": kind, "namespace": namespace}],
                        "to": [{"group": "", "kind": of, "name": named} for of, named in listed[i : i + MOST_GRANTED]],
                    },
                }  # fmt: skip

    # Routes of HTTP

    def _http_routes(self) -> Iterator[Json]:
        hosts = self._front.hosts
        single: dict[Ref, set[Hostname]] = {}
        for host, one in hosts.items():
            for route in (*one.routes, *one.guarded):
                single.setdefault(route.origin.ref, set()).add(host)
        for host, one in hosts.items():
            secure = secure_sections(host, self._sections, hosts)
            at = {"http": [self._sections.plain] if self._sections.plain else [], "https": secure}
            self._tell_wildcard(host, one.routes)
            written = self._written(placed(one, bool(secure), self._sections.plain is not None))
            for (owner, home, schemes), rules in written.items():
                suffix = _suffix(schemes, rules, [key[2] for key in written if key[:2] == (owner, home)])
                name = [owner.name, "" if len(single[owner]) == 1 else host_word(host), suffix]
                sections = [section for scheme in sorted(schemes) for section in at[scheme]]
                yield from self._chunks(home, name, host, sections, rules)

    def _tell_wildcard(self, host: Hostname, routes: Iterable[Route]) -> None:
        if host.startswith("*."):
            about = dict.fromkeys(one.origin.ref for one in routes if one.origin.ref.kind == INGRESS)
            self._notes.tell(
                about,
                Aspect.HOSTS,
                Outcome.DIFFERS,
                f"hostname {host}",
                "the asterisk stands for any number of labels, not for one",
            )

    def _written(self, routes: Sequence[Placed]) -> dict[tuple[Ref, str, frozenset[str]], list[Rule]]:
        """The rules of a host by owner, namespace and schemes."""
        found: dict[tuple[Ref, str, frozenset[str]], list[Rule]] = {}
        moved: dict[str, list[tuple[Route, PathMatch]]] = {}
        seen: set[tuple[str, bytes]] = set()
        literal = any(swap_of_route(one.route) is not None for one in routes)
        for one in routes:
            owner, home = one.route.origin.ref, self._home(one.route)
            if one.guarded:
                self._tell_guarded(one.route)
            rule = self._writer.rule(one.route, home, closed=one.guarded, literal=literal)
            if rule is None:
                continue
            said = msgspec.json.encode(rule.match)
            schemes = frozenset(scheme for scheme in one.schemes if (scheme, said) not in seen)
            if not schemes:
                why = f"{one.route.match.path.value} is left out: an earlier path says the same now, as an expression became a prefix"
                self._notes.tell(refs_of(one.route), Aspect.ORDER, Outcome.DIFFERS, why=why)
                continue
            for scheme in schemes:
                seen.add((scheme, said))
                moved.setdefault(scheme, []).append((one.route, _written_path(rule, one.route)))
            found.setdefault((owner, home, schemes), []).append(rule)
        for rows in moved.values() if literal else ():
            for route in out_of_order(rows):
                why = f"of the paths that begin like {route.match.path.value} others may go first now, as an expression became a prefix"
                self._notes.tell(refs_of(route), Aspect.ORDER, Outcome.DIFFERS, "order by the length of prefixes", why)
        return found

    def _tell_guarded(self, route: Route) -> None:
        why = "Gateway API asks for client certificates at all of a port, not for one host; its requests by HTTPS are answered 500"
        remedy = "give the host a Gateway of its own with spec.tls.frontend.default.validation"
        self._notes.tell(refs_of(route), Aspect.CLIENT_CERTIFICATES, Outcome.CLOSED, why=why, remedy=remedy)

    def _home(self, route: Route) -> str:
        """The namespace of a route: its Ingress's, and for the default backend of a class that of its Service."""
        if route.origin.ref.namespace:
            return route.origin.ref.namespace
        names = [one.backend for one in getattr(route.action, "backends", ())]
        services = [
            one.ref.namespace
            for name in names
            for one in self._front.backends[name].origins
            if one.ref.kind == "Service"
        ]
        return services[0] if services else self.namespace

    def _chunks(
        self, home: str, name: Sequence[str], host: Hostname, sections: Sequence[Section], rules: Sequence[Rule]
    ) -> Iterator[Json]:
        packed = _packed(rules)
        self._used |= {one.name for one in sections}
        self._homes.add(home)
        parts = [(parents, some) for parents in _in_parts(sections, MOST_PARENTS) for some in packed]
        for number, (parents, some) in enumerate(parts, start=1):
            legal = self._names.new((home, "HTTPRoute"), *name, f"{number:02}" if len(parts) > 1 else "")
            hostnames = {} if host == ANY else {"hostnames": [str(host)]}
            for owner in dict.fromkeys(one for rule in rules for one in rule.owners):
                self.made.setdefault(owner, {})[f"HTTPRoute {home}/{legal}"] = None
            yield {
                "apiVersion": V1, "kind": "HTTPRoute", "metadata": {"name": legal, "namespace": home},
                "spec": {"parentRefs": [self._parent(one, home) for one in parents], **hostnames, "rules": some},
            }  # fmt: skip

    def _parent(self, one: Section, home: str) -> Json:
        kept = self._sets.get(one.name)
        kind = {"group": GROUP, "kind": "ListenerSet", "name": kept} if kept else {"name": self.gateway}
        return {**kind, **({} if home == self.namespace else {"namespace": self.namespace}), "sectionName": one.name}

    # Routes of bytes

    def _stream_routes(self) -> Iterator[Json]:
        listeners = {one.id: one for one in self._front.listeners}
        for route in self._front.streams:
            listener = listeners[route.listener]
            kind = (
                "TLSRoute" if route.tls == "passthrough" else "UDPRoute" if listener.protocol == "udp" else "TCPRoute"
            )
            home, about = self._stream_home(route), [route.origin.ref]
            aspect = Aspect.PASSTHROUGH if kind == "TLSRoute" else Aspect.STREAMS
            references = [self._backends.reference(one.backend, home, about) for one in route.forward.backends]
            wrong = next((one for one in references if isinstance(one, Refused)), None)
            if wrong is not None or not references:
                why = f"it leads nowhere{'' if wrong is None else ': ' + wrong.why}"
                self._notes.tell(
                    about, aspect, Outcome.LOST, why=why, remedy="weir check says what is wrong with the backend"
                )
                continue
            at = [
                one
                for one in self._sections.streams
                if (
                    one.hostname in route.sni
                    if route.tls
                    else one.port == listener.port and one.protocol[:3].lower() == listener.protocol
                )
            ]
            self._used |= {one.name for one in at}
            self._homes.add(home)
            told = [*route.sni] if route.tls else [str(listener.port)]
            name = self._names.new((home, kind), route.origin.ref.name, *(host_word(one) for one in told))
            self._notes.tell(about, aspect, Outcome.TRANSLATED, f"{kind} {home}/{name}")
            self.made.setdefault(route.origin.ref, {})[f"{kind} {home}/{name}"] = None
            hosts = {"hostnames": [str(one) for one in route.sni]} if route.tls else {}
            yield {
                "apiVersion": V1, "kind": kind, "metadata": {"name": name, "namespace": home},
                "spec": {"parentRefs": [self._parent(one, home) for one in at], **hosts, "rules": [{"backendRefs": references}]},
            }  # fmt: skip

    def _stream_home(self, route: L4Route) -> str:
        """The namespace of the Ingress, or of the Service that a list of ports leads to."""
        if route.origin.ref.kind == INGRESS or not route.forward.backends:
            return route.origin.ref.namespace or self.namespace
        origins = self._front.backends[route.forward.backends[0].backend].origins
        return next((one.ref.namespace for one in origins if one.ref.kind == "Service"), self.namespace)


def _written_path(rule: Rule, route: Route) -> PathMatch:
    """The path as it stands in the rule: its length decides the order."""
    path = route.match.path
    if not isinstance(path, RegexPath):
        return path
    value = rule.match["path"]["value"]
    prefixed = rule.match["path"]["type"] == "PathPrefix"
    return SegmentPrefix(value=PathText(value)) if prefixed else msgspec.structs.replace(path, value=value)


def _sole(namespaces: Sequence[str]) -> str:
    return namespaces[0] if len(namespaces) == 1 else "default"


def _suffix(schemes: frozenset[str], rules: Sequence[Rule], of_owner: Iterable[frozenset[str]]) -> str:
    """What tells the routes of one Ingress and host apart: those that HTTPS alone has are the main ones, where there are any."""
    if schemes == min(of_owner, key=lambda one: ("https" not in one, len(one))):
        return ""
    redirects = all(any(one["type"] == "RequestRedirect" for one in rule.body.get("filters", ())) for rule in rules)
    return "both" if len(schemes) > 1 else "redirect" if redirects else "http"


def _packed(rules: Sequence[Rule]) -> list[list[Json]]:
    """Rules for as many routes as they need. Those that do the same and ask for nothing but paths become one; the others keep their order, which decides between equals."""
    joined: list[tuple[Json, list[Json], bool]] = []
    for rule in rules:
        same = next(
            (
                one
                for one in joined
                if rule.plain
                and one[2]
                and one[0] == rule.body
                and len(one[1]) < MOST_MATCHES
                and not _prefixed(rule.body)
            ),
            None,
        )
        if same is not None:
            same[1].append(rule.match)
        else:
            joined.append((rule.body, [rule.match], rule.plain))
    found: list[list[Json]] = []
    room = 0
    for body, matches, _ in joined:
        if not found or len(found[-1]) == MOST_RULES or room < len(matches):
            found.append([])
            room = MOST_TOGETHER
        room -= len(matches)
        found[-1].append({"matches": matches, **body})
    return found


def _prefixed(body: Json) -> bool:
    """Whether a filter replaces the prefix of the one match that such a rule may have."""
    paths = [one.get("urlRewrite", one.get("requestRedirect", {})).get("path", {}) for one in body.get("filters", ())]
    return any(path.get("type") == "ReplacePrefixMatch" for path in paths)


def _in_parts(sections: Sequence[Section], most: int) -> list[Sequence[Section]]:
    return [sections[i : i + most] for i in range(0, len(sections), most)]
