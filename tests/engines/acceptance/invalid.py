"""The many ways in which one object can be invalid: each a file's content, the reason that must be given, and the field that must be named.

In: a port of an echo backend, and an authority. Out: `Kind`s. Every file is about objects in the namespace `bad` (or about no object at all), except
those that claim a host and path which a good object has.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from weirkeeper.model.finding import Reason
from weirkeeper.testing.certificates import Authority, broken_pairs, questionable_pairs

HOST = "bad.example"
NGINX = "nginx.ingress.kubernetes.io/"


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of invalid."""

    name: str
    content: bytes
    reason: Reason
    field: str = ""


def ingress(**spec: Any) -> dict[str, Any]:
    """A sound Ingress of the host, with these parts of its spec instead."""
    sound = {"ingressClassName": "weirkeeper", "rules": [rule()]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "bad", "namespace": "bad"},
        "spec": {**sound, **spec},
    }


def rule(host: Any = HOST, *paths: Any) -> dict[str, Any]:
    return {"host": host, "http": {"paths": list(paths) or [path()]}}


def path(text: Any = "/", kind: Any = "Prefix", backend: Any = None) -> dict[str, Any]:
    return {"path": text, "pathType": kind, "backend": backend or to()}


def to(name: Any = "echo", port: Any = 80) -> dict[str, Any]:
    return {"service": {"name": name, "port": {"name" if isinstance(port, str) else "number": port}}}


def with_path(*paths: Any) -> dict[str, Any]:
    return ingress(rules=[rule(HOST, *paths)])


def noted(**annotations: Any) -> dict[str, Any]:
    made = ingress()
    made["metadata"]["annotations"] = {NGINX + name.replace("_", "-"): text for name, text in annotations.items()}
    return made


def service(name: str, port: int, **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "targetPort": port}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "bad"},
        "spec": {"ports": ports, **spec},
    }


def endpoints(service_name: str, address: str, port: int) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": service_name, "namespace": "bad", "labels": {"kubernetes.io/service-name": service_name}},
        "addressType": "IPv4",
        "ports": [{"port": port}],
        "endpoints": [{"addresses": [address]}],
    }


def secret(name: str, **texts: str | bytes) -> dict[str, Any]:
    encoded = {key.replace("_", "."): base64.b64encode(_bytes(text)).decode() for key, text in texts.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "bad"}, "data": encoded}


def over_tls() -> dict[str, Any]:
    return ingress(tls=[{"hosts": [HOST], "secretName": "web"}])


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _file(*documents: dict[str, Any]) -> bytes:
    return "\n---\n".join(json.dumps(one) for one in documents).encode()


def kinds(port: int, authority: Authority, taken_host: str) -> Iterator[Kind]:
    """All kinds; `taken_host` is a host whose path `/` a good object has."""
    backend = (service("echo", port), endpoints("echo", "127.0.0.1", port))

    def kind(name: str, reason: Reason, field: str, *documents: dict[str, Any]) -> Kind:
        return Kind(name=name, content=_file(*documents, *backend), reason=reason, field=field)

    def raw(name: str, reason: Reason, content: str | bytes, field: str = "") -> Kind:
        return Kind(name=name, content=_bytes(content), reason=reason, field=field)

    yield from _unreadable(raw)
    for name, reason, field, documents in [*_shapes(), *_hosts(), *_paths(taken_host), *_backends(port), *_annotations()]:
        yield kind(name, reason, field, *documents)
    yield from (kind(name, reason, field, *docs) for name, reason, field, docs in _certificates(authority))


def _unreadable(raw: Any) -> Iterator[Kind]:
    syntax = Reason.INVALID_SYNTAX
    yield raw("an open bracket", syntax, "kind: [\n")
    yield raw("a tab as indentation", syntax, "kind: Ingress\nmetadata:\n\tname: bad\n")
    yield raw("a key twice", syntax, "kind: Ingress\nkind: Ingress\n")
    yield raw("a template", syntax, "kind: {{ .Values.kind }}\n")
    yield raw("an alias without anchor", syntax, "kind: *nothing\n")
    yield raw("a bomb of aliases", syntax, "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{b}: &{b} [{','.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ))  # fmt: skip
    yield raw("no UTF-8", Reason.UNREADABLE_FILE, b"kind: \xff\xfe\xff\n")


Row = tuple[str, Reason, str, tuple[dict[str, Any], ...]]


def _shapes() -> Iterator[Row]:
    invalid, name = Reason.INVALID_OBJECT, Reason.INVALID_NAME

    def named(value: Any) -> tuple[dict[str, Any]]:
        made = ingress()
        made["metadata"]["name"] = value
        return (made,)

    yield "no name", name, "metadata.name", named(None)
    yield "a name with capitals", name, "metadata.name", named("Bad_Name")
    yield "a name that is a number", name, "metadata.name", named(7)
    yield "a name with a newline", name, "metadata.name", named("bad\n")
    yield "a name that leads out of the folder", name, "metadata.name", named("../../etc/passwd")
    yield "no kind", invalid, "", ({key: value for key, value in ingress().items() if key != "kind"},)
    yield "no apiVersion", invalid, "", ({key: value for key, value in ingress().items() if key != "apiVersion"},)
    yield "a version of the future", Reason.OLD_FORM, "apiVersion", ({**ingress(), "apiVersion": "networking.k8s.io/v9"},)
    yield "rules as a mapping", invalid, "spec.rules", (ingress(rules={"host": HOST}),)
    yield "paths as a text", invalid, "spec.rules[0].http.paths", (ingress(rules=[{"host": HOST, "http": {"paths": "/"}}]),)
    yield "a host as a number", invalid, "spec.rules[0].host", (ingress(rules=[rule(7)]),)
    yield "a port as a text", invalid, "port.number", (with_path(path(backend={"service": {"name": "echo", "port": {"number": "80"}}})),)
    yield "an annotation as a boolean", invalid, "annotations", (noted(ssl_redirect=True),)
    yield "the same object twice", Reason.DUPLICATE_OBJECT, "", (ingress(), ingress())
    yield "a Service port beyond 65535", invalid, "spec.ports[0].port", (ingress(), service("other", 9, ports=[{"port": 70000}]))


def _hosts() -> Iterator[Row]:
    long = ".".join(["a" * 60] * 5)
    texts = {
        "with a space": "not a host", "with a port": "bad.example:80", "with a wildcard inside": "a.*.example", "with two wildcards": "*.*.example",
        "with an underscore": "bad_host.example", "with an umlaut": "bäd.example", "with a newline": "bad.example\n", "too long": long,
        "with a scheme": "http://bad.example", "with empty labels": "bad..example", "with a formatter": "%REQ(host)%.example",
        "that begins with a hyphen": "-bad.example", "that is a regular expression": "~^bad", "with a NUL": "bad\x00.example",
    }  # fmt: skip
    for name, text in texts.items():
        yield f"a host {name}", Reason.INVALID_HOST, "spec.rules[0].host", (ingress(rules=[rule(text)]),)


def _paths(taken_host: str) -> Iterator[Row]:
    at = "spec.rules[0].http.paths[0].path"
    texts = {
        "that is relative": "shop", "with a space": "/a b", "with a query": "/a?b=c", "with a fragment": "/a#b", "with a newline": "/a\nb",
        "that is far too long": "/" + "a" * 5000, "with a broken escape": "/%zz", "with braces": "/${a}", "with a NUL": "/\x00", "with an umlaut": "/ä",
    }  # fmt: skip
    for name, text in texts.items():
        yield f"a path {name}", Reason.INVALID_PATH, at, (with_path(path(text, "Exact")),)
    yield "a path of an unknown type", Reason.INVALID_PATH, at.removesuffix("path"), (with_path(path("/", "Glob")),)
    regexes = {
        "that does not close": "/(", "that is huge": "/" + "(a|b)" * 400, "with a back reference": "/(a)\\1", "with a look-ahead": "/a(?=b)",
        "with a wild repetition": "/a{1,9999}", "with a bad class": "/[z-a]", "with a stray quantifier": "/*+",
    }  # fmt: skip
    for name, text in regexes.items():
        made = with_path(path(text, "ImplementationSpecific"))
        made["metadata"]["annotations"] = {NGINX + "use-regex": "true"}
        yield f"an expression {name}", Reason.INVALID_REGEX, at, (made,)
    yield "a path twice", Reason.DUPLICATE_ROUTE, "spec.rules[0].http.paths[1].path", (with_path(path("/a"), path("/a")),)
    yield "a host and path of another object", Reason.DUPLICATE_ROUTE, at.removesuffix(".path"), (ingress(rules=[rule(taken_host)]),)
    yield "no rules at all", Reason.NO_RULES, "spec", (ingress(rules=[]),)


def _backends(port: int) -> Iterator[Row]:
    at = "spec.rules[0].http.paths[0].backend"
    resource = {"resource": {"apiGroup": "k8s.example", "kind": "Bucket", "name": "files"}}
    yield "an unknown Service", Reason.SERVICE_NOT_FOUND, f"{at}.service.name", (with_path(path(backend=to("nobody"))),)
    yield "an unknown port", Reason.PORT_NOT_FOUND, f"{at}.service.port.number", (with_path(path(backend=to(port=81))),)
    yield "an unknown port name", Reason.PORT_NOT_FOUND, f"{at}.service.port.name", (with_path(path(backend=to(port="web"))),)
    yield "no backend", Reason.UNSUPPORTED_BACKEND, at, (with_path({"path": "/", "pathType": "Prefix"}),)
    yield "a bucket as backend", Reason.UNSUPPORTED_BACKEND, at, (with_path(path(backend=resource)),)
    outside = service("outside", port, type="ExternalName", externalName="localhost")
    yield "an external name", Reason.EXTERNAL_NAME_REFUSED, f"{at}.service.name", (with_path(path(backend=to("outside"))), outside)
    udp = service("udp", port, ports=[{"port": 80, "protocol": "UDP"}])
    yield "a port of UDP only", Reason.PORT_NOT_FOUND, f"{at}.service.port.number", (with_path(path(backend=to("udp"))), udp)
    meta = (service("meta", port), endpoints("meta", "169.254.169.254", 80))
    yield "an endpoint at the cloud's metadata", Reason.ADDRESS_REFUSED, "endpoints[0].addresses[0]", (with_path(path(backend=to("meta"))), *meta)
    odd = (service("odd", port), endpoints("odd", "pod-7", 80))
    yield "an endpoint without an address", Reason.ADDRESS_REFUSED, "endpoints[0].addresses[0]", (with_path(path(backend=to("odd"))), *odd)


def _annotations() -> Iterator[Row]:
    values = {
        "ssl-redirect": "maybe", "force-ssl-redirect": "2", "permanent-redirect": "javascript:alert(1)", "permanent-redirect-code": "200",
        "temporal-redirect": "//evil", "temporal-redirect-code": "1000", "app-root": "start", "rewrite-target": "/$request_uri", "use-regex": "sometimes",
        "proxy-connect-timeout": "soon", "proxy-read-timeout": "-1", "proxy-send-timeout": "1e9", "proxy-body-size": "large",
        "backend-protocol": "SMTP", "affinity": "ip", "affinity-mode": "sticky", "session-cookie-name": "a b", "session-cookie-samesite": "Maybe",
        "session-cookie-max-age": "never", "session-cookie-path": "no-slash", "upstream-hash-by": "$foo", "load-balance": "magic", "canary": "perhaps",
        "cors-allow-origin": "not an origin", "cors-allow-methods": "GET;PUT", "cors-allow-headers": "X Y", "cors-max-age": "long",
        "whitelist-source-range": "everyone", "denylist-source-range": "300.0.0.1/8", "auth-url": "ftp://auth", "auth-type": "digest",
        "custom-http-errors": "200", "server-alias": "a b", "upstream-vhost": "a b", "mirror-target": "http://localhost/x",
        "limit-rps": "many", "limit-rpm": "0", "limit-connections": "-5", "x-forwarded-prefix": "/a\nb", "custom-headers": "a/b/c",
        "proxy-next-upstream": "always", "proxy-ssl-protocols": "SSLv3", "proxy-ssl-verify": "yes", "proxy-cookie-path": "one",
    }  # fmt: skip
    for name, text in values.items():
        yield f"{name}: {text!r}", Reason.INVALID_ANNOTATION, name, (noted(**{name: text}),)
    regex = noted(canary="true", canary_by_header="x", canary_by_header_pattern="(")
    yield "canary-by-header-pattern", Reason.INVALID_REGEX, "canary-by-header-pattern", (regex,)
    yield "a snippet", Reason.REFUSED_ANNOTATION, "configuration-snippet", (noted(configuration_snippet="return 200;"),)
    yield "an unknown annotation", Reason.UNKNOWN_ANNOTATION, "no-such-thing", (noted(no_such_thing="x"),)
    yield "a canary without a main", Reason.CANARY_WITHOUT_MAIN, "", (noted(canary="true", canary_weight="5"),)
    users = noted(auth_type="basic", auth_secret="nobody")
    yield "users that are not there", Reason.SECRET_NOT_FOUND, "auth-secret", (users,)
    wrong = noted(auth_type="basic", auth_secret="users")
    yield "users that are none", Reason.INVALID_SECRET, "auth-secret", (wrong, secret("users", auth="no colon here"))
    far = noted(auth_type="basic", auth_secret="default/users")
    yield "users of another namespace", Reason.CROSS_NAMESPACE, "auth-secret", (far,)
    unverified = noted(backend_protocol="HTTPS", proxy_ssl_verify="on")
    yield "verification without an authority", Reason.INVALID_ANNOTATION, "proxy-ssl-verify", (unverified,)


def _certificates(authority: Authority) -> Iterator[Row]:
    at = "spec.tls[0].secretName"
    yield "a Secret that is not there", Reason.SECRET_NOT_FOUND, at, (over_tls(),)
    yield "a Secret without a key", Reason.INVALID_CERTIFICATE, at, (over_tls(), secret("web", tls_crt=authority.issue(HOST).certificate))
    yield "a Secret without a certificate", Reason.INVALID_CERTIFICATE, at, (over_tls(), secret("web", tls_key=authority.issue(HOST).key))
    broken = secret("web")
    broken["data"] = {"tls.crt": "%%%", "tls.key": "%%%"}
    yield "a Secret that is no base64", Reason.INVALID_CERTIFICATE, at, (over_tls(), broken)
    for name, pair in broken_pairs(authority, HOST).items():
        yield f"a certificate: {name}", Reason.INVALID_CERTIFICATE, at, (over_tls(), secret("web", tls_crt=pair.certificate, tls_key=pair.key))
    reasons = {
        "expired": Reason.CERTIFICATE_EXPIRED,
        "for another host": Reason.CERTIFICATE_HOST_MISMATCH,
        "without names": Reason.CERTIFICATE_HOST_MISMATCH,
    }
    for name, pair in questionable_pairs(authority, HOST).items():
        if name in reasons:
            yield f"a certificate: {name}", reasons[name], at, (over_tls(), secret("web", tls_crt=pair.certificate, tls_key=pair.key))
