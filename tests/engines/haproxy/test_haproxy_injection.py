"""Every string of the corpus at every text of a route, a backend and a listener: the configuration keeps its words, one for one, and HAProxy takes it.

*Structure*: an independent reader finds the same lines with the same number of words; the words that differ are those that hold the text. *Second wall*: the same for strings that
no check of the model lets in, or they are refused as unspeakable. *Engine*: one file with all of them is checked by HAProxy itself. *Socket*: the same for what is said on the
runtime socket. *Completeness*: every type of text that the model has is tried.
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

from weirkeeper.controllers.shared.regexes import checked_regex
from weirkeeper.model.backend import Backend, BackendTls, ConsistentHash, FromDns, FromEndpointSet, HealthCheck
from weirkeeper.model.filters import (
    BasicAuth,
    CookieAffinity,
    CookieRewrite,
    Cors,
    Credentials,
    ErrorPages,
    ExternalAuth,
    FullPath,
    HashOn,
    HeaderEdit,
    HeaderValuePair,
    IpRules,
    LocalRateLimit,
    LocationRewrite,
    Mirror,
    PrefixPath,
    RegexSubstitution,
    Timeouts,
    UrlRewrite,
)
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import ClientAddress, ClientValidation, HttpOptions, Listener, ListenerTls
from weirkeeper.model.match import (
    BeginsWith,
    Contains,
    CookieMatch,
    Exactly,
    ExactPath,
    HeaderMatch,
    Matches,
    QueryExactly,
    QueryMatch,
    QueryMatches,
    RegexPath,
    RouteMatch,
    SegmentPrefix,
    StringPrefix,
)
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, Redirect, Respond, Route, VirtualHost, WeightedBackend
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import TEXT_TYPES, Cidr, Id, IpAddress, Method, Refused, RegexText, WebOrigin, parse
from weirkeeper.providers.base import ItemKey
from weirkeeper.providers.haproxy.assembly import Assembly
from weirkeeper.providers.haproxy.binary import haproxy_binary
from weirkeeper.providers.haproxy.files import files
from weirkeeper.providers.haproxy.held import held_of
from weirkeeper.providers.haproxy.plan import plan
from weirkeeper.providers.haproxy.translate import guards, hosts, items, listeners
from weirkeeper.providers.haproxy.translate.items import Endpoints, Host, Port, Section, Server
from weirkeeper.providers.haproxy.translate.quoting import Unspeakable, key
from weirkeeper.providers.haproxy.translate.skeleton import Frame
from weirkeeper.providers.items import item

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
    "asking": {
        "auth": (
            ExternalAuth(
                backend="b",
                path="/check",
                query="a=b",
                method="POST",
                host="auth.example",
                request_headers=("X-Pass",),
                response_headers=("X-Tell",),
                sign_in="https://in.example/",
                sign_in_parameter="rd",
                redirect="/to",
                headers=(HeaderValuePair(name="X-Own", value="v"),),
            ),
        ),
        "mirrors": (Mirror(backend="b", host="m.example"),),
        "error_pages": ErrorPages(codes=(404, 503), backend="b", headers=(HeaderValuePair(name="X-Page", value="v"),)),
        "cookie_rewrites": (CookieRewrite(attribute="path", old="/in", new="/out"), CookieRewrite(attribute="domain", old="in.example", new="out.example")),
    },  # type: ignore[arg-type]
    "expression": {
        "match": RouteMatch(
            path=RegexPath(value="/a.*"),
            headers=(HeaderMatch(name="X-A", match=Matches(value="v")),),
            query=(QueryMatch(name="q", match=QueryMatches(value="v")),),
            host_regex="h.*",
        ),
        "rewrite": UrlRewrite(path=RegexSubstitution(pattern="^/a(.*)", substitution="/b\\1")),
    },  # type: ignore[arg-type]
    "redirect expression": {"action": Redirect(path=RegexSubstitution(pattern="^/a(.*)", substitution="/b\\1"))},  # type: ignore[arg-type]
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
        tls=BackendTls(server_name="s.example", system_trust=True, verify=True, ciphers=("AES",)),
    ),  # type: ignore[arg-type]
    "named": Backend(id="b", source=FromEndpointSet(id="b"), tls=BackendTls(system_trust=True, verify=True, san_dns=("s.example",))),  # type: ignore[arg-type]
    "dns": Backend(id="b", source=FromDns(name="d.example", port=80)),  # type: ignore[arg-type]
    "grpc": Backend(id="b", source=FromEndpointSet(id="b"), health=HealthCheck(kind="grpc", host="h.example")),  # type: ignore[arg-type]
}
LISTENERS: dict[str, Listener] = {
    "policy": Listener(
        id="one",
        load_balancer="l",
        group="g",
        port=8443,
        hostname="p.example",
        addresses=("127.0.0.1",),
        tls=ListenerTls(ciphers=("AES",), curves=("P-256",), client_validation=ClientValidation(trust="ca", forward_details=True, forward_certificate=True)),
        http=HttpOptions(client_address=ClientAddress(header="X-Real-Ip")),
        origin=ORIGIN,
    ),  # type: ignore[arg-type]
    "general": Listener(
        id="one",
        load_balancer="l",
        group="g",
        port=8443,
        addresses=("127.0.0.1",),
        tls=ListenerTls(ciphers=("AES",)),
        http=HttpOptions(client_address=ClientAddress(trusted=("10.0.0.0/8",))),
        origin=ORIGIN,
    ),  # type: ignore[arg-type]
}
PLAIN = Backend(id="b", source=FromEndpointSet(id="b"), balancing=ConsistentHash())  # type: ignore[arg-type]
PLACES = [("route", name, leaf) for name, one in ROUTES.items() for leaf in leaves(one)]
PLACES += [("backend", name, leaf) for name, one in BACKENDS.items() for leaf in leaves(one)]
PLACES += [("listener", name, leaf) for name, one in LISTENERS.items() for leaf in leaves(one) if leaf.kind is not IpAddress]
PLACES = [place for place in PLACES if str(place[2]) != "rate_limits.0.key"]  # another key than the address is refused, and never written
FIRST = {place[2].kind: place for place in reversed(PLACES)}
A_FEW = 20
"""Each type gets the whole corpus at one place, and about so many of its strings at each of its other places."""
PORT = Port(port=8080, binds=("127.0.0.1:8080",), group=hosts.group_token("g"))


def made(place: tuple[str, str, Leaf], text: str | None = None) -> Host:
    """The host with that text at that place; for a listener, its lines as those of one section."""
    what, name, leaf = place
    if what == "listener":
        one = LISTENERS[name] if text is None else replaced(LISTENERS[name], leaf.path, text)
        port = listeners.port(one.port, (one,), lambda _: True)
        lines = (*port.lines, f"bind {port.options}", *(f"line [{policy.options}] {key(policy.hostname)}" for policy in port.policies))
        return Host(sections=(Section(name="port", lines=lines),))
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
    if leaf.kind is RegexText:
        return not isinstance(checked_regex(text), Refused)  # another one is refused where it is read
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


PAYLOADS = list(dict.fromkeys(frame.replace("{}", text) for frame in ("{}", "{}\nbackend evil", "x' {}", "{} if TRUE") for text in CORPUS))
NEVER_WRITTEN = {
    "Name", "Sentence", "FieldPath", "Timestamp", "Label", "Digest", "Uid",  # for people, or made by ourselves
    "Id",  # made by ourselves of names that are checked; digests of ids are written
    "PemText", "PasswordHash",  # files of their own; a hash is a key of a map, below
    "IpAddress",  # read as an address before it is written
}  # fmt: skip


def test_every_type_of_text_is_tried() -> None:
    assert len(PAYLOADS) >= 2000
    tried = {str(getattr(kind, "__name__", kind)) for kind in FIRST}
    assert {text.name for text in TEXT_TYPES.values()} - NEVER_WRITTEN == tried - NEVER_WRITTEN


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place[1]}-{place[2]}")
def test_what_no_check_lets_in_cannot_change_the_structure_either(place: tuple[str, str, Leaf]) -> None:
    """The second wall alone: whatever comes to the translation is written as that very text, or not at all."""
    before = counts(sketch(made(place, "/another" if str(place[2]) == "match.path.value" else None)))
    kinds = {kind for kind, _ in before}
    some = PAYLOADS if FIRST[place[2].kind] == place else PAYLOADS[:: len(PAYLOADS) // A_FEW]
    written = 0
    for text in some:
        if place[2].kind is WebOrigin and "*" in text:
            continue  # it means any characters there
        try:
            after = counts(sketch(made(place, text)))
        except Unspeakable:
            continue
        written += 1
        assert {kind for kind, _ in after} <= kinds | {"http-request"}, text
        assert len(after) <= len(before) + 1, text
    assert written or place[2].kind is Method


def test_no_user_is_two_keys() -> None:
    for user in PAYLOADS:
        credentials = Credentials(user=user, hash=Secret("{SHA}" + user))  # type: ignore[arg-type]
        found = guards.users(Route(id="r", origin=ORIGIN, action=FORWARD, auth=(BasicAuth(users=(credentials,)),)))  # type: ignore[arg-type]
        assert all(len(one.split()) == 1 and one.splitlines() == [one] for one in found)


def _shows(word: str, text: str) -> bool:
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    plain = text.rstrip("/") or "/"
    return any(one in word or one in word.replace("%%", "%") for one in (text, inner, plain, text.lower(), text.encode().hex()))


def _elsewhere(place: tuple[str, str, Leaf], found: Host, text: str) -> bool:
    """Whether the text is a key of a map instead, a name in a digest, or only its length or nothing at all is needed of it."""
    if place[1] == "grpc" and str(place[2]) == "health.path":
        return True  # gRPC's health protocol has its own
    if place[2].kind is Id or (str(place[2]).endswith(".old") and (" " in text or text.startswith("."))):
        return True  # no attribute of a cookie holds a blank, and the first dot of a domain means nothing
    return any(text.rstrip("/") in row for row in (*found.routes, *found.users)) or str(place[2]).startswith("match.path")


def _everything() -> Iterator[Host]:
    for place in [one for one in PLACES if one[0] != "listener"]:
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
