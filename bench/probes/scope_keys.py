"""Probe: how a request finds its route scope. Shapes, behaviour, cost and change latency on a real Envoy.

Theory. A scope key is one string, `<group>|<host>`, kept in the internal header x-weir-scope, which early header
mutation overwrites. An exact lower-case host hits its scope before any filter exists, and that scope switches the key
filter off, so plain traffic never pays. Everything else runs `KEYS_LUA`, a constant that walks from the host to the
catch-all. Lua can ask Envoy "is there a route now?" only once per run (`metadata()` refreshes the route, its wrapper is
then cached), so the filter stands `ASKS` times in the chain and a matcher skips the copies that are not needed.

Comes in: nothing. Goes out: a table of behaviours (exit 1 if one is wrong), CPU per request, change latency.
Usage: scope_keys.py behave | cost | latency
"""
import asyncio
import http.client
import json
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
from envoy.config.core.v3 import extension_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import scoped_route_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2  # noqa: F401  (registers the type for ParseDict)
from envoy.extensions.common.matching.v3 import extension_matcher_pb2  # noqa: F401
from envoy.extensions.filters.common.matcher.action.v3 import skip_action_pb2  # noqa: F401
from envoy.extensions.filters.http.lua.v3 import lua_pb2  # noqa: F401
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2  # noqa: F401
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2  # noqa: F401
from envoy.type.matcher.v3 import http_inputs_pb2  # noqa: F401
from google.protobuf import json_format

EXT = rig.TYPE + "envoy.extensions."
FILTER = "weir.keys"
ASKS = 6
SOURCE = {"ads": {}, "resource_api_version": "V3"}

KEYS_LUA = r"""
local SCOPE, WALK = "x-weir-scope", "x-weir-walk"

local function host_of(raw)
  local host = string.lower(raw)
  if string.byte(host, 1) == 91 then return "" end
  local colon = string.find(host, ":", 1, true)
  if colon then host = string.sub(host, 1, colon - 1) end
  if string.byte(host, -1) == 46 then host = string.sub(host, 1, -2) end
  return host
end

local function candidates(host, raw, one, any)
  local keys, n = {}, 0
  if host ~= "" and host ~= raw then n = 1; keys[1] = host end
  if one == 0 and any == 0 then return keys, n end
  local _, labels = string.gsub(host, "%.", "")
  local dot, first = string.find(host, ".", 1, true), true
  while dot do
    local suffix = string.sub(host, dot)
    local wild = bit.lshift(1, labels)
    if first and bit.band(one, wild) ~= 0 then n = n + 1; keys[n] = "+" .. suffix end
    if bit.band(any, wild) ~= 0 then n = n + 1; keys[n] = "*" .. suffix end
    first, labels = false, labels - 1
    dot = string.find(host, ".", dot + 1, true)
  end
  return keys, n
end

local function shard_of(path, depth, shards)
  local stop = string.find(path, "[?#]")
  if stop then path = string.sub(path, 1, stop - 1) end
  local at = 0
  for _ = 1, depth do
    at = string.find(path, "/", at + 1, true)
    if not at then return nil end
  end
  local stop_at = string.find(path, "/", at + 1, true)
  local last = stop_at and stop_at - 1 or #path
  local sum = 5381
  for i = 1, last do sum = (sum * 33 + string.byte(path, i)) % 4294967296 end
  return sum % shards
end

local function into_shard(h, headers, info, scope, asked)
  local mark = h:virtualHost():metadata()
  local shards = mark:get("shards")
  if not shards then return end
  local n = shard_of(headers:get(":path"), mark:get("depth"), shards)
  if not n then return end
  headers:replace(SCOPE, scope .. "#" .. n)
  h:clearRouteCache()
  if asked then headers:replace(WALK, "s"); return true end
  h:metadata()
  if info:routeName() ~= "" then return end
  headers:replace(SCOPE, scope)
  h:clearRouteCache()
end

function envoy_on_request(h)
  local headers, info = h:headers(), h:streamInfo()
  local scope, step = headers:get(SCOPE), headers:get(WALK)
  local asked = step ~= "0"
  if asked then
    h:metadata()
    if step == "s" then
      if info:routeName() == "" then
        headers:replace(SCOPE, string.match(scope, "^(.*)#%d+$"))
        h:clearRouteCache()
      end
      headers:remove(WALK)
      return
    end
  end
  if info:routeName() ~= "" then
    if not asked then
      local colon = string.find(scope, ":", 1, true)
      if colon then scope = string.sub(scope, 1, colon - 1) end
    end
    if not into_shard(h, headers, info, scope, asked) then headers:remove(WALK) end
    return
  end
  local group = string.sub(scope, 1, string.find(scope, "|", 1, true))
  local raw = headers:get(":authority") or ""
  local keys, n = candidates(host_of(raw), raw, ONE, ANY)
  for i = tonumber(step) + 1, n do
    headers:replace(SCOPE, group .. keys[i])
    h:clearRouteCache()
    if asked then headers:replace(WALK, tostring(i)); return end
    h:metadata()
    asked = true
    if info:routeName() ~= "" then
      if not into_shard(h, headers, info, group .. keys[i], true) then headers:remove(WALK) end
      return
    end
  end
  headers:replace(SCOPE, group .. "*")
  headers:remove(WALK)
  h:clearRouteCache()
end
"""


def shard_of(path: str, depth: int, shards: int) -> int | None:
    """The same sum as the Lua: over the first `depth` segments; None when the path has fewer."""
    parts = path.split("/")
    if len(parts) <= depth:
        return None
    total = 5381
    for byte in "/".join(parts[: depth + 1]).encode():
        total = (total * 33 + byte) % 4294967296
    return total % shards


def key_filter(one: int = 0, any_depth: int = 0) -> bytes:
    """The ECDS resource: constant source but for two whole numbers: `one` and `any` say at which label counts a wildcard exists (bit masks)."""
    lua: dict[str, Any] = {
        "@type": EXT + "filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": f"local ONE, ANY = {one:d}, {any_depth:d}\n{KEYS_LUA}"},
        "clear_route_cache": False,
    }
    walk = {"@type": rig.TYPE + "envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": "x-weir-walk"}
    unset = {"single_predicate": {"input": {"name": "walk", "typed_config": walk}, "value_match": {
        "safe_regex": {"regex": ".+"}}}}
    skip = {"name": "skip", "typed_config": {"@type": EXT + "filters.common.matcher.action.v3.SkipFilter"}}
    config = {
        "name": FILTER,
        "typed_config": {
            "@type": EXT + "common.matching.v3.ExtensionWithMatcher",
            "extension_config": {"name": "lua", "typed_config": lua},
            "xds_matcher": {"matcher_list": {"matchers": [
                {"predicate": {"not_matcher": unset}, "on_match": {"action": skip}}]}},
        },
    }
    return bytes(json_format.ParseDict(config, extension_pb2.TypedExtensionConfig()).SerializeToString())


def early_mutations(group: str) -> list[dict[str, Any]]:
    """Internal headers are taken off and set anew before routing, so a client's copy has no effect."""
    over = "OVERWRITE_IF_EXISTS_OR_ADD"
    return [
        {"remove": "x-weir-scope"},
        {"remove": "x-weir-walk"},
        {"append": {"header": {"key": "x-weir-scope", "value": group + "|%REQ(:authority)%"}, "append_action": over}},
        {"append": {"header": {"key": "x-weir-walk", "value": "0"}, "append_action": over}},
    ]


def connection_manager(group: str, *, asks: int = ASKS, access_log: str = "") -> dict[str, Any]:
    keys = {"name": FILTER, "config_discovery": {
        "config_source": SOURCE, "type_urls": [EXT + "common.matching.v3.ExtensionWithMatcher"]}}
    early = {"@type": EXT + "http.early_header_mutation.header_mutation.v3.HeaderMutation",
             "mutations": early_mutations(group)}
    extractor = {"name": "x-weir-scope", "element_separator": ":", "index": 0}
    out: dict[str, Any] = {
        "@type": EXT + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "http10.invalid"},
        "early_header_mutation_extensions": [{"name": "weir.early", "typed_config": early}],
        "scoped_routes": {
            "name": "weir",
            "scope_key_builder": {"fragments": [{"header_value_extractor": extractor}]},
            "rds_config_source": SOURCE,
            "scoped_rds": {"scoped_rds_config_source": SOURCE},
        },
        "http_filters": [keys] * asks
        + [{"name": "router", "typed_config": {"@type": EXT + "filters.http.router.v3.Router"}}],
    }
    if access_log:
        fields = {"host": "%REQ(:AUTHORITY)%", "scope": "%REQ(X-WEIR-SCOPE)%", "vhost": "%VIRTUAL_CLUSTER_NAME%"}
        body = {"@type": EXT + "access_loggers.file.v3.FileAccessLog", "path": access_log,
                "log_format": {"json_format": fields}}
        out["access_log"] = [{"name": "file", "typed_config": body}]
    return out


def listener(name: str, port: int, manager: dict[str, Any]) -> bytes:
    body = {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return bytes(json_format.ParseDict(body, listener_pb2.Listener()).SerializeToString())


NOT_FOUND = {"name": "-", "match": {"prefix": ""}, "direct_response": {"status": 404}}
OFF = {FILTER: {"@type": rig.TYPE + "envoy.config.route.v3.FilterConfig", "disabled": True}}


def scope(key: str, routes: Iterable[dict[str, Any]], *, domain: str = "*", keys_off: bool = True,
          final: bool = True, mark: dict[str, Any] | None = None, matcher: dict[str, Any] | None = None) -> bytes:
    """One ScopedRouteConfiguration. Every route is named; the last one answers 404, so a path miss never walks on."""
    host: dict[str, Any] = {"name": key, "domains": [domain]}
    if matcher is not None:
        host["matcher"] = matcher
    else:
        host["routes"] = [*routes, *([NOT_FOUND] if final else [])]
    if mark:
        host["metadata"] = {"filter_metadata": {FILTER: mark}}
    config: dict[str, Any] = {
        "name": key,
        "virtual_hosts": [host],
        "ignore_port_in_host_matching": True,
        "validate_clusters": False,
        "request_headers_to_remove": ["x-weir-scope", "x-weir-walk"],
    }
    if keys_off:
        config["typed_per_filter_config"] = OFF
    body = {"name": key, "key": {"fragments": [{"string_key": key}]}, "route_configuration": config}
    return bytes(json_format.ParseDict(body, scoped_route_pb2.ScopedRouteConfiguration()).SerializeToString())


def to(cluster: str, prefix: str = "/") -> dict[str, Any]:
    return {"name": "r", "match": {"path_separated_prefix" if len(prefix) > 1 else "prefix": prefix},
            "route": {"cluster": cluster, "timeout": "15s"}}


def answer(text: str, **match: Any) -> dict[str, Any]:
    return {"name": "r", "match": match or {"prefix": "/"},
            "direct_response": {"status": 200, "body": {"inline_string": text}}}


def masks(keys: Iterable[str]) -> tuple[int, int]:
    """The two masks of a group: bit n is set when a wildcard with n labels after the star exists."""
    one = any_depth = 0
    for key in keys:
        if key[0] == "+":
            one |= 1 << key.count(".")
        elif key.startswith("*."):
            any_depth |= 1 << key.count(".")
    return one, any_depth


def raw_http(port: int, text: bytes) -> str:
    with socket.create_connection(("127.0.0.1", port), 3) as conn:
        conn.settimeout(3)
        conn.sendall(text)
        reply = b""
        while chunk := conn.recv(65536):
            reply += chunk
    head, _, body = reply.partition(b"\r\n\r\n")
    return head[9:12].decode() + ":" + body.decode().strip()


def get(port: int, host: str, path: str = "/", extra: str = "") -> str:
    return raw_http(port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{extra}Connection: close\r\n\r\n".encode())


def get_http2(port: int, host: str) -> str:
    url = f"http://{host}:{port}/"
    command = ["curl", "-s", "--http2-prior-knowledge", "--connect-to", f"{host}:{port}:127.0.0.1:{port}",
               "-H", f"Host: {host}", "-w", ":%{http_version}", url]
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


SCOPES = {
    "g|exact.example.com": "exact", "g|under.foo.com": "under", "g|+.foo.com": "one", "g|*.any.com": "any",
    "g|*.deep.any.com": "deep", "g|*": "default", "h|exact.example.com": "other-group",
}
DOMAINS = {"+.foo.com": "*.foo.com"}
EXPECT = [
    ("exact.example.com", "exact"), ("Exact.EXAMPLE.com", "exact"), ("exact.example.com:8080", "exact"),
    ("EXACT.example.com:8080", "exact"), ("exact.example.com.", "exact"), ("under.foo.com", "under"),
    ("UNDER.foo.com", "under"), ("x.foo.com", "one"), ("X.Foo.com:81", "one"), ("a.b.foo.com", "default"),
    ("foo.com", "default"), ("x.any.com", "any"), ("a.b.c.any.com", "any"), ("a.b.deep.any.com", "deep"),
    ("deep.any.com", "any"), ("A.b.DEEP.any.com.", "deep"), ("any.com", "default"), ("unknown.org", "default"),
    ("localhost", "default"), ("[::1]", "default"), ("[::1]:8080", "default"), ("127.0.0.1:80", "default"),
    ("h|exact.example.com", "default"), ("*", "default"), ("+.foo.com", "default"), ("*.any.com", "default"),
]


def domains_of(key: str) -> str:
    host = key.split("|", 1)[1]
    return "*" if host == "*" else "*" + host[1:] if host[0] in "+*" else "*"


async def behave() -> int:
    wrong = 0
    ads = rig.Ads()
    await ads.start()
    port, admin = rig.free_port(), rig.free_port()
    with rig.scratch() as folder:
        log = folder / "access.log"
        one, any_depth = masks(k.split("|", 1)[1] for k in SCOPES)
        for key, text in SCOPES.items():
            routes = [answer(text)] if text != "under" else [answer(text, path="/"), answer("api", prefix="/api")]
            ads.put(rig.SRDS, key, scope(key, routes, domain=domains_of(key), keys_off=key.split("|", 1)[1][0] not in "+*"))
        ads.put(rig.ECDS, FILTER, key_filter(one, any_depth))
        ads.put(rig.LDS, "l", listener("l", port, connection_manager("g", access_log=str(log))))
        with rig.envoy(rig.bootstrap(ads.port, admin), folder) as process:
            try:
                await asyncio.to_thread(wait_answer, port, "exact.example.com", "200:exact")
            except TimeoutError:
                print(ads.nacks, next(folder.glob("*.log")).read_text()[-3000:])
                raise
            def check(label: str, got: str, wished: str) -> None:
                nonlocal wrong
                wrong += got != wished
                print(f"{'ok ' if got == wished else 'BAD'} {label:55s} {got}")
            def cases() -> None:
                for host, text in EXPECT:
                    check(f"Host: {host}", get(port, host), f"200:{text}")
                check("path miss stays on the exact host", get(port, "under.foo.com", "/nope"), "404:")
                check("path miss, upper case", get(port, "UNDER.foo.com", "/nope"), "404:")
                spoof = "x-weir-scope: h|exact.example.com\r\nx-weir-walk: 3\r\nX-Weir-Scope: h|exact.example.com\r\n"
                check("client headers, exact", get(port, "exact.example.com", "/", spoof), "200:exact")
                check("client headers, walk", get(port, "nope.org", "/", spoof), "200:default")
                check("absolute form", raw_http(port, b"GET http://X.foo.com/ HTTP/1.1\r\nHost: exact.example.com\r\n"
                                                b"Connection: close\r\n\r\n"), "200:one")
                check("empty host", raw_http(port, b"GET / HTTP/1.1\r\nHost:\r\n" + spoof.encode()
                                             + b"Connection: close\r\n\r\n")[:3], "400")
                check("HTTP/1.1 no host", raw_http(port, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")[:3], "400")
                check("HTTP/1.0 no host", raw_http(port, b"GET / HTTP/1.0\r\n\r\n"), "200:default")
                check("OPTIONS *", raw_http(port, b"OPTIONS * HTTP/1.1\r\nHost: exact.example.com\r\n"
                                            b"Connection: close\r\n\r\n")[:3], "404")
                check("HTTP/2 exact", get_http2(port, "exact.example.com"), "exact:2")
                check("HTTP/2 upper", get_http2(port, "EXACT.example.com"), "exact:2")
                check("HTTP/2 any depth", get_http2(port, "p.q.any.com"), "any:2")
            await asyncio.to_thread(cases)
            key = "g|new.foo.com"
            ads.put(rig.SRDS, key, scope(key, [answer("new")]))
            ads.push(rig.SRDS, [key])
            await asyncio.to_thread(wait_answer, port, "NEW.foo.com", "200:new")
            print("ok  a new exact host under a wildcard needed its own scope only")
            ads.push(rig.SRDS, [], [key])
            await asyncio.to_thread(wait_answer, port, "new.foo.com", "200:one")
            # what reaches the backend and the log
            backend_port, seen = await echo()
            ads.put(rig.CDS, "echo", cluster_bytes("echo", backend_port))
            ads.push(rig.CDS, ["echo"])
            for key in ("g|*", "g|exact.example.com"):
                ads.put(rig.SRDS, key, scope(key, [to("echo")], keys_off=key != "g|*"))
            ads.push(rig.SRDS, ["g|*", "g|exact.example.com"])
            for host in ("exact.example.com", "EXACT.example.com:99", "zz.org"):
                await asyncio.to_thread(wait_answer, port, host, "200:E")
            leaked = [text for text in seen if "x-weir" in text.lower()]
            check("no internal header reaches the backend", str(len(leaked)), "0")
            kept = {line.split(": ", 1)[1] for text in seen for line in text.splitlines() if line.startswith("host:")}
            check("the backend sees the host as sent", str(sorted(kept)),
                  str(sorted({"exact.example.com", "EXACT.example.com:99", "zz.org"})))
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        print("log rows with a scope:", sum(r["scope"] is not None for r in rows), "of", len(rows),
              "(direct responses keep the header; log no REQ(x-weir-*) field)")
    print("nacks", ads.nacks)
    await ads.stop()
    return wrong + len(ads.nacks)


def cluster_bytes(name: str, port: int) -> bytes:
    from envoy.config.cluster.v3 import cluster_pb2

    return bytes(json_format.ParseDict(rig.static_cluster(name, port), cluster_pb2.Cluster()).SerializeToString())


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


def plain_manager() -> dict[str, Any]:
    out = connection_manager("g", asks=0)
    for name in ("early_header_mutation_extensions", "scoped_routes"):
        del out[name]
    host = {"name": "h", "domains": ["*"], "routes": [to("a")]}
    out["route_config"] = {"virtual_hosts": [host]}
    return out


async def cost(rounds: int = 5) -> None:
    ads = rig.Ads()
    await ads.start()
    plain, keyed, bare = rig.free_port(), rig.free_port(), rig.free_port()
    with rig.scratch() as folder, rig.static_backend(folder, "A") as (backend,):
        ads.put(rig.ECDS, FILTER, key_filter(1 << 2, 0))
        for key in ("g|h.example.com", "g|+.foo.com", "g|*", "n|h.example.com"):
            ads.put(rig.SRDS, key, scope(key, [to("a")], keys_off=key.endswith("example.com")))
        ads.put(rig.LDS, "plain", listener("plain", plain, plain_manager()))
        ads.put(rig.LDS, "keyed", listener("keyed", keyed, connection_manager("g")))
        ads.put(rig.LDS, "bare", listener("bare", bare, connection_manager("n", asks=0)))
        config = rig.bootstrap(ads.port, rig.free_port(), [rig.static_cluster("a", backend)])
        with rig.envoy(config, folder) as process:
            for port, host in ((plain, "h.example.com"), (keyed, "x.foo.com"), (bare, "h.example.com")):
                await asyncio.to_thread(wait_answer, port, host, "200:A")
            cells = {
                "one virtual host, no scopes": (plain, "h.example.com"),
                "scopes, no key filter": (bare, "h.example.com"),
                "scopes, key filter off by scope": (keyed, "h.example.com"),
                "walk: one-label wildcard": (keyed, "x.foo.com"),
                "walk: catch-all, no wildcard depth": (keyed, "unknown.example.org"),
                "walk: wildcard miss, catch-all": (keyed, "x.bar.com"),
                "walk: upper case, exact": (keyed, "H.example.com"),
                "walk: upper case, wildcard": (keyed, "X.foo.com"),
            }
            rows: dict[str, list[tuple[float, float]]] = {name: [] for name in cells}
            for _ in range(rounds):
                for name, (port, host) in cells.items():
                    rows[name].append(await asyncio.to_thread(wrk, process.pid, port, host))
            base = statistics.median(r[1] for r in rows["one virtual host, no scopes"])
            for name, row in rows.items():
                us = statistics.median(r[1] for r in row)
                ratios = [r[1] / b[1] for r, b in zip(row, rows["one virtual host, no scopes"], strict=True)]
                print(f"{name:38s} {us:6.1f} us  x{us / base:.2f} (paired {statistics.median(ratios):.2f})"
                      f"  rps {statistics.median(r[0] for r in row):7.0f}")
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


async def latency(sizes: Iterable[int] = (10, 1000, 10000), changes: int = 12) -> None:
    for size in sizes:
        ads = rig.Ads()
        await ads.start()
        port = rig.free_port()
        with rig.scratch() as folder, ExitStack() as stack:
            ads.put(rig.ECDS, FILTER, key_filter(1 << 3, 0))
            for n in range(size):
                key = f"g|h{n}.apps.example.com"
                ads.put(rig.SRDS, key, scope(key, [answer("0", path_separated_prefix="/api"), answer("0")]))
            for key, text in (("g|+.apps.example.com", "wild"), ("g|*", "default")):
                ads.put(rig.SRDS, key, scope(key, [answer(text)], keys_off=False))
            ads.put(rig.LDS, "l", listener("l", port, connection_manager("g")))
            process = stack.enter_context(rig.envoy(rig.bootstrap(ads.port, rig.free_port()), folder))
            await asyncio.to_thread(wait_answer, port, f"h{size - 1}.apps.example.com", "200:0")
            conns = [http.client.HTTPConnection("127.0.0.1", port) for _ in range(4)]
            for name, hosts in (("changed", ["h1"] * changes), ("brand-new", [f"new{i}" for i in range(changes)]),
                                ("changed, asked in upper case", ["H2"] * changes)):
                took = []
                for turn, label in enumerate(hosts):
                    key = f"g|{label.lower()}.apps.example.com"
                    host, text = f"{label}.apps.example.com", f"{name}{turn}"
                    body = scope(key, [answer(text, path_separated_prefix="/api"), answer(text)])
                    start = time.monotonic_ns()
                    ads.put(rig.SRDS, key, body)
                    ads.push(rig.SRDS, [key])
                    took.append((await asyncio.to_thread(poll_until, conns, host, "/", text.encode()) - start) / 1e6)
                print(f"{size:6d} scopes, {name:30s} median {statistics.median(took):5.2f} ms  max {max(took):5.2f} ms"
                      f"  scope {len(body)} bytes  envoy {rig.rss_megabytes(process.pid):.0f} MB", flush=True)
        await ads.stop()


if __name__ == "__main__":
    mode = sys.argv[1] if len(sys.argv) > 1 else "behave"
    if mode == "behave":
        sys.exit(asyncio.run(behave()))
    asyncio.run(cost() if mode == "cost" else latency())
