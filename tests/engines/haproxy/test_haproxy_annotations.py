"""Every annotation that acts, acts with HAProxy too or says why not: none is dropped without a word. HAProxy itself takes what they all become."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from weirkeeper.controllers.ingress import CONTROLLER
from weirkeeper.controllers.ingress.annotations.row import Answer
from weirkeeper.controllers.ingress.annotations.table import ROWS
from weirkeeper.providers.haproxy import PROVIDER
from weirkeeper.providers.haproxy.assembly import Assembly
from weirkeeper.providers.haproxy.binary import haproxy_binary
from weirkeeper.providers.haproxy.files import files
from weirkeeper.providers.haproxy.translate.skeleton import Frame
from weirkeeper.reconcile import Reconciler
from weirkeeper.testing import golden
from weirkeeper.testing.certificates import Authority

AUTHORITY = Authority("annotations")
PAIR = AUTHORITY.issue("shop.example")
BASIC = {"auth-type": "basic", "auth-secret": "users"}
EXTERNAL = {"auth-url": "http://web.default.svc.cluster.local/check"}
SIGN_IN = {**EXTERNAL, "auth-signin": "https://in.example/"}
CORS = {"enable-cors": "true"}
COOKIE = {"affinity": "cookie", "session-cookie-name": "stay"}
CLIENTS = {"auth-tls-secret": "trust"}
SECURE = {"backend-protocol": "HTTPS"}
TRUSTED = {**SECURE, "proxy-ssl-secret": "trust", "proxy-ssl-name": "web.internal", "proxy-ssl-verify": "on"}
RATE = {"limit-rps": "5"}
CANARY = {"canary": "true"}
BESIDE: dict[str, dict[str, str]] = {
    "force-ssl-redirect": {"ssl-redirect": "false"},
    "canary": {"canary-weight": "7"},
    "permanent-redirect-code": {"permanent-redirect": "https://x.example/"},
    "temporal-redirect-code": {"temporal-redirect": "https://x.example/"},
    "rewrite-target": {"use-regex": "true"},
    "proxy-next-upstream-tries": {"proxy-next-upstream": "error http_503"},
    "affinity-mode": COOKIE,
    "session-cookie-name": {"affinity": "cookie"},
    **dict.fromkeys(("session-cookie-secure", "session-cookie-expires", "session-cookie-max-age", "session-cookie-path"), COOKIE),
    **dict.fromkeys(("session-cookie-domain", "session-cookie-samesite"), COOKIE),
    **dict.fromkeys(("canary-weight", "canary-by-header", "canary-by-cookie"), CANARY),
    "canary-weight-total": {**CANARY, "canary-weight": "5"},
    **{name: {**CANARY, "canary-by-header": "X-New"} for name in ("canary-by-header-value", "canary-by-header-pattern")},
    **dict.fromkeys(("cors-allow-origin", "cors-allow-headers", "cors-allow-methods", "cors-expose-headers", "cors-max-age"), CORS),
    "cors-allow-credentials": {**CORS, "cors-allow-origin": "https://o.example"},
    "auth-type": {"auth-secret": "users"},
    "auth-secret": {"auth-type": "basic"},
    **dict.fromkeys(("auth-realm", "auth-secret-type"), BASIC),
    **dict.fromkeys(("auth-method", "auth-signin", "auth-response-headers", "auth-always-set-cookie", "auth-proxy-set-headers", "auth-request-redirect"), EXTERNAL),
    "auth-signin-redirect-param": SIGN_IN,
    **dict.fromkeys(("auth-tls-verify-client", "auth-tls-verify-depth", "auth-tls-pass-certificate-to-upstream"), CLIENTS),
    **dict.fromkeys(("limit-burst-multiplier", "limit-allowlist", "limit-whitelist"), RATE),
    "default-backend": {"custom-http-errors": "404"},
    "custom-http-errors": {"default-backend": "web"},
    "proxy-redirect-to": {"proxy-redirect-from": "http://in.example/"},
    "proxy-redirect-from": {"proxy-redirect-to": "/out/"},
    "mirror-host": {"mirror-target": "http://web.default.svc.cluster.local"},
    **dict.fromkeys(("proxy-ssl-secret", "proxy-ssl-ciphers", "proxy-ssl-protocols"), SECURE),
    "proxy-ssl-server-name": {**SECURE, "upstream-vhost": "in.example"},
    "proxy-ssl-name": {**SECURE, "proxy-ssl-server-name": "on"},
    "proxy-ssl-verify": {**SECURE, "proxy-ssl-secret": "trust", "proxy-ssl-name": "web.internal"},
    "proxy-ssl-verify-depth": TRUSTED,
}  # fmt: skip
"""What must stand beside an annotation for it to mean anything."""
VALUES = {
    "ssl-redirect": "false", "ssl-passthrough": "true", "force-ssl-redirect": "true", "permanent-redirect": "https://x.example/", "permanent-redirect-code": "308",
    "temporal-redirect": "https://x.example/", "temporal-redirect-code": "307", "app-root": "/app", "from-to-www-redirect": "true",
    "rewrite-target": "/$1", "use-regex": "true", "proxy-connect-timeout": "7", "proxy-read-timeout": "7", "proxy-send-timeout": "7",
    "proxy-body-size": "1k", "proxy-request-buffering": "on", "backend-protocol": "HTTPS", "load-balance": "least_conn",
    "upstream-hash-by": "$http_x_user", "upstream-vhost": "in.example", "service-upstream": "true", "proxy-next-upstream": "error http_503",
    "proxy-next-upstream-tries": "2", "affinity": "cookie", "affinity-mode": "persistent", "session-cookie-name": "other",
    "session-cookie-secure": "true", "session-cookie-expires": "60", "session-cookie-max-age": "60", "session-cookie-path": "/p",
    "session-cookie-domain": "d.example", "session-cookie-samesite": "Lax", "canary": "true", "canary-weight": "7", "canary-weight-total": "50",
    "canary-by-header": "X-New", "canary-by-header-value": "yes", "canary-by-header-pattern": "y.*", "canary-by-cookie": "new", "enable-cors": "true",
    "cors-allow-origin": "https://o.example", "cors-allow-headers": "X-A", "cors-allow-methods": "PUT", "cors-allow-credentials": "false",
    "cors-expose-headers": "X-B", "cors-max-age": "7", "allowlist-source-range": "10.0.0.0/8", "whitelist-source-range": "10.0.0.0/8",
    "denylist-source-range": "10.0.0.0/8", "auth-type": "basic", "auth-secret": "users", "auth-secret-type": "auth-map", "auth-realm": "shop",
    "auth-url": EXTERNAL["auth-url"], "auth-method": "POST", "auth-signin": "https://in.example/", "auth-signin-redirect-param": "back",
    "auth-response-headers": "X-User", "auth-always-set-cookie": "true", "auth-proxy-set-headers": "default/sent", "auth-request-redirect": "/to",
    "auth-tls-secret": "trust", "auth-tls-verify-client": "optional", "auth-tls-verify-depth": "2", "auth-tls-pass-certificate-to-upstream": "true",
    "limit-connections": "3", "limit-rps": "5", "limit-rpm": "5", "limit-burst-multiplier": "2", "limit-allowlist": "10.0.0.0/8",
    "limit-whitelist": "10.0.0.0/8", "custom-headers": "default/sent", "x-forwarded-prefix": "/pre", "connection-proxy-header": "close",
    "custom-http-errors": "404", "default-backend": "web", "proxy-cookie-path": "/in /out", "proxy-cookie-domain": "in.example out.example",
    "proxy-redirect-from": "http://in.example/", "proxy-redirect-to": "/out/", "server-alias": "alias.example",
    "mirror-target": "http://web.default.svc.cluster.local", "mirror-host": "m.example", "enable-access-log": "false", "proxy-ssl-secret": "trust",
    "proxy-ssl-ciphers": "AES256-SHA", "proxy-ssl-protocols": "TLSv1.2", "proxy-ssl-name": "web.internal", "proxy-ssl-verify": "on",
    "proxy-ssl-verify-depth": "2", "proxy-ssl-server-name": "on",
}  # fmt: skip
ELSEWHERE = {"scale", "http-port", "https-port", "allow-http", "load-balancer", "workload-port"}
"""What is not a request's: how instances run, and where objects lead, whatever the engine."""
SAID_ANYHOW = {"auth-tls-verify-depth"}
"""A length of one is what is wished without a word; that it is not looked at is said then too."""
ANYHOW = {"auth-always-set-cookie"}
"""HAProxy hands on cookies of the service whatever the status."""
ACTING = [row.name for row in ROWS if row.answer in {Answer.APPLIED, Answer.DEGRADED} and row.name not in ELSEWHERE]


def objects(annotations: Mapping[str, str]) -> list[dict[str, Any]]:
    own = {f"nginx.ingress.kubernetes.io/{name}": text for name, text in annotations.items()}
    regex = annotations.get("use-regex") == "true"
    main = _ingress("main", {} if annotations.get("canary") else own, "/a/(.*)" if regex else "/")
    others = [_ingress("canary", own, "/")] if annotations.get("canary") else []
    return [
        main,
        *others,
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"clusterIP": "10.9.0.1", "ports": [{"port": 80, "targetPort": 8080}]}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"port": 8080}],
            "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}],
        },
        _secret("users", auth="ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", bob="{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
        _secret("tls", **{"tls.crt": PAIR.certificate.decode(), "tls.key": PAIR.key.decode()}),
        _secret("trust", **{"ca.crt": AUTHORITY.pem().decode(), "tls.crt": PAIR.certificate.decode(), "tls.key": PAIR.key.decode()}),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sent"}, "data": {"X-Sent": "yes"}},
    ]


def _ingress(name: str, annotations: Mapping[str, str], path: str) -> dict[str, Any]:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {"host": "shop.example", "http": {"paths": [{"path": path, "pathType": "ImplementationSpecific", "backend": backend}]}}
    spec = {"ingressClassName": "weirkeeper", "rules": [rule], "tls": [{"hosts": ["shop.example"], "secretName": "tls"}]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "annotations": dict(annotations)}, "spec": spec}


def _secret(name: str, **content: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": content}


def settled(folder: Path, annotations: Mapping[str, str]) -> Reconciler:
    folder.mkdir(exist_ok=True)
    (folder / golden.INPUT).write_text("# annotations\n\n---\n" + yaml.safe_dump_all(objects(annotations)))
    return golden._settled(folder, (CONTROLLER,), PROVIDER, seed=1)


def written(program: Reconciler) -> dict[str, str]:
    wished = Assembly()
    wished.take(program.graph.rows(program.program.items[PROVIDER.name]))
    return files(wished, Frame())


def said(program: Reconciler, name: str) -> list[str]:
    found = program.graph.rows(program.program.findings)
    told = (one for many in found.values() for one in many)
    return [f"{one.feature} {one.for_user}" for one in told if name in one.origin.path or one.feature in PROVIDER.capabilities.degrades]


def test_every_acting_annotation_has_a_value_here() -> None:
    assert set(ACTING) - VALUES.keys() == set()
    assert len(ACTING) >= 40


@pytest.mark.parametrize("name", ACTING)
def test_it_acts_or_says_why_not(tmp_path: Path, name: str) -> None:
    beside = BESIDE.get(name, {})
    without, with_it = settled(tmp_path / "without", beside), settled(tmp_path / "with", {**beside, name: VALUES[name]})
    told = [text for text in said(with_it, name) if name in SAID_ANYHOW or text not in said(without, name)]
    assert written(without) != written(with_it) or told or name in ANYHOW, f"{name} is dropped without a word"
    assert not [text for text in said(with_it, name) if "not supported" in text], "HAProxy can do all of them"


@pytest.mark.engine
def test_haproxy_takes_each_of_them(tmp_path: Path) -> None:
    binary = haproxy_binary()
    assert binary is not None, "install haproxy"
    refused = {}
    for name in ACTING:
        folder = tmp_path / name
        for path, text in written(settled(folder, {**BESIDE.get(name, {}), name: VALUES[name]})).items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        checked = subprocess.run([str(binary), "-c", "-C", str(folder), "-f", "haproxy.cfg"], capture_output=True, text=True, check=False)
        if checked.returncode:
            refused[name] = checked.stderr
    assert refused == {}
