"""Every string of the corpus at every text of a route and a backend: the configuration keeps its words, one for one, and HAProxy takes it.

*Structure*: an independent reader finds the same lines with the same number of words; the words that differ are those that hold the text. *Engine*: one file with all of
them is checked by HAProxy itself. *Socket*: the same for what is said on the runtime socket.
"""

import ipaddress
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from corpus import corpus
from leaves import Leaf, leaves, replaced
from reader import commands, words

from weirkeeper.model.backend import Backend, BackendTls, ConsistentHash, FromDns, FromEndpointSet, HealthCheck
from weirkeeper.model.filters import (
    BasicAuth,
    CookieAffinity,
    Cors,
    Credentials,
    FullPath,
    HashOn,
    HeaderEdit,
    HeaderValuePair,
    IpRules,
    LocalRateLimit,
    LocationRewrite,
    PrefixPath,
    Timeouts,
    UrlRewrite,
)
from weirkeeper.model.ids import Ref
from weirkeeper.model.match import (
    BeginsWith,
    Contains,
    CookieMatch,
    Exactly,
    ExactPath,
    HeaderMatch,
    QueryExactly,
    QueryMatch,
    RouteMatch,
    SegmentPrefix,
    StringPrefix,
)
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, Redirect, Respond, Route, VirtualHost, WeightedBackend
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import Cidr, Method, Refused, WebOrigin, parse
from weirkeeper.providers.base import ItemKey
from weirkeeper.providers.haproxy.assembly import Assembly
from weirkeeper.providers.haproxy.binary import haproxy_binary
from weirkeeper.providers.haproxy.files import files
from weirkeeper.providers.haproxy.held import held_of
from weirkeeper.providers.haproxy.plan import plan
from weirkeeper.providers.haproxy.translate import hosts, items
from weirkeeper.providers.haproxy.translate.items import Endpoints, Host, Port, Server, item
from weirkeeper.providers.haproxy.translate.skeleton import Frame

CORPUS = corpus()
EDIT: Any = HeaderEdit(
    set=(HeaderValuePair(name="X-Set", value="v"),), add=(HeaderValuePair(name="X-Add", value="v"),), remove=("X-Gone",)
)  # type: ignore[arg-type]
SHA = Secret("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=")
FIELDS: dict[str, dict[str, Any]] = {
    "filters": {
        "match": RouteMatch(
            path=ExactPath(value="/exact"),
            methods=("GET", "PUT"),
            cookies=(CookieMatch(name="c", value="v"),),
            query=(QueryMatch(name="q", match=QueryExactly(value="v")),),
            source=("10.0.0.0/8",),
        ),  # type: ignore[arg-type]
        "request_headers": EDIT,
        "response_headers": EDIT,
        "rewrite": UrlRewrite(host="h.example", path=FullPath(value="/full")),  # type: ignore[arg-type]
        "forwarded_prefix": "/pre",
        "ip_rules": IpRules(allow=("10.0.0.0/8",), deny=("10.1.0.0/16",)),  # type: ignore[arg-type]
        "affinity": CookieAffinity(name="stay", path="/p", domain="d.example"),  # type: ignore[arg-type]
        "rate_limits": (LocalRateLimit(amount=1, per=1000, burst=1),),  # type: ignore[arg-type]
        "location_rewrites": (LocationRewrite(old="http://in/", new="/out"),),  # type: ignore[arg-type]
    },
    "origins": {"cors": Cors(origins=("https://o.example",), methods=("GET",), headers=("X-A",), exposed=("X-B",))},  # type: ignore[arg-type]
    "hashed": {"affinity": HashOn(on="header", name="X-User")},  # type: ignore[arg-type]
    "passwords": {"auth": (BasicAuth(users=(Credentials(user="ann", hash=SHA),), realm="shop"),)},  # type: ignore[arg-type]
    "prefix": {
        "match": RouteMatch(path=SegmentPrefix(value="/a")),  # type: ignore[arg-type]
        "rewrite": UrlRewrite(path=PrefixPath(value="/b")),  # type: ignore[arg-type]
    },
    "letters": {"match": RouteMatch(path=StringPrefix(value="/a"))},  # type: ignore[arg-type]
    "exactly": {"match": RouteMatch(headers=(HeaderMatch(name="X-A", match=Exactly(value="v")),))},  # type: ignore[arg-type]
    "contains": {"match": RouteMatch(headers=(HeaderMatch(name="X-A", match=Contains(value="v")),))},  # type: ignore[arg-type]
    "begins": {"match": RouteMatch(headers=(HeaderMatch(name="X-A", match=BeginsWith(value="v")),))},  # type: ignore[arg-type]
    "redirect": {"action": Redirect(scheme="https", host="r.example", path=FullPath(value="/to"), status=301)},  # type: ignore[arg-type]
    "redirect prefix": {
        "match": RouteMatch(path=SegmentPrefix(value="/a")),  # type: ignore[arg-type]
        "action": Redirect(path=PrefixPath(value="/to")),  # type: ignore[arg-type]
    },
    "redirect to": {"action": Redirect(to="https://x.example/y", status=302)},  # type: ignore[arg-type]
    "respond": {"action": Respond(status=200, body="hello", content_type="text/x-said")},  # type: ignore[arg-type]
}
ORIGIN = Origin(ref=Ref(kind="Ingress", namespace="d", name="n"))
FORWARD: Any = Forward(backends=(WeightedBackend(backend="b", request_headers=EDIT, response_headers=EDIT),))  # type: ignore[arg-type]
ROUTES = {name: Route(id="r", origin=ORIGIN, **({"action": FORWARD} | fields)) for name, fields in FIELDS.items()}  # type: ignore[arg-type]
BACKENDS: dict[str, Backend] = {
    "members": Backend(
        id="b",
        source=FromEndpointSet(id="b"),
        balancing=ConsistentHash(),
        health=HealthCheck(path="/health", host="h.example"),
        tls=BackendTls(server_name="s.example", system_trust=True, verify=True, san_dns=("s.example",), ciphers=("AES",)),
    ),  # type: ignore[arg-type]
    "dns": Backend(id="b", source=FromDns(name="d.example", port=80)),  # type: ignore[arg-type]
}
PLAIN = Backend(id="b", source=FromEndpointSet(id="b"), balancing=ConsistentHash())  # type: ignore[arg-type]
PLACES = [("route", name, leaf) for name, one in ROUTES.items() for leaf in leaves(one)]
PLACES += [("backend", name, leaf) for name, one in BACKENDS.items() for leaf in leaves(one)]
PLACES = [place for place in PLACES if str(place[2]) != "rate_limits.0.key"]  # another key than the address is refused, and never written
FIRST = {place[2].kind: place for place in reversed(PLACES)}
A_FEW = 20
"""Each type gets the whole corpus at one place, and about so many of its strings at each of its other places."""
PORT = Port(port=8080, binds=("127.0.0.1:8080",), group=hosts.group_token("g"))


def made(place: tuple[str, str, Leaf], text: str | None = None) -> Host:
    """The host with that text at that place."""
    what, name, leaf = place
    route, backend = (ROUTES[name], PLAIN) if what == "route" else (ROUTES["hashed"], BACKENDS[name])
    if text is not None and what == "route":
        route = replaced(route, leaf.path, text)
    elif text is not None:
        backend = replaced(backend, leaf.path, text)
    wished = VirtualHost(id="v", load_balancer="l", group="g", hostname="h.example", routes=(route,))  # type: ignore[arg-type]
    return hosts.host(wished, lambda _: backend, Timeouts())


def texts(place: tuple[str, str, Leaf]) -> list[str]:
    """The strings of the corpus that may stand there."""
    fitting = [text for text in CORPUS if not isinstance(parse(place[2].kind, text), Refused) and _meant(place[2], text)]  # type: ignore[type-var]
    return fitting if FIRST[place[2].kind] == place else fitting[:: max(len(fitting) // A_FEW, 1)]


def _meant(leaf: Leaf, text: str) -> bool:
    if str(leaf) == "match.path.value" and text.endswith("/"):
        return False  # a segment prefix ends without a slash
    if leaf.kind is WebOrigin:
        return "*" not in text  # it means any characters there
    if leaf.kind is Cidr:
        try:
            return bool(ipaddress.ip_network(text, strict=False))
        except ValueError:
            return False
    return True


def sketch(found: Host) -> list[list[str]]:
    """Every line in its words: ACLs, rules, sections, keywords of servers."""
    lines = [line for fork in found.forks for line in fork.acls]
    lines += [line for section in found.sections for line in section.lines]
    read = [words(line) for line in sorted(lines, key=_kind)]
    read += [["server", *section.keywords] for section in found.sections]
    return read + [["named", *(str(part) for part in section.named)] for section in found.sections if section.named]


def _kind(line: str) -> str:
    """What stays of a line whatever the text: ACLs are named after their content."""
    return line.partition(" ")[0]


def counts(read: list[list[str]]) -> list[tuple[str, int]]:
    return sorted((line[0], len(line)) for line in read)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place[1]}-{place[2]}")
def test_no_text_changes_the_structure(place: tuple[str, str, Leaf]) -> None:
    before = counts(sketch(made(place, "/another" if str(place[2]) == "match.path.value" else None)))
    tried = 0
    for text in texts(place):
        read = sketch(made(place, text))
        after = counts(read)
        if str(place[2]).startswith("affinity.") and set(text) & set("*;"):
            continue  # no attribute of a cookie holds them: a part of the text is left out
        if text:  # an edit to nothing at all may be written in another way
            assert len(after) in {len(before), len(before) + 1}, text
            assert {count for _, count in after} <= {count for _, count in before} | {count + 1 for _, count in before}, text
        flat = [word for line in read for word in line]
        assert not {"frontend", "backend", "listen", "global", "defaults"} & {line[0] for line in read}, text
        assert any(_shows(word, text) for word in flat) or _elsewhere(place, made(place, text), text), (text, read)
        tried += 1
    assert tried > 0 or place[2].kind is Method


def _shows(word: str, text: str) -> bool:
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    plain = text.rstrip("/") or "/"
    return any(one in word or one in word.replace("%%", "%") for one in (text, inner, plain))


def _elsewhere(place: tuple[str, str, Leaf], found: Host, text: str) -> bool:
    """Whether the text is a key of a map instead, or a path that only its length is needed of."""
    return any(text.rstrip("/") in row for row in (*found.routes, *found.users)) or str(place[2]).startswith("match.path")


def _everything() -> Iterator[Host]:
    for place in PLACES:
        for text in texts(place):
            yield made(place, text)


@pytest.mark.engine
def test_haproxy_takes_them_all(tmp_path: Path) -> None:
    wished, payloads = Assembly(), 0
    wished.take(dict([item("l", items.PORT, "8080", PORT)]))  # type: ignore[arg-type]
    for number, found in enumerate(_everything()):
        wished.take(dict([item("l", items.HOST, f"g|h{number}", found)]))  # type: ignore[arg-type]
        payloads += 1
    assert payloads > 2000
    for name, text in files(wished, Frame(pool=1)).items():
        (tmp_path / name).write_text(text)
    binary = haproxy_binary()
    assert binary is not None, "install haproxy"
    command = [str(binary), "-c", "-C", str(tmp_path), "-f", "haproxy.cfg"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    alerts = [line for line in checked.stderr.splitlines() if "ALERT" in line]
    assert (checked.returncode, alerts) == (0, []), "\n".join(alerts[:5])


def test_nothing_said_on_the_socket_is_two_commands() -> None:
    for place in [one for one in PLACES if "path" in str(one[2]) or one[0] == "backend"]:
        for text in texts(place):
            for command in _said(made(place, text)):
                read = commands(command)
                assert len(read) == 1, command
                assert read[0][:2] in (["add", "map"], ["add", "server"], ["set", "server"], ["enable", "health"]), command
                assert len(read[0]) == 5 or read[0][1] != "map", command


def _said(found: Host) -> Iterator[str]:
    wished = Assembly()
    held = held_of(wished, Frame())
    plain = [section for section in found.sections if section.pooled]
    changes = dict([item("l", items.HOST, "g|h", Host(routes=found.routes, shares=found.shares, sections=tuple(plain)))])  # type: ignore[arg-type]
    servers: dict[ItemKey, Any] = dict([item("l", items.ENDPOINTS, "b", Endpoints(servers=(Server(address="10.0.0.1", port=80),)))])  # type: ignore[arg-type]
    wished.take({**changes, **servers})
    return (step.command for step in plan(held, wished, Frame()).steps)
