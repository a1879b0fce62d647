"""Rows: who may pass, and to which of several backends. Passwords, addresses, services that are asked, limits, what fails closed, shares at their extremes, canaries, TLS by SNI."""

import base64
import hashlib

from meaning_table import AWAY, place, row

from weirkeeper.model.filters import Deny, IpRules
from weirkeeper.model.match import RouteMatch, SegmentPrefix
from weirkeeper.model.route import Forward, WeightedBackend
from weirkeeper.model.text import Cidr, PathText
from weirkeeper.testing.certificates import Authority

AUTHORITY, STRANGE = Authority("meaning"), Authority("strange")


def _user(name, password):
    return f"{name}:{{SHA}}{base64.b64encode(hashlib.sha1(password.encode(), usedforsecurity=False).digest()).decode()}"


def _login(text, scheme="Basic"):
    return {"headers": (("authorization", f"{scheme} " + base64.b64encode(text.encode()).decode()),)}


def _below(path):
    return RouteMatch(path=SegmentPrefix(value=PathText(path)))


CASE = {"envoy": "the scheme is compared with its letter case"}
BASIC = place(
    "basic", "BasicAuth BasicAuthRealm",
    lambda site: [
        site.secret("users", auth=_user("ann", "secret") + "\n" + _user("bob", "a:b c%41é") + "\n"),
        site.ingress({"auth-type": "basic", "auth-secret": "users", "auth-realm": "the shop"}, paths=[("/admin", "Prefix", "b"), ("/also", "Exact", "b")]),
        site.ingress(name="open", paths=[("/", "Prefix", "a")]),
    ],
    row("/admin", 401, got={"www-authenticate": 'Basic realm="the shop"'}), row("/admin/x?y", 401), row("/also", 401), row("/admin", 401, method="POST", body=b"x"), row("/admin", 401, method="OPTIONS"), row("/admin", 401, method="HEAD"),
    *(row("/admin", "b", **_login(text)) for text in ("ann:secret", "bob:a:b c%41é")), *(row("/admin/x", 401, **_login(text)) for text in ("ann:Secret", "ann:", ":secret", "Ann:secret", "bob:secret", "ann:secret ", "ann", "", "ann:secret:x", " ann:secret", "eve:secret")),
    row("/admin", "b", but=CASE, **_login("ann:secret", "basic")), row("/admin", "b", but=CASE, **_login("ann:secret", "BASIC")), row("/admin", 401, **_login("ann:secret", "Bearer")), row("/admin", 401, headers=(("authorization", "Basic"),)), row("/admin", 401, headers=(("authorization", "Basic !!!!"),)), row("/admin", 401, headers=(("authorization", "ann:secret"),)),
    row("/admin", 401, headers=(("proxy-authorization", _login("ann:secret")["headers"][0][1]),)), row("/also", "b", **_login("ann:secret")), row("/also/", "a"), row("/", "a"), row("/administrator", "a"), row("/Admin", "a"), row("/", "a", **_login("ann:wrong")),
)  # fmt: skip

CLOSED = place(
    "closed", "",
    lambda site: [
        site.ingress({"auth-type": "basic", "auth-secret": "missing"}, paths=[("/secret", "Prefix", "b")]), site.ingress({"auth-type": "digest", "auth-secret": "missing"}, name="digest", paths=[("/digest", "Prefix", "b")]),
        site.ingress({"whitelist-source-range": "not an address"}, name="range", paths=[("/range", "Prefix", "b")]), site.ingress({"auth-url": "ftp://x/"}, name="url", paths=[("/url", "Prefix", "b")]),
        site.ingress({"proxy-body-size": "huge"}, name="size", paths=[("/size", "Prefix", "b")]), site.ingress({"limit-rps": "many"}, name="rate", paths=[("/rate", "Prefix", "b")]), site.ingress(name="open", paths=[("/", "Prefix", "a")]),
        site.neutral(site.route(_below("/denied"), to="b", auth=(Deny(status=403),)), site.route(_below("/shut"), to="b", auth=(Deny(),))),
    ],
    *(row(path, 503) for path in ("/secret", "/secret/x", "/digest", "/range", "/url/x", "/size", "/rate", "/shut", "/shut/x")), row("/secret", 503, **_login("ann:secret")), row("/denied", 403), row("/denied/x", 403, method="POST"), row("/", "a"), row("/open", "a"),
)  # fmt: skip

ADDRESSES = place(
    "addresses", "IpRules",
    lambda site: [
        *(site.ingress({kind: ranges}, name=name, paths=[(f"/{name}", "Prefix", "b")]) for name, kind, ranges in (
            ("allowed", "whitelist-source-range", "127.0.0.0/8"), ("one", "allowlist-source-range", "127.0.0.1"), ("two", "whitelist-source-range", "10.0.0.0/8, 127.0.0.1/32"), ("other", "whitelist-source-range", "10.0.0.0/8, 2001:db8::/32"),
            ("six", "whitelist-source-range", "::/0"), ("all", "whitelist-source-range", "0.0.0.0/0"), ("denied", "denylist-source-range", "127.0.0.0/8"), ("elsewhere", "denylist-source-range", "10.0.0.0/8"),
            ("many", "whitelist-source-range", ",".join(f"10.0.{n}.0/24" for n in range(200)) + ",127.0.0.1"), ("none", "whitelist-source-range", ",".join(f"10.0.{n}.0/24" for n in range(200))),
        )),
        site.ingress({"whitelist-source-range": "127.0.0.0/8", "denylist-source-range": "127.0.0.1/32"}, name="both", paths=[("/both", "Prefix", "b")]), site.ingress(name="open", paths=[("/", "Prefix", "a")]),
        site.neutral(site.route(_below("/neutral"), to="b", ip_rules=IpRules(allow=(Cidr("127.0.0.2/32"),)))),
    ],
    *(row(path, "b") for path in ("/allowed", "/allowed/x", "/one", "/two", "/all", "/elsewhere", "/many", "/many/x")), *(row(path, 403) for path in ("/other", "/other/x", "/six", "/denied", "/denied/x", "/both", "/neutral", "/none", "/none/x")),
    *(row("/other", 403, headers=((name, "10.1.2.3"),)) for name in ("x-forwarded-for", "x-real-ip", "x-client-ip", "true-client-ip", "forwarded")), row("/other", 403, headers=(("x-forwarded-for", "10.1.2.3, 10.1.2.3"),)), row("/denied", 403, headers=(("x-forwarded-for", "8.8.8.8"),)), row("/deniedx", "a"), row("/", "a"),
)  # fmt: skip

ASKED = place(
    "asked", "ExternalAuth ExternalAuthHost",
    lambda site: [
        *(site.ingress({"auth-url": f"http://a.{site.namespace}.svc.cluster.local/check{query}", **more}, name=name, paths=[(f"/{name}", "Prefix", "b")]) for name, query, more in (
            ("yes", "", {}), ("no", "?status=401", {}), ("never", "?status=403", {}), ("broken", "?status=500", {}), ("missing", "?status=404", {}), ("created", "?status=204", {}), ("accepted", "?status=202", {}), ("partial", "?status=299", {}), ("told", "", {"auth-response-headers": "X-Echo-Name, X-None"}), ("moved", "?status=302", {}),
        )),
        *site.service("away", 0), site.ingress({"auth-url": f"http://away.{site.namespace}.svc.cluster.local/"}, name="away", paths=[("/away", "Prefix", "b")]), site.ingress(name="open", paths=[("/", "Prefix", "a")]),
    ],
    row("/yes", "b"), row("/yes/x?y=1", "b"), row("/yes", "b", method="POST", body=b"x"), row("/created", "b"), row("/accepted", "b"), row("/accepted/x?y", "b", method="PUT", body=b"x"), row("/partial", "b"), row("/told", "b", sent={"x-echo-name": "a", "x-none": None}), row("/told", "b", headers=(("x-echo-name", "evil"),), sent={"x-echo-name": "a"}),
    row("/no", "a", status=401, seen="/check?status=401"), row("/no/x", "a", status=401, seen="/check?status=401"), row("/never", "a", status=403, seen="/check?status=403"), row("/", "a"), row("/yesx", "a"),
)  # fmt: skip

BODIES = place(
    "bodies", "RequestBodyLimit",
    lambda site: [site.ingress({"proxy-body-size": "1k"}, paths=[("/small", "Prefix", "a")]), site.ingress({"proxy-body-size": "0"}, name="any", paths=[("/any", "Prefix", "a")])],
    row("/small", "a", method="POST", body=b"x" * 1024), row("/small", "a", method="POST", body=b"x"), row("/small", "a"), row("/small", 413, method="POST", body=b"x" * 1025), row("/small", 413, method="PUT", body=b"x" * 100_000), row("/any", "a", method="POST", body=b"x" * 100_000),
)  # fmt: skip

def _shares(site, **weights):
    return Forward(backends=tuple(WeightedBackend(backend=site.backend_id(name), weight=weight) for name, weight in weights.items()))


WEIGHTS = place(
    "weights", "WeightedBackends",
    lambda site: [site.neutral(*(site.route(_below(f"/w{a}-{b}"), to=_shares(site, a=a, b=b)) for a, b in ((1, 0), (0, 1), (100, 0), (0, 1000), (0, 0))))],
    row("/w1-0", "a"), *(row(f"/w1-0/{n}", "a") for n in range(5)), *(row(f"/w0-1/{n}", "b") for n in range(6)), *(row(f"/w100-0/{n}", "a") for n in range(3)), *(row(f"/w0-1000/{n}", "b") for n in range(3)), row("/w0-0", 503), row("/w0-0/x", 503),
)  # fmt: skip

def _canary(name, **annotations):
    return lambda site: [site.ingress(host=f"{name}." + site.host), site.ingress({"canary": "true", **{key.replace("_", "-"): text for key, text in annotations.items()}}, name="new", host=f"{name}." + site.host, paths=[("/", "Prefix", "b")])]


CANARIES = [
    place(name, "HTTPRouteHeaderMatching WeightedBackends" + (" RegexHeaderMatch" if "pattern" in str(wished) else ""), _canary("c", **wished), *(row("/x", to, host="c.{h}", headers=headers) for to, headers in rows))
    for name, wished, rows in (
        ("canary-none", {"canary_weight": "0"}, [("a", ()), ("a", (("x-new", "always"),))]), ("canary-all", {"canary_weight": "100"}, [("b", ()), ("b", (("cookie", "a=b"),))]), ("canary-total", {"canary_weight": "10", "canary_weight_total": "10"}, [("b", ())]),
        ("canary-header", {"canary_by_header": "X-New"}, [("a", ()), ("b", (("x-new", "always"),)), ("a", (("x-new", "never"),)), ("a", (("x-new", "other"),)), ("a", (("x-new", ""),)), ("a", (("x-new", "Always"),))]),
        ("canary-value", {"canary_by_header": "X-New", "canary_by_header_value": "yes"}, [("a", ()), ("b", (("x-new", "yes"),)), ("a", (("x-new", "always"),)), ("a", (("x-new", "no"),)), ("a", (("x-new", "yess"),))]),
        ("canary-pattern", {"canary_by_header": "X-New", "canary_by_header_pattern": "v[0-9]+"}, [("a", ()), ("b", (("x-new", "v12"),)), ("a", (("x-new", "v"),)), ("a", (("x-new", "always"),))]),
        ("canary-cookie", {"canary_by_cookie": "taste"}, [("a", ()), ("b", (("cookie", "taste=always"),)), ("a", (("cookie", "taste=never"),)), ("a", (("cookie", "taste=x"),)), ("b", (("cookie", "z=1; taste=always"),)), ("a", (("cookie", "xtaste=always"),))]),
        ("canary-both", {"canary_by_header": "X-New", "canary_by_cookie": "taste", "canary_weight": "100"}, [("b", ()), ("a", (("x-new", "never"),)), ("b", (("x-new", "always"),)), ("a", (("cookie", "taste=never"),)), ("b", (("x-new", "always"), ("cookie", "taste=never"))), ("a", (("x-new", "never"), ("cookie", "taste=always"))), ("b", (("x-new", "odd"),))]),
    )
]  # fmt: skip


def _tls(site, name, host, to, **annotations):
    return [site.tls_secret(name, AUTHORITY.issue(host)), site.ingress({"ssl-redirect": "false", **{key.replace("_", "-"): text for key, text in annotations.items()}}, name=name, host=host, tls=[{"hosts": [host], "secretName": name}], paths=[("/", "Prefix", to)])]


SECURE = {"scheme": "https", "trust": AUTHORITY.pem()}
TLS = place(
    "tls", "TLSTermination SchemeMatch HTTPRouteSchemeRedirect HTTPRoutePortRedirect",
    lambda site: [
        *_tls(site, "one", "one." + site.host, "a"), *_tls(site, "two", "two." + site.host, "b"), *_tls(site, "wild", "*.wild." + site.host, "a"), *_tls(site, "inner", "in.wild." + site.host, "b"), *_tls(site, "moved", "moved." + site.host, "a", ssl_redirect="true"),
        site.ingress(name="plain", host="plain." + site.host), site.tls_secret_garbage("garbage"), site.ingress({"ssl-redirect": "false"}, name="garbage", host="garbage." + site.host, tls=[{"hosts": ["garbage." + site.host], "secretName": "garbage"}]),
    ],
    row("/x?y", "a", host="one.{h}", **SECURE), row("/", "b", host="two.{h}", **SECURE), row("/", "a", host="any.wild.{h}", **SECURE), row("/", "b", host="in.wild.{h}", **SECURE), row("/", "a", host="moved.{h}", **SECURE), row("/", "a", host="ONE.{h}", sni="one.{h}", **SECURE),
    row("/", "a", host="one.{h}", http2=True, sent={"x-forwarded-proto": "https", "x-forwarded-port": "{s}"}, **SECURE), row("/", "b", host="in.wild.{h}", http2=True, **SECURE), row("/", "a", host="one.{h}", sent={"x-forwarded-proto": "https", "x-forwarded-port": "{s}"}, **SECURE),
    row("/", "a", host="one.{h}", headers=(("x-forwarded-proto", "http"),), sent={"x-forwarded-proto": "https"}, **SECURE), row("/", "a", host="one.{h}:443", sni="one.{h}", **SECURE), row("/", "a", host="one.{h}.", sni="one.{h}", **SECURE),
    row("/", "a", host="one.{h}"), row("/", "b", host="two.{h}"), row("/", "a", host="plain.{h}"), row("/", "a", host="garbage.{h}"), row("/", 308, host="moved.{h}", got={"location": "https://moved.{h}:{s}/"}), row("/x?y=%2f", 308, host="moved.{h}", got={"location": "https://moved.{h}:{s}/x?y=%2f"}),
    row("/", AWAY, host="one.{h}", scheme="https", trust=STRANGE.pem()), row("/", AWAY, host="nobody.{h}", **SECURE), row("/", AWAY, host="wild.{h}", **SECURE), row("/", AWAY, host="x.y.wild.{h}", **SECURE), row("/", AWAY, host="garbage.{h}", **SECURE), row("/", "a", host="one.{h}", sni="two.{h}", **SECURE),
)  # fmt: skip

PLACES = (BASIC, CLOSED, ADDRESSES, ASKED, BODIES, WEIGHTS, *CANARIES, TLS)
