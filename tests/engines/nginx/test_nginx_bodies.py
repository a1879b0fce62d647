"""A limit of bodies holds for those that say no length, whatever the method, by HTTP/2, beside copies and with a body read whole. A copy has its request's body, however long it is."""

import subprocess
from collections.abc import Iterator

import pytest
from watched import Watched, settled

from weirkeeper.providers.nginx import PROVIDER
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.conformance import Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.eventually import poll_until

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("nginx-bodies")]

COPIED = {"mirror-target": "http://b.bodies.svc.cluster.local:80"}
WISHES = {"plain": {}, "copied": COPIED, "whole": {**COPIED, "proxy-body-size": "0"}}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    rig = Watched(PROVIDER, options={"reload-milliseconds": "50"})
    with running_backends() as backends, running_stage(rig) as stage:
        made = Site(stage, backends, "bodies")
        hosts = [f"{name}.{made.host}" for name in WISHES]
        made.apply(
            *made.service("a", backends.a.port),
            *made.service("b", backends.b.port),
            made.tls_secret("t", Authority("bodies").issue(*hosts)),
        )
        for name, wish in WISHES.items():
            tls = [{"hosts": [f"{name}.{made.host}"], "secretName": "t"}]
            made.apply(
                made.ingress(
                    {"proxy-body-size": "1k", "ssl-redirect": "false", **wish},
                    name=name,
                    host=f"{name}.{made.host}",
                    tls=tls,
                )
            )
        made.answers("a", scheme="https", host=hosts[-1])
        settled(made, rig)
        yield made


@pytest.mark.parametrize("name", ["plain", "copied"])
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("size", "status"), [(900, "200"), (5000, "413")])
def test_a_body_without_a_length(site: Site, name: str, version: str, method: str, size: int, status: str) -> None:
    assert status_of(site, name, "/", b"x" * size, version, "-X", method) == status


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_a_copy_has_the_whole_body(site: Site, version: str) -> None:
    """Also where it says no length and is too long for memory."""
    path, body = f"/whole{version}", bytes(range(256)) * 2000
    assert status_of(site, "whole", path, body, version, "-X", "POST") == "200"

    def copies() -> list[bytes]:
        return [one.body for one in site.backends.b.requests if one.path == path]

    poll_until(copies, what="the copy came")
    assert copies() == [body]
    assert [one.body for one in site.backends.a.requests if one.path == path] == [body]


def status_of(site: Site, name: str, path: str, body: bytes, *more: str) -> str:
    """The status that a client gets who sends this and does not say how long it is."""
    host, port = f"{name}.{site.host}", site.stage.https_port
    command = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-m", "30", *more, "-H", "Expect:", "-T", "-"]
    command += ["--resolve", f"{host}:{port}:127.0.0.1", f"https://{host}:{port}{path}"]
    return subprocess.run(command, input=body, capture_output=True, check=False).stdout.decode()
