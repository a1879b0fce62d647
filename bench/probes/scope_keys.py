"""Probe: how a request finds its route scope. Shapes, behaviour, cost and change latency on a real Envoy.

Theory. A scope key is one string, `<group>|<host>`, in the internal header x-weir-scope that early header mutation
overwrites. An exact lower-case host hits its own scope before any filter exists, and that scope switches the key
filter off, so plain traffic never pays. On a miss `KEYS_LUA`, a constant, lower-cases the host and asks once more if
that changed anything; else it points at `<group>|*`, where Envoy's own domain matching picks the wildcard host.

Comes in: nothing. Goes out: a table of behaviours (exit 1 if one is wrong), CPU per request, change latency.
Usage: scope_keys.py behave | cost | latency
"""

import asyncio
import http.client
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

import _rig as rig
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2, scoped_route_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2  # noqa: F401  (registers the type for ParseDict, as below)
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2  # noqa: F401
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2  # noqa: F401
from google.protobuf import json_format
from google.protobuf.message import Message

EXT = rig.TYPE + "envoy.extensions."
RDS = rig.TYPE + "envoy.config.route.v3.RouteConfiguration"
FILTER = "weir.keys"
INTERNAL = ["x-weir-scope", "x-weir-group"]

KEYS_LUA = r"""
function envoy_on_request(h)
  local headers = h:headers()
  local key = headers:get("x-weir-scope")
  local bar = string.find(key, "|", 1, true)
  local group = string.sub(key, 1, bar)
  if string.byte(key, bar + 1) ~= 91 then
    local colon = string.find(key, ":", bar + 1, true)
    local sent = string.sub(key, bar + 1, colon and colon - 1)
    local host = string.lower(sent)
    if string.byte(host, -1) == 46 then host = string.sub(host, 1, -2) end
    if host ~= sent then
      headers:replace("x-weir-scope", group .. host)
      h:clearRouteCache()
      h:metadata()
      if h:streamInfo():routeName() ~= "" then return end
    end
  end
  headers:replace("x-weir-scope", group .. "*")
  h:clearRouteCache()
end
"""


def ads_source() -> dict[str, Any]:
    """An ADS config source; with no fetch timeout a listener waits for its first answer instead of opening without."""
    return {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}


def packed(body: dict[str, Any], message: Message) -> bytes:
    return bytes(json_format.ParseDict(body, message).SerializeToString(deterministic=True))


def key_filter() -> bytes:
    """The ECDS resource: no tenant string, no group, no host list in it."""
    lua = {"@type": EXT + "filters.http.lua.v3.Lua", "default_source_code": {"inline_string": KEYS_LUA}}
    return packed({"name": FILTER, "typed_config": lua}, extension_pb2.TypedExtensionConfig())


def early_mutations(group: str) -> list[dict[str, Any]]:
    """The one place where the group is named. A client's copies are overwritten or taken off before routing."""
    header = {"key": "x-weir-scope", "value": group + "|%REQ(:authority)%"}
    return [
        {"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}},
        {"remove": "x-weir-group"},
    ]


def connection_manager(group: str, *, keys: bool = True) -> dict[str, Any]:
    key_slot = {
        "name": FILTER,
        "config_discovery": {"config_source": ads_source(), "type_urls": [EXT + "filters.http.lua.v3.Lua"]},
    }
    early = {
        "@type": EXT + "http.early_header_mutation.header_mutation.v3.HeaderMutation",
        "mutations": early_mutations(group),
    }
    extractor = {"name": "x-weir-scope", "element_separator": ":", "index": 0}
    router = {"name": "router", "typed_config": {"@type": EXT + "filters.http.router.v3.Router"}}
    return {
        "@type": EXT + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "http10.invalid"},
        "early_header_mutation_extensions": [{"name": "weir.early", "typed_config": early}],
        "scoped_routes": {
            "name": "weir",
            "scope_key_builder": {"fragments": [{"header_value_extractor": extractor}]},
            "rds_config_source": ads_source(),
            "scoped_rds": {"scoped_rds_config_source": ads_source()},
        },
        "http_filters": [*([key_slot] if keys else []), router],
    }


def plain_manager() -> dict[str, Any]:
    """What a person would write by hand: RDS, a router, nothing else."""
    out = connection_manager("none", keys=False)
    for name in ("early_header_mutation_extensions", "scoped_routes"):
        del out[name]
    out["rds"] = {"route_config_name": "plain", "config_source": ads_source()}
    return out


def chain(manager: dict[str, Any], source: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {"filters": [{"name": "http", "typed_config": manager}]}
    if source:
        out["name"] = source
        out["filter_chain_match"] = {"source_prefix_ranges": [{"address_prefix": source, "prefix_len": 32}]}
    return out


def listener(name: str, port: int, *chains: dict[str, Any]) -> bytes:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return packed({"name": name, "address": address, "filter_chains": list(chains)}, listener_pb2.Listener())


NOT_FOUND = {"name": "-", "match": {"prefix": ""}, "direct_response": {"status": 404}}
OFF = {FILTER: {"@type": rig.TYPE + "envoy.config.route.v3.FilterConfig", "disabled": True}}


def one_label(suffix: str, routes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The routes, each also demanding that the host is exactly one label in front of `suffix` (as `.foo.com`)."""
    pattern = r"(?i)[^.:]+" + re.escape(suffix) + r"\.?(:[0-9]+)?"
    host = {"name": ":authority", "string_match": {"safe_regex": {"google_re2": {}, "regex": pattern}}}
    return [r | {"match": r["match"] | {"headers": [*r["match"].get("headers", []), host]}} for r in routes]


def virtual_host(host: str, routes: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One host. It answers to its name with a trailing dot too; a path that it does not have is 404 and goes no further."""
    domains = ["*"] if host == "*" else [host, host + "."]
    return {"name": host, "domains": domains, "routes": [*routes, NOT_FOUND]}


def scope(group: str, name: str, hosts: list[dict[str, Any]]) -> bytes:
    """One ScopedRouteConfiguration: `name` is an exact host, or `*` for the group's fallback scope."""
    key = f"{group}|{name}"
    config: dict[str, Any] = {
        "name": key,
        "virtual_hosts": hosts,
        "ignore_port_in_host_matching": True,
        "validate_clusters": False,
        "request_headers_to_remove": INTERNAL,
    }
    if name != "*":
        config["typed_per_filter_config"] = OFF
    body = {"name": key, "key": {"fragments": [{"string_key": key}]}, "route_configuration": config}
    return packed(body, scoped_route_pb2.ScopedRouteConfiguration())


def exact(group: str, host: str, routes: Iterable[dict[str, Any]]) -> bytes:
    return scope(group, host, [virtual_host(host, routes)])


def to(cluster: str) -> dict[str, Any]:
    return {"name": "r", "match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "15s"}}


def answer(text: str, **match: Any) -> dict[str, Any]:
    body = {"status": 200, "body": {"inline_string": text}}
    return {"name": "r", "match": match or {"prefix": "/"}, "direct_response": body}


def cluster_bytes(name: str, port: int) -> bytes:
    return packed(rig.static_cluster(name, port), cluster_pb2.Cluster())


def raw_http(port: int, text: bytes, source: str = "127.0.0.1") -> str:
    with socket.create_connection(("127.0.0.1", port), 3, (source, 0)) as conn:
        conn.settimeout(3)
        conn.sendall(text)
        reply = b""
        while (text := parsed(reply)) is None:
            reply += conn.recv(65536)
    return text


def parsed(reply: bytes) -> str | None:
    """`status:body`, or None while the reply is not whole."""
    head, end, body = reply.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    whole = end and len(body) >= (int(length[1]) if length else 0)
    return f"{head[9:12].decode()}:{body.decode().strip()}" if whole else None


def get(port: int, host: str, path: str = "/", extra: str = "", source: str = "127.0.0.1") -> str:
    text = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{extra}Connection: close\r\n\r\n"
    return raw_http(port, text.encode(), source)


def get_http2(port: int, host: str) -> str:
    command = ["curl", "-s", "--http2-prior-knowledge", "-H", f"Host: {host}"]
    command += ["-w", ":%{http_version}", f"http://127.0.0.1:{port}/"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def wait_answer(port: int, host: str, wished: str, path: str = "/") -> None:
    deadline = time.monotonic() + 60
    got = ""
    while time.monotonic() < deadline:
        try:
            if (got := get(port, host, path)) == wished:
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise TimeoutError(f"{host}{path} never answered {wished}, last {got!r}")


EXPECT = [
    ("exact.example.com", "200:exact"),
    ("Exact.EXAMPLE.com", "200:exact"),
    ("exact.example.com:8080", "200:exact"),
    ("EXACT.example.com:8080", "200:exact"),
    ("exact.example.com.", "200:exact"),
    ("exact.example.com.:8080", "200:exact"),
    ("EXACT.example.com.:8080", "200:exact"),
    ("under.foo.com", "200:under"),
    ("UNDER.foo.com", "200:under"),
    ("x.foo.com", "200:one"),
    ("X.Foo.com:81", "200:one"),
    ("x.foo.com.", "200:one"),
    ("x.foo.com.:81", "200:one"),
    ("a.b.foo.com", "200:default"),
    ("foo.com", "200:default"),
    ("x.any.com", "200:any"),
    ("a.b.c.any.com", "200:any"),
    ("a.b.c.any.com.", "200:any"),
    ("a.b.deep.any.com", "200:deep"),
    ("A.b.DEEP.any.com.", "200:deep"),
    ("deep.any.com", "200:any"),
    ("any.com", "200:default"),
    ("unknown.org", "200:default"),
    ("UNKNOWN.org:1", "200:default"),
    ("localhost", "200:default"),
    ("[::1]", "200:default"),
    ("[::1]:8080", "200:default"),
    ("[FE80::A]:8080", "200:default"),
    ("127.0.0.1:80", "200:default"),
    ("g|exact.example.com", "400:Bad Request"),
    ("p|exact.example.com", "400:Bad Request"),
    ("*", "200:default"),
    ("*.any.com", "200:any"),
    (".", "200:default"),
    ("..", "200:default"),
    ("|", "400:Bad Request"),
    (":80", "200:default"),
]


def scopes() -> dict[str, bytes]:
    default = [answer("default")]
    open_end = {"name": "open", "domains": ["open.example.com"], "routes": [answer("open", path="/")]}
    wild = [
        virtual_host("*.foo.com", [*one_label(".foo.com", [answer("one")]), *default]),
        virtual_host("*.any.com", [answer("any")]),
        virtual_host("*.deep.any.com", [answer("deep")]),
        virtual_host("*", default),
    ]
    return {
        "g|exact.example.com": exact("g", "exact.example.com", [answer("exact")]),
        "g|under.foo.com": exact("g", "under.foo.com", [answer("under", path="/"), answer("api", prefix="/api")]),
        "g|*": scope("g", "*", wild),
        "g|open.example.com": scope("g", "open.example.com", [open_end]),
        "p|exact.example.com": exact("p", "exact.example.com", [answer("policy")]),
        "w|*": scope("w", "*", [virtual_host("*.any.com", [answer("w-any")])]),
    }


class Checks:
    """Counts wrong answers and prints each."""

    def __init__(self) -> None:
        self.wrong = 0

    def __call__(self, label: str, got: object, wished: object) -> None:
        self.wrong += got != wished
        print(f"{'ok ' if got == wished else 'BAD'} {label:58s} {got}{'' if got == wished else f' (wished {wished})'}")


def host_cases(check: Checks, port: int) -> None:
    for host, text in EXPECT:
        check(f"Host: {host}", get(port, host), text)
    check("path miss stays on the exact host", get(port, "under.foo.com", "/nope"), "404:")
    check("path miss without a final route goes on", get(port, "open.example.com", "/nope"), "200:default")
    check("path miss, upper case", get(port, "UNDER.foo.com", "/nope"), "404:")
    forged = "x-weir-scope: p|exact.example.com\r\nX-Weir-Scope: p|exact.example.com\r\nX-Weir-Group: p\r\n"
    check("forged headers, exact", get(port, "exact.example.com", "/", forged), "200:exact")
    check("forged headers, upper case", get(port, "EXACT.example.com", "/", forged), "200:exact")
    check("forged headers, unknown host", get(port, "nope.org", "/", forged), "200:default")
    close = b"Connection: close\r\n\r\n"
    absolute = b"GET http://X.foo.com/ HTTP/1.1\r\nHost: exact.example.com\r\n" + close
    check("absolute form wins over Host", raw_http(port, absolute), "200:one")
    check("empty Host", raw_http(port, b"GET / HTTP/1.1\r\nHost:\r\n" + forged.encode() + close), "200:default")
    check("HTTP/1.1 without Host", raw_http(port, b"GET / HTTP/1.1\r\n" + close)[:3], "400")
    check("HTTP/1.0 without Host", raw_http(port, b"GET / HTTP/1.0\r\n\r\n"), "200:default")
    check("HTTP/2 exact", get_http2(port, "exact.example.com"), "exact:2")
    check("HTTP/2 upper case, port", get_http2(port, "EXACT.example.com:99"), "exact:2")
    check("HTTP/2 wildcard", get_http2(port, "p.q.any.com"), "any:2")
    check("HTTP/2 unknown", get_http2(port, "unknown.org"), "default:2")


def group_cases(check: Checks, ports: dict[str, int]) -> None:
    check("second listener, same group", get(ports["two"], "exact.example.com"), "200:exact")
    check("second listener, same group, wildcard", get(ports["two"], "x.any.com"), "200:any")
    mixed = ports["mixed"]
    check("chain of group p, exact", get(mixed, "EXACT.example.com", source="127.0.0.2"), "200:policy")
    check("chain of group p, no fallback scope", get(mixed, "unknown.org", source="127.0.0.2"), "404:")
    check("chain of group p, a wildcard of g", get(mixed, "x.any.com", source="127.0.0.2"), "404:")
    check("chain of group w, wildcard", get(mixed, "x.any.com", source="127.0.0.3"), "200:w-any")
    check("chain of group w, no catch-all", get(mixed, "unknown.org", source="127.0.0.3"), "404:")
    check("chain of group g on the same listener", get(mixed, "exact.example.com"), "200:exact")


async def echo() -> tuple[int, list[str]]:
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nE")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server.sockets[0].getsockname()[1], seen


async def change_cases(check: Checks, ads: rig.Ads, port: int) -> None:
    conn = http.client.HTTPConnection("127.0.0.1", port)

    async def kept(host: str, wished: str) -> bool:
        return await asyncio.to_thread(poll_until, [conn], host, "/", wished.encode()) > 0

    check("kept connection, before", await kept("new.foo.com", "one"), True)
    sock = conn.sock
    ads.put(rig.SRDS, "g|new.foo.com", exact("g", "new.foo.com", [answer("new")]))
    ads.push(rig.SRDS, ["g|new.foo.com"])
    check("new exact host under a wildcard: one resource, kept connection", await kept("NEW.foo.com", "new"), True)
    ads.push(rig.SRDS, [], ["g|new.foo.com"])
    check("removed again: back to the wildcard", await kept("new.foo.com", "one"), True)
    check("still the same connection", conn.sock is sock, True)


async def backend_cases(check: Checks, ads: rig.Ads, port: int) -> None:
    backend_port, seen = await echo()
    ads.put(rig.CDS, "echo", cluster_bytes("echo", backend_port))
    ads.push(rig.CDS, ["echo"])
    ads.put(rig.SRDS, "g|exact.example.com", exact("g", "exact.example.com", [to("echo")]))
    ads.put(rig.SRDS, "g|*", scope("g", "*", [virtual_host("*", [to("echo")])]))
    ads.push(rig.SRDS, ["g|*", "g|exact.example.com"])
    hosts = ("exact.example.com", "EXACT.example.com:99", "zz.org", "zz.org.")
    for host in hosts:
        await asyncio.to_thread(wait_answer, port, host, "200:E")
    forged = "x-weir-scope: p|a\r\nx-weir-group: p\r\n"
    check("forged headers, proxied", await asyncio.to_thread(get, port, "zz.org", "/", forged), "200:E")
    check("internal headers at the backend", sum("x-weir" in text.lower() for text in seen), 0)
    lines = {line.split(": ", 1)[1] for text in seen for line in text.splitlines() if line.startswith("host:")}
    check("the backend sees the host as sent", sorted(lines), sorted(hosts))


async def gate_cases(check: Checks, ads: rig.Ads) -> None:
    """A listener whose key filter is not there waits for it; but one refused ECDS resource opens all that wait."""
    ports, filters = {name: rig.free_port() for name in ("waits", "neighbour", "refused")}, {}
    for name, port in ports.items():
        manager = connection_manager("g")
        slot = manager["http_filters"][0]["name"] = f"keys-{name}"
        ads.put(rig.LDS, name, listener(name, port, chain(manager)))
        filters[name] = extension_pb2.TypedExtensionConfig.FromString(key_filter())
        filters[name].name = slot
    ads.push(rig.LDS, ["waits"])
    early = asyncio.create_task(asyncio.to_thread(first_answer, ports["waits"]))
    done, _ = await asyncio.wait([early], timeout=1)
    check("key filter not there (ADS says removed): requests answered", len(done), 0)
    ads.put(rig.ECDS, "keys-waits", filters["waits"].SerializeToString())
    ads.push(rig.ECDS, ["keys-waits"])
    check("  first answer, once it is there", await early, "200:E")
    refused = extension_pb2.TypedExtensionConfig(name="keys-refused")
    refused.typed_config.Pack(lua_pb2.Lua(default_source_code={"inline_string": "no lua at all"}))
    ads.put(rig.ECDS, "keys-refused", refused.SerializeToString())
    ads.push(rig.LDS, ["neighbour", "refused"])
    for name in ("refused", "neighbour"):
        check(f"key filter {name}: first answer", await asyncio.to_thread(first_answer, ports[name]), "500:")
    check("  configurations refused", len(ads.nacks), 1)
    ads.nacks.clear()
    for name in ("refused", "neighbour"):
        ads.put(rig.ECDS, f"keys-{name}", filters[name].SerializeToString())
    ads.push(rig.ECDS, ["keys-refused", "keys-neighbour"])
    for name in ("refused", "neighbour"):
        await asyncio.to_thread(wait_answer, ports[name], "unknown.org", "200:E")
        check(f"key filter {name}, once it is there", "200:E", "200:E")


def first_answer(port: int) -> str:
    rig.wait_open(port)
    return get(port, "unknown.org")


async def behave() -> int:
    check = Checks()
    ads = rig.Ads()
    await ads.start()
    ports = {name: rig.free_port() for name in ("one", "two", "mixed")}
    with rig.scratch() as folder:
        for key, body in scopes().items():
            ads.put(rig.SRDS, key, body)
        ads.put(rig.ECDS, FILTER, key_filter())
        for name in ("one", "two"):
            ads.put(rig.LDS, name, listener(name, ports[name], chain(connection_manager("g"))))
        chains = [chain(connection_manager(g), s) for g, s in (("g", ""), ("p", "127.0.0.2"), ("w", "127.0.0.3"))]
        ads.put(rig.LDS, "mixed", listener("mixed", ports["mixed"], *chains))
        with rig.envoy(rig.bootstrap(ads.port, rig.free_port()), folder):
            try:
                for port in ports.values():
                    await asyncio.to_thread(wait_answer, port, "exact.example.com", "200:exact")
            except TimeoutError:
                print(ads.nacks, next(folder.glob("*.log")).read_text()[-3000:])
                raise
            await asyncio.to_thread(host_cases, check, ports["one"])
            await asyncio.to_thread(group_cases, check, ports)
            await change_cases(check, ads, ports["one"])
            await backend_cases(check, ads, ports["one"])
            await gate_cases(check, ads)
    check("refused by Envoy", ads.nacks, [])
    await ads.stop()
    return check.wrong


def wrk(pid: int, port: int, host: str, path: str = "/", seconds: int = 3) -> tuple[float, float]:
    """Requests per second and Envoy's CPU microseconds per request; a wrong answer ends the run."""
    before = rig.cpu_seconds(pid)
    command = ["wrk", "-t1", "-c32", f"-d{seconds}s", "-H", f"Host: {host}", f"http://127.0.0.1:{port}{path}"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = rig.cpu_seconds(pid) - before
    if "Non-2xx" in out:
        raise SystemExit(f"wrong answers for {host}{path}\n{out}")
    found = re.search(r"(\d+) requests in", out)
    count = int(found[1]) if found else 0
    return count / seconds, used * 1e6 / count


async def measure(pid: int, cells: dict[str, tuple[int, str, str]], rounds: int, seconds: int = 3) -> None:
    """Interleaved rounds over `cells` (port, host, path); the first cell is what the others are compared with."""
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in cells}
    for _ in range(rounds):
        for name, (port, host, path) in cells.items():
            rows[name].append(await asyncio.to_thread(wrk, pid, port, host, path, seconds))
    first = rows[next(iter(cells))]
    for name, row in rows.items():
        ratio = statistics.median(r[1] / b[1] for r, b in zip(row, first, strict=True))
        spread = f"{min(r[1] for r in row):.1f}..{max(r[1] for r in row):.1f}"
        us, rps = statistics.median(r[1] for r in row), statistics.median(r[0] for r in row)
        print(f"{name:42s} {us:6.1f} us ({spread})  x{ratio:.2f}  rps {rps:7.0f}", flush=True)


async def cost(rounds: int = 5) -> None:
    ads = rig.Ads()
    await ads.start()
    plain, keyed, bare = rig.free_port(), rig.free_port(), rig.free_port()
    with rig.scratch() as folder, rig.static_backend(folder, "A") as (backend,):
        hand_written = {
            "name": "plain",
            "virtual_hosts": [{"name": "h", "domains": ["h.example.com"], "routes": [to("a")]}],
        }
        ads.put(RDS, "plain", packed(hand_written, route_pb2.RouteConfiguration()))
        ads.put(rig.ECDS, FILTER, key_filter())
        for group in "gn":
            ads.put(rig.SRDS, f"{group}|h.example.com", exact(group, "h.example.com", [to("a")]))
        wild = [
            virtual_host("*.foo.com", one_label(".foo.com", [to("a")])),
            virtual_host("*.any.com", [to("a")]),
            virtual_host("*", [to("a")]),
        ]
        ads.put(rig.SRDS, "g|*", scope("g", "*", wild))
        ads.put(rig.LDS, "plain", listener("plain", plain, chain(plain_manager())))
        ads.put(rig.LDS, "keyed", listener("keyed", keyed, chain(connection_manager("g"))))
        ads.put(rig.LDS, "bare", listener("bare", bare, chain(connection_manager("n", keys=False))))
        config = rig.bootstrap(ads.port, rig.free_port(), [rig.static_cluster("a", backend)])
        with rig.envoy(config, folder) as process:
            for port in (plain, keyed, bare):
                await asyncio.to_thread(wait_answer, port, "h.example.com", "200:A")
            cells = {
                "hand-written RDS": (plain, "h.example.com", "/"),
                "exact, listener without key filter": (bare, "h.example.com", "/"),
                "exact": (keyed, "h.example.com", "/"),
                "exact, upper case (asks once)": (keyed, "H.example.com", "/"),
                "wildcard": (keyed, "x.any.com", "/"),
                "one-label wildcard (regex)": (keyed, "x.foo.com", "/"),
                "catch-all": (keyed, "unknown.example.org", "/"),
                "catch-all, upper case (asks once)": (keyed, "Unknown.example.org", "/"),
            }
            await measure(process.pid, cells, rounds)
    await ads.stop()


def poll_until(connections: list[http.client.HTTPConnection], host: str, path: str, wished: bytes) -> int:
    """Nanoseconds (monotonic) when the last connection has answered as wished."""
    waiting = list(connections)
    deadline = time.monotonic() + 20
    while waiting:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{host}{path}")
        for conn in list(waiting):
            conn.request("GET", path, headers={"Host": host})
            if conn.getresponse().read().strip() == wished:
                waiting.remove(conn)
    return time.monotonic_ns()


async def change(ads: rig.Ads, port: int, host: str, text: str, name: str, body: bytes) -> float:
    """Milliseconds from the push of one scope until four kept connections all show it."""
    conns = [http.client.HTTPConnection("127.0.0.1", port) for _ in range(4)]
    for conn in conns:
        conn.connect()
    start = time.monotonic_ns()
    ads.put(rig.SRDS, name, body)
    ads.push(rig.SRDS, [name])
    took = (await asyncio.to_thread(poll_until, conns, host, "/", text.encode()) - start) / 1e6
    for conn in conns:
        conn.close()
    return took


async def latency(sizes: Iterable[int] = (10, 1000, 10000), changes: int = 12) -> None:
    domain = ".apps.example.com"
    for size in sizes:
        ads = rig.Ads()
        await ads.start()
        port = rig.free_port()
        with rig.scratch() as folder, ExitStack() as stack:
            ads.put(rig.ECDS, FILTER, key_filter())
            for n in range(size):
                routes = [answer("0", path_separated_prefix="/api"), answer("0")]
                ads.put(rig.SRDS, f"g|h{n}{domain}", exact("g", f"h{n}{domain}", routes))
            wild = [virtual_host("*" + domain, [answer("wild")]), virtual_host("*", [answer("default")])]
            ads.put(rig.SRDS, "g|*", scope("g", "*", wild))
            ads.put(rig.LDS, "l", listener("l", port, chain(connection_manager("g"))))
            process = stack.enter_context(rig.envoy(rig.bootstrap(ads.port, rig.free_port()), folder))
            await asyncio.to_thread(wait_answer, port, f"h{size - 1}{domain}", "200:0")
            kinds = {
                "changed": ["h1"] * changes,
                "brand-new under a wildcard": [f"new{i}" for i in range(changes)],
                "changed, asked in upper case": ["H2"] * changes,
            }
            for kind, labels in kinds.items():
                took = []
                for turn, label in enumerate(labels):
                    name, text = label.lower() + domain, f"{kind}{turn}"
                    body = exact("g", name, [answer(text, path_separated_prefix="/api"), answer(text)])
                    took.append(await change(ads, port, label + domain, text, f"g|{name}", body))
                took_wild = f"median {statistics.median(took):5.2f} ms  max {max(took):5.2f} ms"
                memory = f"envoy {rig.rss_megabytes(process.pid):.0f} MB"
                print(f"{size:6d} scopes, {kind:30s} {took_wild}  scope {len(body)} bytes  {memory}", flush=True)
        await ads.stop()


if __name__ == "__main__":
    mode = sys.argv[1] if len(sys.argv) > 1 else "behave"
    if mode == "behave":
        sys.exit(asyncio.run(behave()))
    asyncio.run(cost() if mode == "cost" else latency())
