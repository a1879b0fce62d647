"""Each annotation: what it becomes, and what becomes of a wrong one."""

import json
from pathlib import Path

import pytest
from build import SHOP, World, codes, ingress, intent, notes, path, routes

from weirkeeper.controllers.ingress.annotations.docs import annotations_page
from weirkeeper.controllers.ingress.annotations.options import Options
from weirkeeper.controllers.ingress.annotations.row import Answer
from weirkeeper.controllers.ingress.annotations.table import ROWS, TABLE
from weirkeeper.model.backend import ConsistentHash, FromEndpointSet, FromServiceAddress, PeakEwma, RequestAs
from weirkeeper.model.filters import BasicAuth, CookieAffinity, Deny, ExternalAuth, FullPath, HashOn, RegexSubstitution
from weirkeeper.model.finding import Reason
from weirkeeper.model.match import CookieMatch, Exactly
from weirkeeper.model.route import Redirect

NAMES = [
    "server-alias",
    "auth-type",
    "auth-secret",
    "auth-secret-type",
    "auth-realm",
    "auth-url",
    "auth-method",
    "auth-signin",
    "auth-signin-redirect-param",
    "auth-snippet",
    "auth-cache-key",
    "auth-cache-duration",
    "auth-keepalive",
    "auth-keepalive-share-vars",
    "auth-keepalive-requests",
    "auth-keepalive-timeout",
    "auth-response-headers",
    "auth-proxy-set-headers",
    "auth-request-redirect",
    "auth-always-set-cookie",
    "enable-global-auth",
    "auth-tls-secret",
    "auth-tls-verify-client",
    "auth-tls-verify-depth",
    "auth-tls-error-page",
    "auth-tls-pass-certificate-to-upstream",
    "auth-tls-match-cn",
    "backend-protocol",
    "canary",
    "canary-weight",
    "canary-weight-total",
    "canary-by-header",
    "canary-by-header-value",
    "canary-by-header-pattern",
    "canary-by-cookie",
    "client-body-buffer-size",
    "connection-proxy-header",
    "enable-cors",
    "cors-allow-origin",
    "cors-allow-headers",
    "cors-allow-methods",
    "cors-allow-credentials",
    "cors-expose-headers",
    "cors-max-age",
    "custom-headers",
    "custom-http-errors",
    "default-backend",
    "disable-proxy-intercept-errors",
    "fastcgi-index",
    "fastcgi-params-configmap",
    "http2-push-preload",
    "allowlist-source-range",
    "whitelist-source-range",
    "denylist-source-range",
    "load-balance",
    "enable-access-log",
    "enable-rewrite-log",
    "mirror-target",
    "mirror-host",
    "mirror-request-body",
    "enable-modsecurity",
    "enable-owasp-core-rules",
    "modsecurity-transaction-id",
    "modsecurity-snippet",
    "enable-opentelemetry",
    "opentelemetry-trust-incoming-span",
    "opentelemetry-operation-name",
    "use-port-in-redirects",
    "proxy-connect-timeout",
    "proxy-send-timeout",
    "proxy-read-timeout",
    "proxy-buffers-number",
    "proxy-buffer-size",
    "proxy-busy-buffers-size",
    "proxy-cookie-path",
    "proxy-cookie-domain",
    "proxy-body-size",
    "proxy-next-upstream",
    "proxy-next-upstream-timeout",
    "proxy-next-upstream-tries",
    "proxy-request-buffering",
    "proxy-redirect-from",
    "proxy-redirect-to",
    "proxy-buffering",
    "proxy-http-version",
    "proxy-max-temp-file-size",
    "proxy-ssl-secret",
    "proxy-ssl-ciphers",
    "proxy-ssl-protocols",
    "proxy-ssl-name",
    "proxy-ssl-verify",
    "proxy-ssl-verify-depth",
    "proxy-ssl-server-name",
    "limit-rps",
    "limit-rpm",
    "limit-connections",
    "limit-burst-multiplier",
    "limit-rate",
    "limit-rate-after",
    "limit-allowlist",
    "limit-whitelist",
    "from-to-www-redirect",
    "temporal-redirect",
    "temporal-redirect-code",
    "permanent-redirect",
    "permanent-redirect-code",
    "relative-redirects",
    "rewrite-target",
    "use-regex",
    "app-root",
    "ssl-redirect",
    "force-ssl-redirect",
    "preserve-trailing-slash",
    "satisfy",
    "server-snippet",
    "configuration-snippet",
    "stream-snippet",
    "service-upstream",
    "affinity",
    "affinity-mode",
    "affinity-canary-behavior",
    "session-cookie-name",
    "session-cookie-secure",
    "session-cookie-expires",
    "session-cookie-max-age",
    "session-cookie-path",
    "session-cookie-domain",
    "session-cookie-samesite",
    "session-cookie-conditional-samesite-none",
    "session-cookie-change-on-failure",
    "ssl-ciphers",
    "ssl-prefer-server-ciphers",
    "ssl-passthrough",
    "upstream-hash-by",
    "upstream-hash-by-subset",
    "upstream-hash-by-subset-size",
    "upstream-vhost",
    "x-forwarded-prefix",
]


def test_every_name_of_ingress_nginx_has_an_answer():
    assert len(set(NAMES)) == 138
    assert set(NAMES) <= set(TABLE)
    assert all(row.note for row in ROWS if row.answer != Answer.APPLIED)
    assert {row.target for row in ROWS} - {""} <= set(Options.__struct_fields__)


def test_the_page_is_made_from_the_table():
    page = Path(__file__).parents[3] / "docs" / "annotations.md"
    assert page.read_text() == annotations_page()


@pytest.mark.parametrize(
    "name", [row.name for row in ROWS if row.answer in {Answer.UNSUPPORTED, Answer.REFUSED, Answer.IDLE}]
)
def test_what_does_nothing_is_told_and_what_guards_closes(name):
    found = intent(ingress(annotations=notes(**{name: "x"})))
    assert codes(found)
    assert (found.routes[0].route.auth == (Deny(),)) is TABLE[name].security


@pytest.mark.parametrize("prefix", ["nginx.ingress.kubernetes.io/", "weirkeeper.io/"])
def test_both_prefixes_say_the_same(prefix):
    assert routes(ingress(annotations=str({prefix + "upstream-vhost": "v.example"})))[0].rewrite.host == "v.example"


def test_our_prefix_wins_a_contradiction():
    found = intent(
        ingress(
            annotations=str({"nginx.ingress.kubernetes.io/upstream-vhost": "n", "weirkeeper.io/upstream-vhost": "w"})
        )
    )
    assert found.routes[0].route.rewrite.host == "w"
    assert codes(found) == [Reason.ANNOTATION_CONFLICT]


def test_an_unknown_name_is_told_with_the_nearest_one():
    [told] = [
        f
        for f in intent(ingress(annotations=notes(rewrite_targt="/"))).findings
        if f.reason == Reason.UNKNOWN_ANNOTATION
    ]
    assert "rewrite-target" in told.remedy
    assert told.origin.path == "metadata.annotations[nginx.ingress.kubernetes.io/rewrite-targt]"


WRONG = [
    ("proxy_connect_timeout", "soon", False),
    ("proxy_body_size", "8 mega", True),
    ("allowlist_source_range", "10.0.0.0/8,nonsense", True),
    ("denylist_source_range", "1.2.3.4/99", True),
    ("auth_url", "ftp://x", True),
    ("auth_url", "http://a.d.svc.cluster.local/$evil", True),
    ("auth_type", "digest", True),
    ("limit_rps", "-1", True),
    ("backend_protocol", "FCGI", False),
    ("permanent_redirect", "javascript:alert(1)", False),
    ("app_root", "no slash", False),
    ("rewrite_target", "/$host", False),
    ("upstream_hash_by", "$a$b", False),
    ("upstream_vhost", "a b", False),
    ("canary_by_header_pattern", "(?=a)", False),
    ("session_cookie_name", "a;b", False),
    ("custom_http_errors", "200", False),
    ("x_forwarded_prefix", "a\nb", False),
    ("proxy_ssl_verify", "maybe", True),
    ("auth_request_redirect", "https://$host/x", False),
    ("permanent_redirect_code", "200", False),
]


@pytest.mark.parametrize(("name", "value", "closes"), WRONG)
def test_a_wrong_value_is_told_and_closes_what_it_guards(name, value, closes):
    found = intent(ingress(annotations=notes(**{name: value})))
    assert codes(found)[0] in {Reason.INVALID_ANNOTATION, Reason.INVALID_REGEX}
    assert (found.routes[0].route.auth == (Deny(),)) is closes


FIELDS = [
    ({"proxy_read_timeout": "30", "proxy_send_timeout": "90s"}, "timeouts.idle", 90_000),
    ({"proxy_body_size": "8m"}, "body_limit", 8 * 1024 * 1024),
    ({"proxy_body_size": "0"}, "body_limit", None),
    ({"proxy_request_buffering": "on"}, "buffer_requests", True),
    ({"x_forwarded_prefix": "/p"}, "forwarded_prefix", "/p"),
    ({"enable_access_log": "false"}, "access_log", False),
    ({"enable_cors": "true"}, "cors.credentials", False),
    ({"enable_cors": "true", "cors_allow_origin": "https://A.example"}, "cors.origins", ("https://a.example",)),
    ({"enable_cors": "true", "cors_allow_origin": "https://a.example"}, "cors.credentials", True),
    ({"allowlist_source_range": "10.0.0.7,::1"}, "ip_rules.allow", ("10.0.0.7/32", "::1/128")),
    ({"whitelist_source_range": "10.0.0.7"}, "ip_rules.allow", ("10.0.0.7/32",)),
    ({"denylist_source_range": "10.0.0.0/8"}, "ip_rules.deny", ("10.0.0.0/8",)),
    ({"proxy_next_upstream": "error http_502", "proxy_next_upstream_tries": "2"}, "retry.statuses", (502,)),
    ({"proxy_next_upstream": "off"}, "retry.attempts", 0),
    ({"affinity": "cookie", "session_cookie_max_age": "60"}, "affinity", CookieAffinity(name="INGRESSCOOKIE", path="/", ttl=60_000)),
    ({"upstream_hash_by": "$http_x_user_id"}, "affinity", HashOn(on="header", name="x-user-id")),
    ({"upstream_hash_by": "$binary_remote_addr"}, "affinity", HashOn(on="ip")),
    ({"permanent_redirect": "https://n.example$request_uri"}, "action", Redirect(scheme="https", host="n.example", status=301)),
    ({"permanent_redirect": "https://n.example/x", "permanent_redirect_code": "308"}, "action", Redirect(to="https://n.example/x", status=308)),
    ({"temporal_redirect": "http://n.example:81$request_uri"}, "action", Redirect(scheme="http", host="n.example", port=81, status=302)),
    ({"proxy_cookie_path": "/a /b"}, "cookie_rewrites.0.new", "/b"),
    ({"proxy_redirect_from": "http://x", "proxy_redirect_to": "https://x"}, "location_rewrites.0.new", "https://x"),
    ({"connection_proxy_header": "keep-alive"}, "request_headers.set.0.value", "keep-alive"),
    ({"limit_rps": "5", "limit_burst_multiplier": "3"}, "rate_limits.0.burst", 15),
    ({"limit_rpm": "5", "limit_allowlist": "10.0.0.1"}, "rate_limits.0.except_from", ("10.0.0.1/32",)),
    ({"limit_connections": "9"}, "rate_limits.0.amount", 9),
    ({"custom_http_errors": "404,503", "default_backend": "shop"}, "error_pages.codes", (404, 503)),
    ({"default_backend": "shop"}, "error_pages.backend", "d/shop/80"),
    ({"default_backend": "shop"}, "error_pages.codes", ()),
    ({"default_backend": "shop"}, "error_pages.own_codes", (503,)),
    ({"default_backend": "shop"}, "error_pages.headers.2.value", "shop"),
    ({"default_backend": "shop"}, "error_pages.headers.3.value", "80"),
    ({"mirror_target": "http://shop.d.svc.cluster.local$request_uri"}, "mirrors.0.backend", "d/shop/80"),
    ({"backend_protocol": "grpc"}, "protocol", "grpc"),
]  # fmt: skip


@pytest.mark.parametrize(("annotations", "where", "value"), FIELDS)
def test_an_annotation_becomes_a_field_of_the_route(annotations, where, value):
    found = routes(ingress(annotations=notes(**annotations)))[0]
    for step in where.split("."):
        found = found[int(step)] if step.isdigit() else getattr(found, step)
    assert found == value


VARIANTS = [
    ({"backend_protocol": "HTTPS"}, lambda b: b.tls is not None and not b.tls.verify),
    ({"backend_protocol": "GRPCS"}, lambda b: b.protocol == "grpc" and b.tls is not None),
    ({"load_balance": "ewma"}, lambda b: b.balancing == PeakEwma()),
    ({"affinity": "cookie"}, lambda b: b.balancing == ConsistentHash()),
    ({"upstream_hash_by": "$host"}, lambda b: b.balancing == ConsistentHash()),
    ({"proxy_connect_timeout": "2"}, lambda b: b.connect_timeout == 2000),
    ({"service_upstream": "true"}, lambda b: b.source == FromServiceAddress(id="d/shop/80/address")),
]


@pytest.mark.parametrize(("annotations", "right"), VARIANTS)
def test_wishes_about_a_backend_make_a_variant_of_it(annotations, right):
    [backend] = intent(ingress(annotations=notes(**annotations))).backends
    assert right(backend)
    assert backend.id == "d/shop/80~d/i"


@pytest.mark.parametrize(
    "annotations",
    [
        {"load_balance": "round_robin"},
        {"proxy_connect_timeout": "5"},
        {"backend_protocol": "HTTP"},
        {"affinity": "cookie", "affinity_mode": "persistent"},
    ],
)
def test_a_wish_for_what_is_so_anyway_makes_no_variant(annotations):
    assert intent(ingress(annotations=notes(**annotations))).backends[0].id == "d/shop/80"


@pytest.mark.parametrize(
    ("at", "target", "rewrite"),
    [
        ("/a", "/", FullPath(value="/")),
        ("/a(/|$)(.*)", "/$2", RegexSubstitution(pattern="(?i)^(?:/a(/|$)(.*)).*$", substitution="/\\2")),
        ("/a/(.*)", "/b/$1/$2", RegexSubstitution(pattern="(?i)^(?:/a/(.*)).*$", substitution="/b/\\1/")),
    ],
)
def test_rewrites_replace_the_whole_path(at, target, rewrite):
    [route] = routes(ingress(path(at, "ImplementationSpecific"), annotations=notes(rewrite_target=target)))
    assert route.rewrite.path == rewrite
    assert route.match.path.prefix
    assert not route.match.path.case_sensitive


def test_app_root_and_www_are_routes_of_their_own():
    found = intent(ingress(annotations=notes(app_root="/start", from_to_www_redirect="true"))).routes
    by_host = [(h.hostname, h.route.action) for h in found[1:]]
    assert by_host == [
        ("a.example", Redirect(path=FullPath(value="/start"), status=302)),
        ("www.a.example", Redirect(host="a.example", status=308)),
    ]


def test_an_alias_has_the_same_routes():
    assert [h.hostname for h in intent(ingress(annotations=notes(server_alias="b.example,*.c.example"))).routes] == [
        "a.example",
        "b.example",
        "*.c.example",
    ]


def secret(name, namespace="d", **entries):
    return f"kind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\nstringData: {json.dumps(entries)}"


def test_users_come_from_an_htpasswd_secret_or_a_map():
    asked = {"auth_type": "basic", "auth_secret": "u", "auth_realm": "shop"}
    [auth] = routes(secret("u", auth="ann:{SHA}abc=\nbob:x\n"), ingress(annotations=notes(**asked)))[0].auth
    assert isinstance(auth, BasicAuth)
    assert ([u.user for u in auth.users], auth.realm) == (["ann", "bob"], "shop")
    [auth] = routes(secret("u", eve="{SHA}x"), ingress(annotations=notes(auth_secret_type="auth-map", **asked)))[0].auth
    assert [u.user for u in auth.users] == ["eve"]


@pytest.mark.parametrize(
    ("asked", "there", "reason"),
    [
        ({"auth_type": "basic", "auth_secret": "gone"}, "", Reason.SECRET_NOT_FOUND),
        ({"auth_type": "basic"}, "", Reason.INVALID_ANNOTATION),
        ({"auth_secret": "u"}, secret("u", auth="a:b"), Reason.INVALID_ANNOTATION),
        ({"auth_type": "basic", "auth_secret": "u"}, secret("u", other="x"), Reason.INVALID_SECRET),
        ({"auth_type": "basic", "auth_secret": "u"}, secret("u", auth="nonsense"), Reason.INVALID_SECRET),
        ({"auth_type": "basic", "auth_secret": "e/u"}, secret("u", "e", auth="a:b"), Reason.CROSS_NAMESPACE),
        ({"auth_url": "http://gone.d.svc.cluster.local"}, "", Reason.INVALID_ANNOTATION),
        ({"auth_url": "http://169.254.169.254/"}, "", Reason.INVALID_ANNOTATION),
        ({"auth_url": "https://kubernetes.default.svc/"}, "", Reason.INVALID_ANNOTATION),
        ({"backend_protocol": "HTTPS", "proxy_ssl_secret": "gone"}, "", Reason.SECRET_NOT_FOUND),
        ({"backend_protocol": "HTTPS", "proxy_ssl_verify": "on"}, "", Reason.INVALID_ANNOTATION),
    ],
)
def test_a_guard_that_cannot_stand_lets_nobody_through(asked, there, reason):
    found = intent(there, ingress(annotations=notes(**asked)))
    assert found.routes[0].route.auth == (Deny(),)
    assert reason in codes(found)


def test_a_service_that_is_asked():
    asked = {
        "auth_url": "http://shop.d.svc.cluster.local/check?x=1",
        "auth_signin": "https://$host/login?rd=$escaped_request_uri",
        "auth_response_headers": "X-User",
        "auth_request_redirect": "/after",
    }
    found = intent(ingress(annotations=notes(**asked)))
    [auth] = found.routes[0].route.auth
    assert isinstance(auth, ExternalAuth)
    [service] = [one for one in found.backends if one.id == auth.backend]
    assert service.source == FromEndpointSet(id="d/shop/80")
    assert service.requests_as == RequestAs(host="shop.d.svc.cluster.local", method="GET")
    assert auth.redirect == "/after"
    assert (auth.path, auth.query, auth.sign_in, auth.response_headers) == (
        "/check",
        "x=1",
        "/login",
        ("X-User",),
    )


def test_custom_headers_come_from_a_config_map():
    world = "kind: ConfigMap\nmetadata: {name: h, namespace: d}\ndata: {X-A: '1', Connection: close}"
    found = intent(world, ingress(annotations=notes(custom_headers="d/h")))
    assert [(p.name, p.value) for p in found.routes[0].route.response_headers.set] == [("X-A", "1")]
    assert codes(found) == [Reason.INVALID_ANNOTATION]
    assert codes(intent(ingress(annotations=notes(custom_headers="gone")))) == [Reason.CONFIGMAP_NOT_FOUND]


NEXT = SHOP.replace("name: shop", "name: next")


def canary(namespace="d", **wishes):
    return ingress(path(service="next"), name="c", namespace=namespace, annotations=notes(canary="true", **wishes))


def test_a_canary_by_weight_shares_the_main_route():
    [route] = routes(NEXT, ingress(), canary(canary_weight="30"))
    assert [(b.backend, b.weight) for b in route.action.backends] == [("d/shop/80", 70), ("d/next/80", 30)]


def test_a_canary_by_header_and_cookie_is_tried_before_the_main_route():
    found = routes(NEXT, ingress(), canary(canary_by_header="x", canary_by_cookie="k", canary_weight="0"))
    tried = [
        (r.match.headers[0].match if r.match.headers else r.match.cookies[:1], r.action.backends[0].backend)
        for r in found
    ]
    assert tried == [
        (Exactly(value="always"), "d/next/80"),
        (Exactly(value="never"), "d/shop/80"),
        ((CookieMatch(name="k", value="always"),), "d/next/80"),
        ((CookieMatch(name="k", value="never"),), "d/shop/80"),
        ((), "d/shop/80"),
    ]
    assert [r.id for r in found[:4]] == sorted(r.id for r in found[:4])


def test_a_canary_without_main_or_of_another_namespace_gets_nothing():
    assert codes(World(SHOP, NEXT, canary(canary_weight="9")).intents()["c"]) == [Reason.CANARY_WITHOUT_MAIN]
    world = World(SHOP, ingress(), canary("e", canary_weight="9"))
    assert len(world.intents()["i"].routes) == 1
    assert codes(world.intents()["c"]) == [Reason.CANARY_WITHOUT_MAIN]


def test_a_canary_that_comes_changes_only_the_ingress_beside_it():
    world = World(SHOP, NEXT, ingress(), ingress(name="far", host="b.example"))
    far = world.intents()["far"]
    world.put(canary(canary_weight="50"))
    assert len(world.intents()["i"].routes[0].route.action.backends) == 2
    assert world.intents()["far"] is far


@pytest.mark.parametrize(("name", "told"), [({}, True), ({"proxy_ssl_name": "b.internal"}, False)])
def test_a_backend_that_is_verified_by_its_authority_alone_is_told(name, told):
    pem = "-----BEGIN CERTIFICATE-----\\nMA==\\n-----END CERTIFICATE-----\\n"
    secret = f'kind: Secret\nmetadata: {{name: ca, namespace: d}}\nstringData: {{ca.crt: "{pem}"}}'
    asked = notes(backend_protocol="HTTPS", proxy_ssl_verify="on", proxy_ssl_secret="ca", **name)
    found = intent(secret, ingress(annotations=asked))
    assert (Reason.VERIFY_OFF in codes(found)) is told


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("{X-A: '1', X-B: two}", None),
        ("{X-A: $host}", Reason.INVALID_ANNOTATION),
        ("{Host: a}", Reason.INVALID_ANNOTATION),
        (None, Reason.CONFIGMAP_NOT_FOUND),
    ],
)
def test_headers_of_the_question_come_from_a_config_map(data, reason):
    there = [] if data is None else [f"kind: ConfigMap\nmetadata: {{name: h, namespace: d}}\ndata: {data}"]
    asked = notes(auth_url="http://shop.d.svc.cluster.local/", auth_proxy_set_headers="h")
    found = intent(*there, ingress(annotations=asked))
    assert codes(found) == ([] if reason is None else [reason])
    [auth] = found.routes[0].route.auth
    if reason is None:
        assert [(pair.name, pair.value) for pair in auth.headers] == [("X-A", "1"), ("X-B", "two")]
    else:
        assert auth == Deny()
