"""One path, one decision: each spelling is led by the same route on every engine, seen by backends as the same path, and gets nobody around a guard."""

import base64
import hashlib
from collections.abc import Iterator

import pytest
from meaning_engines import BY_HTTP2, LOOSE, RIGS, SLASHES, STRICT, Answer, asked, asked_by_http2, head, running_site
from meaning_reading import Path, Refusal, backend_reading, read
from meaning_spellings import spellings

from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.conformance import Site

pytestmark = pytest.mark.engine

SHA = base64.b64encode(hashlib.sha1(b"secret", usedforsecurity=False).digest()).decode()
LOGIN = "Authorization: Basic " + base64.b64encode(b"ann:secret").decode()
PASSWORD, ADDRESS, SERVICE = 401, 403, 401
TARGETS = list(spellings())


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(f"meaning-{name}")) for name in RIGS]
)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def site(engine: str) -> Iterator[Site]:
    with running_site(engine, "meaning") as site:
        login = {"auth-type": "basic", "auth-secret": "users", "ssl-redirect": "false"}
        site.apply(
            site.secret("users", auth=f"ann:{{SHA}}{SHA}\n"),
            site.tls_secret("web", Authority("meaning").issue(site.host)),
            site.ingress(
                {"ssl-redirect": "false"},
                tls=[{"hosts": [site.host], "secretName": "web"}],
                paths=[("/", "Prefix", "a")],
            ),
            site.ingress(login, name="admin", paths=[("/admin", "Prefix", "b"), ("/only", "Exact", "b")]),
            site.ingress(
                {"denylist-source-range": "127.0.0.0/8", "ssl-redirect": "false"},
                name="intern",
                paths=[("/intern", "Prefix", "b")],
            ),
            site.ingress(
                {"auth-url": f"http://a.{site.namespace}.svc.cluster.local/check?status=401", "ssl-redirect": "false"},
                name="asked",
                paths=[("/asked", "Prefix", "b")],
            ),
            site.ingress(name="open", host="expressions." + site.host, paths=[("/", "Prefix", "a")]),
            site.ingress(
                {**login, "rewrite-target": "/$2"},
                name="expression",
                host="expressions." + site.host,
                paths=[("/item/([0-9]+)(/.*)?", "ImplementationSpecific", "b")],
            ),
        )
        site.answers("a")
        site.answers("a", scheme="https")
        for path, status in {"/admin": PASSWORD, "/only": PASSWORD, "/intern": ADDRESS, "/asked": SERVICE}.items():
            site.until(lambda got, status=status: got.status == status, path)
        site.until(lambda got: got.status == PASSWORD, "/item/1", host="expressions." + site.host)
        yield site


def guard(path: str) -> int:
    """The status that a stranger gets for a path; 0 where anybody may pass."""
    if path == "/only" or path == "/admin" or path.startswith("/admin/"):
        return PASSWORD
    if path == "/intern" or path.startswith("/intern/"):
        return ADDRESS
    return SERVICE if path == "/asked" or path.startswith("/asked/") else 0


def wrong(engine: str, target: str, got: Answer, *, login: bool = False, http2: bool = False) -> str | None:
    """What is wrong with an answer, or None."""
    known = LOOSE.get(engine, frozenset()) | (BY_HTTP2.get(engine, frozenset()) if http2 else frozenset())
    wished = read(target.encode("latin-1"))
    if isinstance(wished, Refusal):
        refused = got.backend is None and got.status < 500
        return (
            None
            if refused or (wished.why in known and not passed(got, login=login))
            else f"{wished.why}: nobody should see it"
        )
    if wished.above and "above" in STRICT.get(engine, ()) and (got.status, got.backend) == (400, None):
        return None
    guarded = guard(wished.path)
    if guarded and not (login and guarded == PASSWORD and not wished.path.startswith("/asked")):
        return None if (got.status, got.backend) == (guarded, None) else f"{guarded} for strangers"
    backend = "b" if guarded else "a"
    return (
        None
        if got.backend == backend and got.status == 200 and same(engine, got, wished)
        else f"{backend} should see {wished}"
    )


def same(engine: str, got: Answer, wished: Path) -> bool:
    assert got.response is not None
    seen = got.response.echo.path
    if wished.path == "/" and engine in SLASHES and seen.startswith("//"):
        seen = seen[1:]
    return seen == wished.path + wished.query


def passed(got: Answer, *, login: bool) -> bool:
    """Whether somebody reached a guarded path: the guarded backend, or a path that other backends read as a guarded one."""
    if got.backend is None or got.response is None:
        return False
    read_as = backend_reading(got.response.echo.path, parameters=False)
    return (got.backend == "b" and not login) or (got.backend == "a" and guard(read_as) != 0)


def test_there_are_enough_spellings():
    assert len(TARGETS) >= 500
    assert len({type(read(target.encode("latin-1"))) for target in TARGETS}) == 2


def test_one_decision_for_each_spelling(site: Site, engine: str):
    """A stranger asks for each; nobody gets around a guard."""
    before = len(site.backends.b.requests)
    answers = asked(site, (head(target, site.host) for target in TARGETS))
    bad = {
        target[:80]: f"{why}; got {got}"
        for target, got in zip(TARGETS, answers, strict=True)
        if (why := wrong(engine, target, got))
    }
    assert bad == {}
    assert [target for target, got in zip(TARGETS, answers, strict=True) if passed(got, login=False)] == []
    assert [seen.path for seen in site.backends.b.requests[before:]] == []


def test_what_an_engine_is_known_to_let_through_is_let_through(site: Site, engine: str):
    """An exception that no spelling needs any more must go."""
    refusals = {target: why for target in TARGETS if isinstance(why := read(target.encode("latin-1")), Refusal)}
    answers = asked(site, (head(target, site.host) for target in refusals))
    seen = {refusal.why for refusal, got in zip(refusals.values(), answers, strict=True) if got.backend}
    assert seen == LOOSE.get(engine, frozenset()) & {refusal.why for refusal in refusals.values()}


def test_http2_makes_no_difference(site: Site, engine: str):
    """The path of a pseudo header is read as the target of a request line is."""
    for shared in (True, False):
        targets = [target for target in TARGETS if isinstance(read(target.encode("latin-1")), Path) == shared][
            :: 1 if shared else 15
        ]
        answers = asked_by_http2(site, targets, shared=shared)
        bad = {
            target[:80]: f"{why}; got {got}"
            for target, got in zip(targets, answers, strict=True)
            if (why := wrong(engine, target, got, http2=True))
        }
        assert bad == {}


def test_who_may_pass_is_led_to_the_same_path(site: Site, engine: str):
    """With a password each spelling of a guarded path comes out at the guarded backend."""
    answers = asked(site, (head(target, site.host, LOGIN) for target in TARGETS))
    bad = {
        target[:80]: f"{why}; got {got}"
        for target, got in zip(TARGETS, answers, strict=True)
        if (why := wrong(engine, target, got, login=True))
    }
    assert bad == {}
    assert {got.backend for got in answers} == {"a", "b", None}


def test_parameters_hide_no_dots(site: Site, engine: str):
    """What backends read that cut parameters off dot segments (servlet containers) is not guarded either, save where the engine is known not to see it."""
    for target, got in zip(TARGETS, asked(site, (head(target, site.host) for target in TARGETS)), strict=True):
        known = read(target.encode("latin-1")) == Refusal("hidden-dots") and "hidden-dots" in LOOSE.get(engine, ())
        if got.backend == "a" and got.response is not None and not known:
            assert not guard(backend_reading(got.response.echo.path, parameters=True)), target


EXPRESSIONS = [
    before + path + behind
    for before in ("", "/.", "/x/..", "//", "/x/%2e%2e", "/\\", "/x/..;")
    for path in ("/item/12", "/ITEM/12", "/%69tem/%31", "/Item/1")
    for behind in ("", "/y", "/y/../z", "//z")
]


def test_expressions_see_the_same_path_and_rewrite_it(site: Site, engine: str):
    """A guarded expression takes every spelling; what it captures is of the path as it is read."""
    host = "expressions." + site.host
    strangers, known = (
        asked(site, (head(t, host) for t in EXPRESSIONS)),
        asked(site, (head(t, host, LOGIN) for t in EXPRESSIONS)),
    )
    for target, stranger, friend in zip(EXPRESSIONS, strangers, known, strict=True):
        wished = read(target.encode())
        assert isinstance(wished, Path)
        assert (stranger.status, stranger.backend) == (PASSWORD, None), target
        rest = "/".join(wished.path.split("/")[3:])
        assert friend.backend == "b", (target, str(friend))
        assert friend.response is not None
        assert friend.response.echo.path == ("//" + rest if rest else "/"), target


SERVED, REFUSED = "a", None
HOSTS: tuple[tuple[str, str | None, str], ...] = (
    ("{h}", SERVED, ""), ("{H}", SERVED, ""), ("{h}:80", SERVED, ""), ("{h}:65535", SERVED, ""), ("{H}:8080", SERVED, ""), ("{h}.", SERVED, ""), ("{H}.", SERVED, ""), ("{h}.:80", SERVED, ""),
    (" {h} ", SERVED, ""), ("\t{h}\t", SERVED, "tab"), ("{h}..", REFUSED, ""), (".{h}", REFUSED, ""), ("x.{h}", REFUSED, ""), ("{h}.x", REFUSED, ""), ("{h}x", REFUSED, ""), ("x{h}", REFUSED, ""),
    ("[::1]", REFUSED, ""), ("[::1]:80", REFUSED, ""), ("127.0.0.1", REFUSED, ""), ("", REFUSED, ""), ("{h}/", REFUSED, ""), ("{h}/x", REFUSED, ""), ("{h}?x", REFUSED, ""), ("{h}#x", REFUSED, ""),
    ("x@{h}", REFUSED, ""), ("{h}@x", REFUSED, ""), ("{h},x.example", REFUSED, ""), ("x.example,{h}", REFUSED, ""), ("{h} x.example", REFUSED, ""), ("{h}\\x", REFUSED, ""), ("x|{h}", REFUSED, ""), ("*", REFUSED, ""),
    ("*.example", REFUSED, ""), ("[{h}]", REFUSED, ""), ("{h}%00", REFUSED, ""), ("%6deaning.example", REFUSED, ""), ("{h}:80:80", REFUSED, ""), ("m\xe9aning.example", REFUSED, ""), ("a" * 300, REFUSED, ""),
    ("{h}\x01", REFUSED, ""), ("{h}\x00", REFUSED, ""), ("{h}\x7f", REFUSED, ""), ("'{h}'", REFUSED, ""), ('"{h}"', REFUSED, ""), ("http://{h}", REFUSED, ""),
    ("{h}\r\nHost: {h}", REFUSED, "twice"), ("{h}\r\nHost: x.example", REFUSED, ""), ("x.example\r\nHost: {h}", REFUSED, ""), ("{h}\r\nhost: ", REFUSED, "second-empty"),
)  # fmt: skip
ABSOLUTE: tuple[tuple[str, str, str | None, str], ...] = (
    ("http://{h}/x", "{h}", "/x", ""), ("HTTP://{h}/x", "{h}", "/x", ""), ("http://{H}/x", "{h}", "/x", ""), ("http://{h}/x", "{H}", "/x", ""), ("http://{h}:80/x", "{h}:80", "/x", ""), ("http://{h}", "{h}", "/", ""),
    ("http://{h}/", "{h}", "/", ""), ("http://{h}/a/../b", "{h}", "/b", ""), ("http://{h}//b", "{h}", "/b", ""), ("http://{h}/%62?q=%2f", "{h}", "/b?q=%2f", ""), ("http://{h}/\\b", "{h}", "/b", ""),
    ("http://{h}/a%2fb", "{h}", None, ""), ("http://{h}/#x", "{h}", None, ""), ("https://{h}/x", "{h}", None, ""), ("ftp://{h}/x", "{h}", None, ""), ("ws://{h}/x", "{h}", None, ""), ("//{h}/x", "{h}", "/{h}/x", ""),
    ("http://x.example/x", "x.example", None, ""), ("http://x.example/x", "{h}", None, ""), ("http://{h}/x", "x.example", "/x", "other-host"), ("http://{h}?x=1", "{h}", None, ""), ("http:///x", "{h}", None, ""),
    ("http://", "{h}", None, ""), ("http:/x", "{h}", None, ""), ("http:x", "{h}", None, ""), ("{h}/x", "{h}", None, ""), ("{h}:80", "{h}", None, ""), ("http://{h}\\x", "{h}", None, ""), ("http://{h}/x y", "{h}", None, ""),
)  # fmt: skip


def spelled(text: str, host: str) -> str:
    return text.replace("{h}", host).replace("{H}", host.upper())


def test_hosts_are_read_in_one_way(site: Site, engine: str):
    """A host in any case, with a port, with the dot of the root; all else is nobody's, and is never led anywhere."""
    answers = asked(site, (head("/x", spelled(text, site.host)) for text, _, _ in HOSTS))
    bad = {}
    for (text, wished, why), got in zip(HOSTS, answers, strict=True):
        right = got.backend == wished and (got.status < 500 or wished is not None)
        known = (why in LOOSE.get(engine, ()) and got.backend == "a") or (why in STRICT.get(engine, ()) and got.backend is None)
        if not right and not known:
            bad[text] = str(got)
        if got.response is not None and wished and right:
            assert got.response.echo.host.partition(":")[0].lower() == site.host, text
    assert bad == {}


def test_targets_with_a_host_are_read_as_those_without(site: Site, engine: str):
    """RFC 9112, 3.2.2. Backends get the path alone."""
    answers = asked(
        site, (head(spelled(target, site.host), spelled(host, site.host)) for target, host, _, _ in ABSOLUTE)
    )
    bad = {}
    for (target, _, wished, why), got in zip(ABSOLUTE, answers, strict=True):
        seen = got.response.echo.path if got.response is not None and got.backend else None
        strict = why != "" and why in STRICT.get(engine, ()) and seen is None
        if not strict and seen != (spelled(wished, site.host) if wished else None):
            bad[target] = str(got)
    assert bad == {}


GUARDED_FORMS = [
    (f"http://{{h}}{path}", "{h}")
    for path in (
        "/admin",
        "/x/../admin",
        "//admin",
        "/%61dmin",
        "/x/..;/admin",
        "/./only",
        "/x/%2e%2e/intern",
        "/\\asked",
    )
]
GUARDED_FORMS += [("/admin", host) for host in ("{H}", "{h}.", "{H}.", "{h}:80", "{h}.:80", "{h}:", "{H}:8443")]
OTHERS = (
    "CONNECT {h}:80 HTTP/1.1",
    "CONNECT /admin HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "GET * HTTP/1.1",
    "GET /admin",
    "GET  /admin HTTP/1.1",
    "GET\t/admin\tHTTP/1.1",
    "GET /admin HTTP/1.0",
    "GET /admin HTTP/0.9",
    "GET /admin HTTP/2.0",
    "GET /admin x HTTP/1.1",
)


def test_no_form_of_a_request_gets_around_a_guard(site: Site, engine: str):
    """Hosts, targets and request lines in their odder forms, for paths that are guarded."""
    requests = [head(spelled(target, site.host), spelled(host, site.host)) for target, host in GUARDED_FORMS]
    requests += [
        f"{spelled(line, site.host)}\r\nHost: {site.host}\r\nConnection: close\r\n\r\n".encode() for line in OTHERS
    ]
    before = len(site.backends.b.requests)
    answers = asked(site, requests)
    assert [
        (request, str(got)) for request, got in zip(requests, answers, strict=True) if got.backend is not None
    ] == []
    assert {got.status for got in answers[: len(GUARDED_FORMS)]} == {401, 403}
    assert site.backends.b.requests[before:] == []
