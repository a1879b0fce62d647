"""Rows: what is done to requests and answers. Redirects, rewrites, headers, answers of the load balancer's own, cross-origin requests, error pages, methods, bodies, statuses."""

from meaning_table import place, row

from weirkeeper.model.filters import FullPath, HeaderEdit, HeaderValuePair, PrefixPath, RegexSubstitution, UrlRewrite
from weirkeeper.model.match import ExactPath, RouteMatch, SegmentPrefix
from weirkeeper.model.route import Forward, Redirect, Respond, WeightedBackend
from weirkeeper.model.text import Authority, BodyText, HeaderName, HeaderValue, PathText, RegexText, Substitution


def _below(path):
    return RouteMatch(path=SegmentPrefix(value=PathText(path)))


def _whole(path):
    return RouteMatch(path=ExactPath(value=PathText(path)))


def _regex(pattern, substitution):
    return RegexSubstitution(pattern=RegexText(pattern), substitution=Substitution(substitution))


def _edit(set_=(), add=(), remove=()):
    pair = lambda one: HeaderValuePair(name=HeaderName(one[0]), value=HeaderValue(one[1]))
    return HeaderEdit(set=tuple(map(pair, set_)), add=tuple(map(pair, add)), remove=tuple(map(HeaderName, remove)))



def _moved(path, location, status=302, **more):
    return row(path, status, got={"location": location}, **more)


REDIRECTS = place(
    "redirects", "SchemeMatch HTTPRouteSchemeRedirect HTTPRoutePortRedirect HTTPRoutePathRedirect RegexPathRewrite",
    lambda site: [site.neutral(
        site.route(_below("/s"), Redirect(scheme="https", status=301)),
        site.route(_below("/sp"), Redirect(scheme="https", port=8443, status=307)),
        site.route(_below("/s443"), Redirect(scheme="https", port=443, status=308)),
        site.route(_below("/p80"), Redirect(scheme="http", port=80)),
        site.route(_below("/p"), Redirect(port=8123)),
        site.route(_below("/h"), Redirect(host=Authority("other.example"))),
        site.route(_below("/hp"), Redirect(host=Authority("other.example"), port=81, status=303)),
        site.route(_below("/f"), Redirect(path=FullPath(value=PathText("/full%20path")))),
        site.route(_below("/x/y"), Redirect(path=PrefixPath(value=PathText("/new")), status=301)),
        site.route(_below("/gone"), Redirect(path=PrefixPath(value=PathText("/")))),
        site.route(_below("/r"), Redirect(path=_regex("^/r/([a-z]+)/([0-9]+)", "/\\2/\\1"))),
        site.route(_below("/to"), Redirect(to=HeaderValue("https://else.example/a?b=%41&c={x}%x"), status=308)),
        site.route(_below("/all"), Redirect(scheme="https", host=Authority("all.example"), port=444, path=FullPath(value=PathText("/z")), status=307)),
    )],
    _moved("/s", "https://{h}/s", 301), _moved("/s/x?q=1&r=%2f", "https://{h}/s/x?q=1&r=%2f", 301), _moved("/s/%41//x", "https://{h}/s/A/x", 301), _moved("/s/x", "https://{h}/s/x", 301, method="POST", body=b"x"),
    _moved("/sp/x", "https://{h}:8443/sp/x", 307), _moved("/s443/x?y", "https://{h}/s443/x?y", 308), _moved("/p80", "http://{h}/p80"), _moved("/p/x?q", "http://{h}:8123/p/x?q"),
    _moved("/h/x?q=1", "http://other.example/h/x?q=1"), _moved("/hp", "http://other.example:81/hp", 303), _moved("/f/x?q=1", "http://{h}/full%20path?q=1"), _moved("/f", "http://{h}/full%20path"),
    _moved("/x/y", "http://{h}/new", 301), _moved("/x/y/", "http://{h}/new/", 301), _moved("/x/y/z?q=1", "http://{h}/new/z?q=1", 301), _moved("/gone/z", "http://{h}/z"), _moved("/gone", "http://{h}/"), _moved("/gone/?q", "http://{h}/?q"),
    _moved("/r/ab/12?q=1", "http://{h}/12/ab?q=1"), _moved("/r/ab/12/z", "http://{h}/12/ab/z"), _moved("/r/AB/12", "http://{h}/r/AB/12"), _moved("/to/x?y", "https://else.example/a?b=%41&c={x}%x", 308), _moved("/all/x?q", "https://all.example:444/z?q", 307),
    _moved("/s/x", "https://{h}/s/x", 301, method="HEAD"), row("/x/yz", 404), row("/", 404),
)  # fmt: skip

REDIRECTING = [
    place("permanent", "HTTPRoutePathRedirect", lambda site: [site.ingress({"permanent-redirect": "https://new.example/here?a=1"}), site.ingress({"permanent-redirect": "/local", "permanent-redirect-code": "308"}, name="code", host="code." + site.host)],
          _moved("/", "https://new.example/here?a=1", 301), _moved("/x?y", "https://new.example/here?a=1", 301), _moved("/x", "https://new.example/here?a=1", 301, method="POST")),
    place("temporal", "HTTPRoutePathRedirect", lambda site: [site.ingress({"temporal-redirect": "https://soon.example"}), site.ingress({"temporal-redirect": "https://soon.example/", "temporal-redirect-code": "307"}, name="code", host="code." + site.host)],
          _moved("/", "https://soon.example/"), _moved("/x?y", "https://soon.example/"), _moved("/", "https://soon.example/", 307, host="code.{h}")),
    place("app-root", "HTTPRoutePathRedirect", lambda site: [site.ingress({"app-root": "/start/here"})],
          _moved("/", "http://{h}/start/here"), row("/x", "a"), row("/start/here", "a"), row("/index", "a")),
    place("to-www", "HTTPRoutePathRedirect", lambda site: [site.ingress({"from-to-www-redirect": "true"}), site.ingress({"from-to-www-redirect": "true"}, name="www", host="www.other." + site.host, paths=[("/", "Prefix", "b")])],
          row("/x", "a"), _moved("/x?q=1", "http://{h}/x?q=1", 308, host="www.{h}"), row("/x", "b", host="www.other.{h}"), _moved("/x?q", "http://www.other.{h}/x?q", 308, host="other.{h}"), _moved("/", "http://{h}/", 308, host="WWW.{h}")),
    place("force-https", "SchemeMatch HTTPRouteSchemeRedirect HTTPRoutePortRedirect", lambda site: [site.ingress({"force-ssl-redirect": "true"}, paths=[("/", "Prefix", "a"), ("/x", "Exact", "b")]), site.ingress({"ssl-redirect": "false"}, name="solver", paths=[("/.well-known/acme-challenge/token", "Exact", "a")])],
          _moved("/", "https://{h}:{s}/", 308), _moved("/x?q=1", "https://{h}:{s}/x?q=1", 308), _moved("/y/../x", "https://{h}:{s}/x", 308), _moved("/", "https://{h}:{s}/", 308, method="PUT", body=b"x"),
          row("/.well-known/acme-challenge/token", "a"), _moved("/.well-known/acme-challenge", "https://{h}:{s}/.well-known/acme-challenge", 308)),
]  # fmt: skip

REWRITES = place(
    "rewrites", "HTTPRoutePathRewrite HTTPRouteHostRewrite RegexPathRewrite",
    lambda site: [site.neutral(
        site.route(_below("/old"), rewrite=UrlRewrite(path=PrefixPath(value=PathText("/new/er")))),
        site.route(_below("/strip"), rewrite=UrlRewrite(path=PrefixPath(value=PathText("/")))),
        site.route(_below("/full"), rewrite=UrlRewrite(path=FullPath(value=PathText("/one%20page;x")))),
        site.route(_whole("/exact"), rewrite=UrlRewrite(path=FullPath(value=PathText("/")))),
        site.route(_below("/"), rewrite=UrlRewrite(path=PrefixPath(value=PathText("/base")))),
        site.route(_below("/re"), rewrite=UrlRewrite(path=_regex("^/re/v([0-9])/(.*)$", "/\\2/\\1"))),
        site.route(_below("/host"), rewrite=UrlRewrite(host=Authority("inner.example:81"))),
        site.route(_below("/both"), rewrite=UrlRewrite(host=Authority("inner.example"), path=PrefixPath(value=PathText("/in")))),
    )],
    *(row(path, "a", seen=seen) for path, seen in (
        ("/old", "/new/er"), ("/old/", "/new/er/"), ("/old/x", "/new/er/x"), ("/old?q=1", "/new/er?q=1"), ("/old/x/?q=/old", "/new/er/x/?q=/old"), ("/old//x", "/new/er/x"), ("/%6fld/x", "/new/er/x"), ("/old/old", "/new/er/old"),
        ("/strip", "/"), ("/strip/", "/"), ("/strip/x", "/x"), ("/strip?q", "/?q"), ("/strip/?q", "/?q"), ("/strip/x/y?q=%2f", "/x/y?q=%2f"), ("/strip/strip", "/strip"), ("/strip/%20", "/%20"),
        ("/full", "/one%20page;x"), ("/full/x?q=1", "/one%20page;x?q=1"), ("/exact", "/"), ("/exact?q=1", "/?q=1"), ("/exact/x", "/base/exact/x"), ("/", "/base/"), ("/z", "/base/z"), ("/?q", "/base/?q"), ("/oldest", "/base/oldest"), ("/Old", "/base/Old"),
        ("/re/v1/a/b?q=1", "/a/b/1?q=1"), ("/re/v2/", "//2"), ("/re/x", "/re/x"), ("/re", "/re"), ("/re/v1/%41%20", "/A%20/1"),
    )),
    row("/host/x", "a", sent={"host": "inner.example:81"}), row("/both/x?q", "a", seen="/in/x?q", sent={"host": "inner.example"}), row("/z", "a", seen="/base/z", sent={"host": "{h}"}, headers=(("x-a", "1"),)),
)  # fmt: skip

TARGETS = place(
    "rewrite-target", "RegexPathMatch RegexPathRewrite",
    lambda site: [
        site.ingress({"rewrite-target": "/$2"}, paths=[("/app(/|$)(.*)", "ImplementationSpecific", "a")]),
        site.ingress({"rewrite-target": "/to/$1/$2/end"}, name="two", paths=[("/from/([a-z]+)/([0-9]+)", "ImplementationSpecific", "b")]),
        site.ingress({"rewrite-target": "/fixed?"[:6]}, name="fixed", paths=[("/any/.*", "ImplementationSpecific", "a")]),
    ],
    *(row(path, "a", seen=seen) for path, seen in (("/app/x", "/x"), ("/app", "/"), ("/app/", "/"), ("/app/x/y?q=1", "/x/y?q=1"), ("/APP/X", "/X"), ("/app/a%20b", "/a%20b"), ("/app/x/../y", "/y"), ("/app//x", "/x"), ("/any/thing?q", "/fixed?q"), ("/any/", "/fixed"), ("/app/$1", "/$1"))),
    *(row(path, "b", seen=seen) for path, seen in (("/from/ab/12", "/to/ab/12/end"), ("/from/ab/12/more?q=1", "/to/ab/12/end?q=1"), ("/FROM/AB/7", "/to/AB/7/end"))),
    *(row(path, 404) for path in ("/apple", "/ap", "/from/ab", "/from/12/ab", "/any", "/")),
)  # fmt: skip

ODD = '%REQ(x)% %% ${y} {z} "q" \\1 $1; a=b, c'
REQUEST_HEADERS = place(
    "request-headers", "HTTPRouteRequestHeaderModification HTTPRouteBackendRequestHeaderModification",
    lambda site: [site.neutral(
        site.route(_below("/set"), request_headers=_edit(set_=[("X-One", "1"), ("X-Odd", ODD)])),
        site.route(_below("/add"), request_headers=_edit(add=[("X-One", "2"), ("X-New", "n")])),
        site.route(_below("/remove"), request_headers=_edit(remove=["X-One", "User-Agent"])),
        site.route(_below("/all"), request_headers=_edit(set_=[("X-S", "s")], add=[("X-A", "a")], remove=["X-R"])),
        site.route(_below("/one"), to=Forward(backends=(WeightedBackend(backend=site.backend_id("b"), request_headers=_edit(set_=[("X-Backend", "b")], remove=["X-R"])),))),
        site.route(_below("/none")),
    )],
    row("/set", "a", sent={"x-one": "1", "x-odd": ODD}), row("/set", "a", headers=(("x-one", "old"), ("X-One", "older")), sent={"x-one": "1"}), row("/add", "a", sent={"x-one": "2", "x-new": "n"}), row("/add", "a", headers=(("x-one", "1"),), sent={"x-one": "1,2"}),
    row("/remove", "a", headers=(("x-one", "1"), ("X-ONE", "2"), ("user-agent", "me")), sent={"x-one": None, "user-agent": None}), row("/all", "a", headers=(("x-s", "0"), ("x-a", "0"), ("x-r", "0")), sent={"x-s": "s", "x-a": "0,a", "x-r": None}),
    row("/one", "b", headers=(("x-r", "1"),), sent={"x-backend": "b", "x-r": None}), row("/none", "a", headers=(("x-r", "1"), ("X-Mixed-Case", "A b,c"), ("accept", "*/*")), sent={"x-r": "1", "x-mixed-case": "A b,c", "accept": "*/*", "x-one": None}),
    row("/none", "a", headers=(("cookie", "a=b; c=d"), ("authorization", "Basic x"), ("referer", "http://x/?%41")), sent={"cookie": "a=b; c=d", "authorization": "Basic x", "referer": "http://x/?%41"}),
    row("/none", "a", headers=(("x-empty", ""), ("content-type", "text/x")), sent={"x-empty": "", "content-type": "text/x"}),
)  # fmt: skip

FORWARDED = place(
    "forwarded", "PrefixXForwarded",
    lambda site: [site.ingress(), site.ingress({"x-forwarded-prefix": "/pre"}, name="pre", paths=[("/pre", "Prefix", "b")])],
    row("/", "a", sent={"x-forwarded-for": "{me}", "x-forwarded-proto": "http", "x-forwarded-host": "{h}", "x-forwarded-port": "{p}", "x-forwarded-prefix": None, "forwarded": None, "host": "{h}"}),
    row("/", "a", headers=(("x-forwarded-for", "10.1.2.3, 8.8.8.8"),), sent={"x-forwarded-for": "{me}"}), row("/", "a", headers=(("x-forwarded-proto", "https"),), sent={"x-forwarded-proto": "http"}),
    row("/", "a", headers=(("x-forwarded-host", "evil.example"),), sent={"x-forwarded-host": "{h}"}), row("/", "a", headers=(("x-forwarded-port", "1"),), sent={"x-forwarded-port": "{p}"}), row("/", "a", headers=(("forwarded", "for=1.2.3.4"),), sent={"forwarded": None}),
    row("/", "a", headers=(("x-real-ip", "1.2.3.4"),), sent={"x-real-ip": None}), row("/", "a", headers=(("x-forwarded-prefix", "/evil"),), sent={"x-forwarded-prefix": None}), row("/pre/x", "b", sent={"x-forwarded-prefix": "/pre"}),
    row("/pre/x", "b", headers=(("x-forwarded-prefix", "/evil"),), sent={"x-forwarded-prefix": "/pre"}), row("/", "a", host="{h}:81", sent={"host": "{h}:81", "x-forwarded-host": "{h}:81"}), row("/", "a", host="{h}.", sent={"host": "{h}"}),
    row("/", "a", headers=(("x-forwarded-for", "1.1.1.1"), ("X-Forwarded-For", "2.2.2.2")), sent={"x-forwarded-for": "{me}"}),
)  # fmt: skip


def _answered(*pairs):
    return tuple(("x-echo-set-header", f"{name}:{text}") for name, text in pairs)


ANSWER_HEADERS = place(
    "answer-headers", "HTTPRouteResponseHeaderModification CookieRewrite LocationRewrite",
    lambda site: [
        site.neutral(
            site.route(_below("/set"), response_headers=_edit(set_=[("X-One", "1"), ("X-Odd", ODD)])),
            site.route(_below("/add"), response_headers=_edit(add=[("X-One", "2")])),
            site.route(_below("/remove"), response_headers=_edit(remove=["X-One", "Server"])),
            site.route(_below("/none")),
        ),
        site.ingress({"proxy-cookie-path": "/in /out", "proxy-cookie-domain": "in.example out.example"}, name="cookies", host="cookies." + site.host),
        site.ingress({"proxy-redirect-from": "http://inner:8080/", "proxy-redirect-to": "https://outer/"}, name="location", host="location." + site.host),
    ],
    row("/set", "a", got={"x-one": "1", "x-odd": ODD}), row("/set", "a", headers=_answered(("x-one", "old")), got={"x-one": "1"}), row("/set?status=404", "a", status=404, seen="/set?status=404", got={"x-one": "1"}), row("/add", "a", got={"x-one": "2"}),
    row("/add", "a", headers=_answered(("X-One", "1")), got={"x-one": "1,2"}), row("/remove", "a", headers=_answered(("x-one", "1"), ("server", "me")), got={"x-one": None}), row("/none", "a", headers=_answered(("x-one", "1"), ("server", "me")), got={"x-one": "1", "server": "me"}),
    row("/none", "a", headers=_answered(("set-cookie", "a=b; Path=/in"), ("set-cookie", "c=d")), got={"set-cookie": "a=b; Path=/in,c=d"}), row("/none", "a", headers=_answered(("cache-control", "no-store"), ("etag", '"x"'), ("content-type", "text/x")), got={"cache-control": "no-store", "etag": '"x"', "content-type": "text/x"}),
    row("/", "a", host="location.{h}", headers=_answered(("location", "http://inner:8080/x?y")), got={"location": "https://outer/x?y"}), row("/", "a", host="location.{h}", headers=_answered(("location", "http://other/x")), got={"location": "http://other/x"}),
    row("/", "a", host="location.{h}", headers=_answered(("location", "/x")), got={"location": "/x"}), row("/?status=302", "a", status=302, host="location.{h}", headers=_answered(("location", "http://inner:8080/")), got={"location": "https://outer/"}),
    row("/", "a", host="location.{h}", got={"location": None}), row("/none", "a", headers=_answered(("location", "http://inner:8080/")), got={"location": "http://inner:8080/"}),
)  # fmt: skip

OWN_ANSWERS = place(
    "own-answers", "DirectResponse",
    lambda site: [site.neutral(
        *(site.route(_whole(f"/{status}"), Respond(status=status)) for status in (200, 204, 403, 410, 451, 500, 503)),
        site.route(_below("/text"), Respond(status=418, body=BodyText(ODD), content_type=HeaderValue("text/x-odd"))), site.route(_below("/page"), Respond(status=200, body=BodyText("<p>closed</p>\n"), content_type=HeaderValue("text/html; charset=utf-8"))),
        site.route(_below("/")),
    )],
    *(row(f"/{status}", status, text="") for status in (204, 403, 410, 451, 500, 503)), row("/200", 200, text=""), row("/text/x?y", 418, text=ODD, got={"content-type": "text/x-odd"}), row("/text", 418, method="POST", body=b"x", text=ODD),
    row("/page", 200, text="<p>closed</p>\n", got={"content-type": "text/html; charset=utf-8"}), row("/page", 200, method="HEAD", text=""), row("/200/x", "a"), row("/x", "a"),
)  # fmt: skip

METHODS = place(
    "passing", "",
    lambda site: [site.ingress()],
    *(row("/x?y=1", "a", method=method) for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")),
    *(row("/", "a", method=method, body=body) for method in ("POST", "PUT", "PATCH", "DELETE") for body in (b"x", b"\x00\xff\r\n", b"a" * 70_000)),
    *(row(f"/?status={status}", "a", status=status) for status in (200, 201, 202, 203, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 418, 421, 422, 425, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 511, 599)),
    *(row(f"/?status={status}", "a", status=status) for status in (204, 304)),
    *(row(path, "a") for path in ("/?a=1&b=2", "/?%zz", "/?a=%2F%2f", "/?" + "x" * 3000, "/" + "x" * 3000, "/~u/(x)", "/a,b", "/a=b", "/a@b", "/a:b", "/!$&'()*", "/%E2%82%AC", "/%c3%a9", "/%20", "/a%25b", "/%7B", '/?[]{}|^`"<>', "/?a+b", "/?x=//", "/?/../")),
)  # fmt: skip

ORIGIN, OTHER = ("origin", "https://ok.example"), ("origin", "https://evil.example")
ALLOWED = {"access-control-allow-origin": "https://ok.example"}
CORS = [
    place("cors", "HTTPRouteCORS", lambda site: [site.ingress({"enable-cors": "true", "cors-allow-origin": "https://ok.example, https://*.wild.example", "cors-allow-methods": "GET, PUT", "cors-allow-headers": "X-A, X-B", "cors-expose-headers": "X-C", "cors-max-age": "600"})],
          row("/", "a", headers=(ORIGIN,), got=ALLOWED), row("/", "a", headers=(OTHER,), got={"access-control-allow-origin": None}), row("/", "a", got={"access-control-allow-origin": None}),
          row("/", "a", headers=(ORIGIN,), method="PUT", got=ALLOWED), row("/", "a", headers=(("origin", "https://x.wild.example"),), got={"access-control-allow-origin": "https://x.wild.example"}), row("/", "a", headers=(("origin", "https://wild.example"),), got={"access-control-allow-origin": None}),
          row("/", "a", headers=(("origin", "http://ok.example"),), got={"access-control-allow-origin": None}), row("/", "a", headers=(("origin", "https://ok.example:444"),), got={"access-control-allow-origin": None}), row("/", "a", headers=(("origin", "https://ok.example.evil"),), got={"access-control-allow-origin": None}),
          row("/", "a", headers=(("origin", "null"),), got={"access-control-allow-origin": None}), row("/", "a", headers=(ORIGIN,), got={"access-control-expose-headers": "X-C"}), row("/?status=500", "a", status=500, headers=(ORIGIN,), got=ALLOWED)),
    place("cors-any", "HTTPRouteCORS", lambda site: [site.ingress({"enable-cors": "true", "cors-allow-credentials": "false"})],
          row("/", "a", headers=(OTHER,), got={"access-control-allow-credentials": None}), row("/", "a", got={"access-control-allow-origin": None})),
    place("cors-off", "", lambda site: [site.ingress({"enable-cors": "false"})],
          row("/", "a", headers=(ORIGIN,), got={"access-control-allow-origin": None}), row("/", "a", method="OPTIONS", headers=(ORIGIN, ("access-control-request-method", "PUT"))), row("/", "a", headers=(ORIGIN, *_answered(("access-control-allow-origin", "x"))), got={"access-control-allow-origin": "x"})),
]  # fmt: skip

ERRORS = place(
    "error-pages", "CustomErrorPages",
    lambda site: [*site.service("none"), site.ingress({"custom-http-errors": "404,503", "default-backend": "b"}, paths=[("/", "Prefix", "a"), ("/none", "Prefix", "none")])],
    row("/", "a"), row("/?status=500", "a", status=500), row("/?status=404", "b", seen="/", sent={"x-code": "404"}), row("/x?status=503", "b", seen="/", sent={"x-code": "503", "x-original-uri": "/x?status=503"}),
    row("/none/x", "b", seen="/", sent={"x-code": "503"}),
)  # fmt: skip

PLACES = (REDIRECTS, *REDIRECTING, REWRITES, TARGETS, REQUEST_HEADERS, FORWARDED, ANSWER_HEADERS, OWN_ANSWERS, METHODS, *CORS, ERRORS)
