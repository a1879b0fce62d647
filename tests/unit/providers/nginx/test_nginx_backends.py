"""What Lua is told of the endpoints of a backend that are to be watched."""

from typing import Any

import pytest

from weirkeeper.model.backend import Backend, BackendTls, FromDns, FromEndpointSet, HealthCheck, Limits, PassiveHealth
from weirkeeper.providers.grpc_health import question
from weirkeeper.providers.nginx.translate import backends


def entry(**fields: Any) -> dict[str, Any]:
    wished: Any = {"id": "b", "source": FromEndpointSet(id="b"), **fields}  # type: ignore[arg-type]
    return backends.backend(Backend(**wished), lambda _: False)


SHOWN = BackendTls(client_certificate="c")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "kind", "tls"),
    [
        ({"health": HealthCheck()}, "http", None),
        ({"health": HealthCheck(), "tls": BackendTls()}, "http", True),
        ({"health": HealthCheck(), "protocol": "h2c"}, "tcp", None),
        ({"health": HealthCheck(), "tls": SHOWN}, "tcp", None),
        ({"health": HealthCheck(kind="tcp"), "tls": BackendTls()}, "tcp", True),
        ({"health": HealthCheck(kind="grpc"), "protocol": "grpc"}, "grpc", None),
        ({"health": HealthCheck(kind="grpc"), "protocol": "grpc", "tls": BackendTls()}, "tcp", True),
    ],
)
def test_what_cannot_be_spoken_is_probed_by_a_connection(fields: dict[str, Any], kind: str, tls: bool | None) -> None:
    found = entry(**fields)["health"]
    assert (found["kind"], found.get("tls")) == (kind, tls)
    assert ("path" in found, "question" in found) == (kind == "http", kind == "grpc")
    assert found["interval"], "defaults are said: Lua has none of its own"


@pytest.mark.parametrize("host", ["h", "h" * 126, "h" * 127, "h" * 400])
def test_the_question_of_grpc_says_how_long_its_parts_are(host: str) -> None:
    """Read again frame by frame, and the host by its own length (RFC 7541, 5.1)."""
    said = question(host, tls=False)
    rest, kinds = said.removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), []
    while rest:
        size = int.from_bytes(rest[:3], "big")
        kinds.append(rest[3])
        assert len(rest) >= 9 + size
        rest = rest[9 + size :]
    assert kinds == [4, 1, 0]
    assert host.encode() in said


def test_what_may_be_under_way_is_the_narrowest_of_what_is_said() -> None:
    assert entry(limits=Limits(requests=7, connections=2, pending=3))["most"] == 5
    assert entry(limits=Limits(requests=4, connections=2, pending=3))["most"] == 4
    assert "most" not in entry(limits=Limits(retries=3))


def test_all_of_what_is_wished_is_said() -> None:
    found = entry(passive_health=PassiveHealth(), slow_start=3000, source=FromDns(name="db.example", port=80))  # type: ignore[arg-type]
    assert found["passive"] == {"errors": 5, "ejection": 30000, "percent": 50}
    assert (found["slow"], found["dns"]) == (3000, {"name": "db.example", "port": 80})
    assert "source" not in found
