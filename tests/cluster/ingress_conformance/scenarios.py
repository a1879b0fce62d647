"""The 25 scenarios of kubernetes-sigs/ingress-controller-conformance, under their names, in words of our own.

Comes in: nothing. Goes out: `FEATURES`: for each feature the Ingress that all of its scenarios share and, for each scenario, the requests with what
has to come of them. Values only: who applies the Ingress and where requests go is a stage's business (files.py, cluster.py).
"""

from collections.abc import Iterator
from typing import NamedTuple

TLS_SECRET = "conformance-tls"
TLS_HOST = "foo.bar.com"
PORT = {"number": 8080}
"""What upstream's client calls itself: a backend has to see it unchanged."""
AGENT = "Go-http-client/1.1"


class Asked(NamedTuple):
    """One request and what has to come of it. Without a service the answer need not come from a backend."""

    url: str
    status: int = 200
    service: str = ""
    method: str = "GET"
    host: str | None = None  # the Host header, where it is not the URL's
    secure_name: str = ""  # the certificate has to be for this name
    in_full: bool = False  # also the method, path, protocol and headers are looked at, on both sides


class Scenario(NamedTuple):
    """One of upstream's scenarios: its title, the remark below it, its requests."""

    title: str
    note: str
    asked: tuple[Asked, ...] = ()
    pods: int = 1  # so many pods have to answer
    shown: bool = True  # whether the Ingress's status has to show an address

    @property
    def id(self) -> str:
        """Title and remark: only both together are unique."""
        return f"{self.title} ({self.note})"


class Feature(NamedTuple):
    """The scenarios that share one Ingress."""

    name: str
    ingress: dict
    scenarios: tuple[Scenario, ...]
    tls: bool = False

    @property
    def services(self) -> tuple[str, ...]:
        """The Services that its Ingress names."""
        return tuple(dict.fromkeys(_services(self.ingress)))


def _services(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if "service" in value:
            yield value["service"]["name"]
        for inner in value.values():
            yield from _services(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _services(inner)


def classed(ingress: dict, name: str) -> dict:
    """The Ingress with a class; one that names another stays as it is."""
    return {**ingress, "spec": {"ingressClassName": name, **ingress["spec"]}}


def _ingress(name: str, **spec: object) -> dict:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name}, "spec": spec}


def _backend(service: str, port: dict | None = None) -> dict:
    return {"service": {"name": service, "port": port or PORT}}


def _rule(host: str, *paths: tuple[str, str, str], port: dict | None = None) -> dict:
    """A rule for a host; each path is (path type, path, service)."""
    made = [{"path": path, "pathType": kind, "backend": _backend(service, port)} for kind, path, service in paths]
    return {"host": host, "http": {"paths": made}}


HOST_RULES = Feature(
    "host rules",
    _ingress(
        "host-rules",
        tls=[{"hosts": [TLS_HOST], "secretName": TLS_SECRET}],
        rules=[
            _rule("*.foo.com", ("Prefix", "/", "wildcard-foo-com")),
            _rule(TLS_HOST, ("Prefix", "/", "foo-bar-com"), port={"name": "http"}),
        ],
    ),
    (
        Scenario(
            "An Ingress with a host rule should send TLS traffic to the matching backend service",
            "host foo.bar.com matches request foo.bar.com",
            (Asked("https://foo.bar.com/", service="foo-bar-com", secure_name=TLS_HOST),),
        ),
        Scenario(
            "An Ingress with a host rule should send traffic to the matching backend service",
            "host foo.bar.com matches request foo.bar.com",
            (Asked("http://foo.bar.com/", service="foo-bar-com"),),
        ),
        Scenario(
            "An Ingress with a host rule should not route traffic when hostname does not match",
            "host foo.bar.com does not match request subdomain.bar.com",
            (Asked("http://subdomain.bar.com/", 404),),
        ),
        Scenario(
            "An Ingress with a wildcard host rule should send traffic to the matching backend service",
            "Matches based on shared suffix",
            (Asked("http://bar.foo.com/", service="wildcard-foo-com"),),
        ),
        Scenario(
            "An Ingress with a wildcard host rule should not route traffic matching on more than a single dns label",
            "No match, wildcard only covers a single DNS label",
            (Asked("http://baz.bar.foo.com/", 404),),
        ),
        Scenario(
            "An Ingress with a wildcard host rule should not route traffic matching no dns label",
            "No match, wildcard only covers a single DNS label",
            (Asked("http://foo.com/", 404),),
        ),
    ),
    tls=True,
)

EXACT, PREFIX, MIXED, SLASHES = "exact-path-rules", "prefix-path-rules", "mixed-path-rules", "trailing-slash-path-rules"


def _takes(title: str, note: str, host: str, path: str, service: str) -> Scenario:
    return Scenario(title, note, (Asked(f"http://{host}{path}", service=service),))


def _leaves(title: str, note: str, host: str, path: str) -> Scenario:
    return Scenario(title, note, (Asked(f"http://{host}{path}", 404),))


PATH_RULES = Feature(
    "path rules",
    _ingress(
        "path-rules",
        rules=[
            _rule(EXACT, ("Exact", "/foo", "foo-exact")),
            _rule(
                PREFIX,
                ("Prefix", "/foo", "foo-prefix"),
                ("Prefix", "/aaa/bbb", "aaa-slash-bbb-prefix"),
                ("Prefix", "/aaa", "aaa-prefix"),
            ),
            _rule(MIXED, ("Prefix", "/foo", "foo-prefix"), ("Exact", "/foo", "foo-exact")),
            _rule(SLASHES, ("Prefix", "/aaa/bbb/", "aaa-slash-bbb-slash-prefix"), ("Exact", "/foo/", "foo-slash-exact")),
        ],
    ),
    (
        _takes(
            "An Ingress with exact path rules should send traffic to the matching backend service",
            "exact /foo matches request /foo", EXACT, "/foo", "foo-exact",
        ),
        _leaves(
            "An Ingress with exact path rules should not match requests with trailing slash",
            "exact /foo does not match request /foo/", EXACT, "/foo/",
        ),
        _leaves(
            "An Ingress with exact path rules should be case sensitive",
            "exact /foo does not match request /FOO", EXACT, "/FOO",
        ),
        _leaves(
            "An Ingress with exact path rules should not match any other label",
            "exact /foo does not match request /bar", EXACT, "/bar",
        ),
        _takes(
            "An Ingress with prefix path rules should send traffic to the matching backend service",
            "prefix /foo matches request /foo", PREFIX, "/foo", "foo-prefix",
        ),
        _takes(
            "An Ingress with prefix path rules should ignore the request trailing slash and send traffic to the matching backend service",
            "prefix /foo matches request /foo/", PREFIX, "/foo/", "foo-prefix",
        ),
        _leaves(
            "An Ingress with prefix path rules should be case sensitive",
            "prefix /foo does not match request /FOO", PREFIX, "/FOO",
        ),
        _takes(
            "An Ingress with prefix path rules should match multiple labels, match the longest path, and send traffic to the matching"
            " backend service",
            "prefix /aaa/bbb matches request /aaa/bbb", PREFIX, "/aaa/bbb", "aaa-slash-bbb-prefix",
        ),
        _takes(
            "An Ingress with prefix path rules should match multiple labels, match the longest path, and subpaths and send traffic to the"
            " matching backend service",
            "prefix /aaa/bbb matches request /aaa/bbb/ccc", PREFIX, "/aaa/bbb/ccc", "aaa-slash-bbb-prefix",
        ),
        _takes(
            "An Ingress with prefix path rules should and send traffic to the matching backend service",
            "prefix /aaa matches request /aaa/ccc", PREFIX, "/aaa/ccc", "aaa-prefix",
        ),
        _leaves(
            "An Ingress with prefix path rules should match each labels string prefix",
            "prefix /aaa does not match request /aaaccc", PREFIX, "/aaaccc",
        ),
        _takes(
            "An Ingress with prefix path rules should ignore the request trailing slash and send traffic to the matching backend service",
            "prefix /foo matches request /foo/, a second time", PREFIX, "/foo/", "foo-prefix",
        ),
        _takes(
            "An Ingress with mixed path rules should send traffic to the matching backend service where Exact is preferred",
            "exact /foo matches request /foo", MIXED, "/foo", "foo-exact",
        ),
        _takes(
            "An Ingress with a trailing slashes in a prefix path rule should ignore the trailing slash and send traffic to the matching"
            " backend service",
            "prefix /aaa/bbb/ matches request /aaa/bbb", SLASHES, "/aaa/bbb", "aaa-slash-bbb-slash-prefix",
        ),
        _takes(
            "An Ingress with a trailing slashes in a prefix path rule should ignore the trailing slash and send traffic to the matching"
            " backend service",
            "prefix /aaa/bbb/ matches request /aaa/bbb/", SLASHES, "/aaa/bbb/", "aaa-slash-bbb-slash-prefix",
        ),
        _leaves(
            "An Ingress with a trailing slashes in an exact path rule should not match requests without a trailing slash",
            "exact /foo/ does not match request /foo", SLASHES, "/foo",
        ),
    ),
)  # fmt: skip

# (method, host, path); the one without a host is asked for by address, as a client does that knows no name
EXAMPLES = (
    ("GET", "my-host", "/"),
    ("GET", "my-host", "/sub-path"),
    ("POST", "some-host", "/"),
    ("PUT", "", "/resource"),
    ("DELETE", "some-host", "/resource"),
    ("PATCH", "my-host", "/resource"),
)

DEFAULT_BACKEND = Feature(
    "default backend",
    _ingress("default-backend", defaultBackend=_backend("echo-service")),
    (
        Scenario(
            "An Ingress with no rules should send all requests to the default backend",
            "six requests, looked at in full",
            tuple(
                Asked(f"http://{host or '$(ADDRESS)'}{path}", service="echo-service", method=method, in_full=True)
                for method, host, path in EXAMPLES
            ),
        ),
    ),
)

LOAD_BALANCING = Feature(
    "load balancing",
    _ingress("load-balancing", defaultBackend=_backend("echo-service")),
    (
        Scenario(
            "An Ingress with no rules should send all requests to the default backend and",
            "100 requests reach all of 10 pods",
            (Asked("http://load-balancing/", service="echo-service"),) * 100,
            pods=10,
        ),
    ),
)

INGRESS_CLASS = Feature(
    "ingress class",
    _ingress(
        "test-ingress-class",
        ingressClassName="some-invalid-class-name",
        rules=[_rule("ingress-class", ("Prefix", "/", "ingress-class-prefix"))],
    ),
    (
        Scenario(
            "An Ingress with an invalid ingress class should not send traffic to the matching backend service",
            "the class is nobody's",
            (Asked("http://ingress-class/", 404),),
            shown=False,
        ),
    ),
)

FEATURES = (HOST_RULES, PATH_RULES, DEFAULT_BACKEND, LOAD_BALANCING, INGRESS_CLASS)
CASES = tuple((feature, scenario) for feature in FEATURES for scenario in feature.scenarios)
