"""Features of backends, of the client's address and of listeners that say so in the capabilities: each by real traffic through a real Envoy."""

import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from served import World, answering, route, served

from weirkeeper.model.backend import ConsistentHash
from weirkeeper.model.filters import HashOn, IpRules, Mirror, Retry
from weirkeeper.model.listener import ClientAddress, HttpOptions
from weirkeeper.model.value import Fraction
from weirkeeper.providers.envoy import EnvoyOptions
from weirkeeper.testing.client import Response, get
from weirkeeper.testing.echo import EchoServer, echo_thread
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.ports import free_port

pytestmark = pytest.mark.engine

RETRIED: Any = {
    "status": Retry(attempts=2, statuses=(503,)),
    "5xx": Retry(attempts=3, conditions=("5xx",)),
    "post": Retry(attempts=2, statuses=(503,), non_idempotent=True),
    "reset": Retry(attempts=2, conditions=("reset",)),
}
NAMES = ("e1", "e2", "e3", "e4", "e5")
CLIENTS: Any = {
    "nobody": ClientAddress(),
    "hops": ClientAddress(trusted_hops=1),
    "ranges": ClientAddress(trusted=("127.0.0.0/8",)),  # type: ignore[arg-type]
    "strangers": ClientAddress(trusted=("10.0.0.0/8",)),  # type: ignore[arg-type]
    "header": ClientAddress(header="X-Client"),  # type: ignore[arg-type]
}


class Site:
    """Ports of a running Envoy by listener, and the backends by name."""

    def __init__(self, ports: dict[str, int], echoes: dict[str, EchoServer], log: Path) -> None:
        self.ports, self.echoes, self.log = ports, echoes, log

    def get(self, url: str, listener: str = "nobody", **more: Any) -> Response:
        return get(f"http://{url}", via=self.ports[listener], **more)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    log = tmp_path_factory.mktemp("log") / "access"
    world, ports = World(EnvoyOptions(ipv6=False, access_log=str(log))), {name: free_port() for name in CLIENTS}
    for name, port in ports.items():
        world.listener(name, port, http=HttpOptions(client_address=CLIENTS[name]))
    with ExitStack() as stack:
        echoes = {name: stack.enter_context(echo_thread(name=name)) for name in ("a", "mirror", *NAMES)}
        world.backend("a", echoes["a"].port)
        world.backend("mirror", echoes["mirror"].port)
        world.backend("ring", *(echoes[name].port for name in NAMES), balancing=ConsistentHash())
        for name, retry in RETRIED.items():
            world.host(f"{name}.retry", route(retry=retry))
        share = Mirror(backend="mirror", share=Fraction(numerator=1, denominator=4))  # type: ignore[arg-type]
        world.host("share.example", route(mirrors=(share,)))
        for on in ("header", "ip", "uri", "query"):
            world.host(f"{on}.hash", route(to="ring", affinity=HashOn(on=on, name="X-User")))  # type: ignore[arg-type]
        world.host("open.example", route())
        world.host("client.example", route(ip_rules=IpRules(deny=("9.9.9.9/32",))))  # type: ignore[arg-type]
        _, told = stack.enter_context(served(world))
        for port in ports.values():
            answering(port, "http://open.example/", told)
        assert told.refusals == []
        yield Site(ports, echoes, log)


@pytest.mark.parametrize(
    ("host", "path", "method", "tries"),
    [
        ("status", "/?status=503", "GET", 3),
        ("status", "/?status=500", "GET", 1),
        ("status", "/?status=503", "POST", 1),
        ("post", "/?status=503", "POST", 3),
        ("5xx", "/?status=500", "GET", 4),
        ("5xx", "/?status=404", "GET", 1),
        ("reset", "/?abort=connect", "GET", 3),
    ],
)
def test_retries(site: Site, host: str, path: str, method: str, tries: int) -> None:
    before = site.echoes["a"].count
    answer = site.get(f"{host}.retry{path}", method=method)
    assert (answer.status >= 400, site.echoes["a"].count - before) == (True, tries)


def test_a_share_of_requests_is_mirrored(site: Site) -> None:
    before, asked = site.echoes["mirror"].count, 200
    for _ in range(asked):
        assert site.get("share.example/").echo.name == "a"
    poll_until(lambda: site.echoes["mirror"].count - before >= asked * 0.1, what="a tenth of them has come")
    assert site.echoes["mirror"].count - before <= asked * 0.45


def test_a_header_chooses_the_endpoint(site: Site) -> None:
    def chosen(user: str) -> str:
        return site.get("header.hash/", headers=[("X-User", user)]).echo.name

    users = [f"user-{n}" for n in range(30)]
    first = [chosen(user) for user in users]
    assert [chosen(user) for user in users] == first
    assert len(set(first)) >= 3, "and different values different ones"


def test_the_address_the_path_or_the_query_chooses_the_endpoint(site: Site) -> None:
    assert len({site.get("ip.hash/").echo.name for _ in range(20)}) == 1
    spread = Counter(site.get("ip.hash/", source=f"127.0.0.{n}").echo.name for n in range(2, 32))
    assert len(spread) >= 3
    for form in ("uri.hash/{}", "query.hash/?X-User={}"):
        by_value = [{site.get(form.format(n)).echo.name for _ in range(3)} for n in range(20)]
        assert {len(names) for names in by_value} == {1}
        assert len(set.union(*by_value)) >= 3


@pytest.mark.parametrize(
    ("listener", "headers", "client"),
    [
        ("nobody", {"X-Forwarded-For": "9.9.9.9"}, "127.0.0.1"),
        ("nobody", {"X-Client": "9.9.9.9"}, "127.0.0.1"),
        ("hops", {"X-Forwarded-For": "9.9.9.9"}, "9.9.9.9"),
        ("hops", {"X-Forwarded-For": "9.9.9.9, 8.8.8.8"}, "8.8.8.8"),
        ("ranges", {"X-Forwarded-For": "9.9.9.9, 127.0.0.7"}, "9.9.9.9"),
        ("ranges", {"X-Forwarded-For": "9.9.9.9, 8.8.8.8"}, "8.8.8.8"),
        ("strangers", {"X-Forwarded-For": "9.9.9.9"}, "127.0.0.1"),
        ("header", {"X-Client": "9.9.9.9"}, "9.9.9.9"),
    ],
)
def test_the_clients_address(site: Site, listener: str, headers: dict[str, str], client: str) -> None:
    marked = f"{listener}-{len(str(headers))}-{client}"
    status = site.get("client.example/", listener, headers=[*headers.items(), ("User-Agent", marked)]).status
    assert status == (403 if client == "9.9.9.9" else 200), "rules judge by it"
    assert logged(site, marked)["client"] == client, "and the log names it"


def logged(site: Site, user_agent: str) -> dict[str, Any]:
    """The line of the access log with this user agent, once it is written."""

    def lines() -> list[dict[str, Any]]:
        whole = site.log.read_text().split("\n")[:-1]
        return [line for line in map(json.loads, whole) if line.get("user_agent") == user_agent]

    poll_until(lines, deadline=60, what="the line is in the log")
    return lines()[0]


def test_the_access_log_is_json_and_literal(site: Site) -> None:
    hostile = '"}\\n{"status":1} %REQ(x)%'
    path = "/log?q=%22%REQ(x)%"
    assert site.get("open.example" + path, headers=[("User-Agent", hostile)]).status == 200
    line = logged(site, hostile)
    assert (line["method"], line["host"], line["path"], str(line["status"])) == ("GET", "open.example", path, "200")
    assert (line["backend"], line["route"], line["endpoint"]) == ("a", "r", f"127.0.0.1:{site.echoes['a'].port}")
    assert re.fullmatch("[0-9a-f-]{36}", line["request_id"])
    assert "x-weir" not in json.dumps(line)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_proxy_protocol_is_spoken_to_backends(version: Any) -> None:
    world, port, seen = World(EnvoyOptions(ipv6=False, access_log=None)), free_port(), []
    world.listener("http", port)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    seen.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        world.backend("p", listening.getsockname()[1], send_proxy_protocol=version)
        world.host("h.example", route(to="p"))
        with served(world) as (_, told):
            answering(port, "http://h.example/", told)
            del seen[:]
            assert get("http://h.example/", via=port, source="127.0.0.9").status == 200
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    if version == "v1":
        assert seen[0].startswith(b"PROXY TCP4 127.0.0.9 127.0.0.1 ")
    else:
        assert seen[0].startswith(b"\r\n\r\n\x00\r\nQUIT\n\x21\x11")
        assert seen[0][16:20] == socket.inet_aton("127.0.0.9")


@pytest.mark.parametrize("named", [True, False])
def test_listens_on_ipv6(named: bool) -> None:
    world, port = World(EnvoyOptions(ipv6=True, access_log=None)), free_port()
    world.listener("http", port, addresses=("::1",) if named else ())
    with echo_thread(name="a") as a:
        world.backend("a", a.port)
        world.host("h.example", route())
        with served(world) as (_, told):
            poll_until(lambda: answers(port, "::1"), what="it answers by IPv6")
            assert answers(port, "127.0.0.1") != named, "and by IPv4 where no address is named"
            assert told.refusals == []


def answers(port: int, address: str) -> bool:
    try:
        return get("http://h.example/", via=port, address=address).status == 200
    except OSError:
        return False
