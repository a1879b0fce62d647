"""B7, request cost: Envoy's CPU for each request as the program configures it, beside a hand-written minimal Envoy.

Two peers. The hand-written one has the same hosts, one route table, the same two routes and header edits for each host, a cluster for each Service, the JSON access log with the same fields,
and no filter but the router: whatever the program's safe defaults cost is in the ratio. The other is
the same with the connection manager's options of ours (limits, times, path normalisation, headers): what the layout alone costs. All run at once, wrk (one thread) loads them in turn, in rounds whose
order turns. CPU is that of the Envoy process, user and system. The hand-written one
gets a session of its own, as the program gives its Envoy: the kernel shares processors among sessions (autogroups), and one in wrk's session ran several times as fast. wrk asks 200 hot hosts (or paths) in turn.
"""

import contextlib
import json
import os
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench import objects
from bench.clients import until_live
from bench.figures import machine, save, table
from bench.objects import Folder
from bench.stand import WORKERS, backends, child, plane, scratch, wait_open, wrk_binary
from weirkeeper.providers.envoy.translate.access_log import FIELDS
from weirkeeper.testing.certificates import Authority, PemPair
from weirkeeper.testing.engines import envoy_binary
from weirkeeper.testing.engines.usage import cpu_seconds
from weirkeeper.testing.ports import free_port

TYPE = "type.googleapis.com/envoy."
HOT = 200


def host(n: int) -> str:
    return f"h{n}.apps.example"


def hand_written(port: int, shape: str, size: int, backend: int, *, log: bool, tls: tuple[Path, Path] | None) -> dict:
    """A static configuration as one would write it by hand for this load."""

    def route(path: str, n: int) -> dict:
        match = {"prefix": "/"} if path == "/" else {"path_separated_prefix": path}
        edits = {"response_headers_to_add": [{"header": {"key": "x-rev", "value": "r0"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]}
        return {"match": match, "route": {"cluster": f"s{n}", "host_rewrite_literal": f"i{n}.internal"}, **edits}

    if shape == "paths":
        hosts = [{"name": "h", "domains": [host(0)], "routes": [route(f"/p{n}", n % 500) for n in range(size)]}]
    elif shape == "wildcard":
        hosts = [{"name": "h", "domains": ["*.apps.example"], "routes": [route("/api", 0), route("/", 0)]}]
    else:
        hosts = [{"name": str(n), "domains": [host(n)], "routes": [route("/api", n), route("/", n)]} for n in range(size)]
    manager = {
        "@type": TYPE + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "in",
        "route_config": {"virtual_hosts": hosts},
        "http_filters": [{"name": "router", "typed_config": {"@type": TYPE + "extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True}}],
    }  # fmt: skip
    if log:
        line = {"@type": TYPE + "extensions.access_loggers.file.v3.FileAccessLog", "path": "/dev/stdout", "log_format": {"json_format": FIELDS, "omit_empty_values": True}}
        manager["access_log"] = [{"name": "file", "typed_config": line}]
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    if tls is not None:
        pair = {"certificate_chain": {"filename": str(tls[0])}, "private_key": {"filename": str(tls[1])}}
        chain["transport_socket"] = {"name": "tls", "typed_config": {"@type": TYPE + "extensions.transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": {"tls_certificates": [pair], "alpn_protocols": ["h2", "http/1.1"]}}}

    def at(number: int) -> dict:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    clusters = [
        {"name": f"s{n}", "type": "STATIC", "connect_timeout": "1s", "load_assignment": {"cluster_name": f"s{n}", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at(backend)}}]}]}}
        for n in range(500 if shape == "paths" else size)
    ]  # fmt: skip
    return {
        "static_resources": {"listeners": [{"name": "l", "address": at(port), "filter_chains": [chain]}], "clusters": clusters},
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [{"prefix": "http."}, {"prefix": "listener."}]}}},
    }


def with_options(config: dict, dump: dict) -> dict:
    """The hand-written configuration with the connection manager options of ours: its limits, times, normalisation and headers. Still one route table, and no filter but the router."""
    listeners = [one["active_state"]["listener"] for one in dump["configs"]]
    listener = next(one for one in listeners if not any("transport_socket" in chain for chain in one["filter_chains"]))
    ours = listener["filter_chains"][0]["filters"][0]["typed_config"]
    made = json.loads(json.dumps(config))
    chain = made["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    hand = chain["typed_config"]
    kept = {key: value for key, value in ours.items() if key not in ("scoped_routes", "rds", "route_config", "http_filters", "access_log")}
    chain["typed_config"] = kept | {key: hand[key] for key in ("route_config", "http_filters", "access_log") if key in hand}
    return made


@contextlib.contextmanager
def by_hand(place: Path, name: str, config: dict, port: int) -> Iterator[tuple[int, Path]]:
    path, log = place / f"{name}.json", place / f"{name}.log"
    path.write_text(json.dumps(config))
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(log.open("ab"))
        process = stack.enter_context(child([str(envoy_binary()), "-c", str(path), "--concurrency", str(WORKERS), "-l", "error", "--disable-hot-restart"], log, stdout=out, start_new_session=True))
        wait_open(port)
        yield process.pid, log


def wrk(port: int, connections: int, seconds: int, script: Path, *, tls: bool) -> dict[str, float]:
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/"
    command = [wrk_binary(), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    count = int(re.search(r"(\d+) requests in", text)[1])
    latency = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    if (wrong := re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", text)) is not None:
        raise AssertionError(f"wrong answers under load: {wrong[0]}")
    return {"requests": count, "p99_ms": float(latency[1]) * {"us": 1e-3, "ms": 1, "s": 1e3}[latency[2]], "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])}


def script(place: Path, shape: str, size: int) -> Path:
    """Which hosts or paths are asked, in turn: spread over all of them, never only the first of a list."""
    hot = [n * size // min(HOT, size) for n in range(min(HOT, size))]
    asks = [(host(0), f"/p{n}") if shape == "paths" else (host(n), "/") for n in hot]
    lines = ",\n".join(f'wrk.format("GET", "{path}", {{["Host"]="{name}"}})' for name, path in asks)
    made = place / f"{shape}-{size}.lua"
    made.write_text(f"local turn, asks = 0, nil\nfunction init() asks = {{\n{lines}\n}} end\nfunction request() turn = turn % {len(asks)} + 1; return asks[turn] end\n")
    return made


def files(place: Path, shape: str, size: int, port: int, pair: PemPair) -> Folder:
    folder = Folder(place)
    folder.put("revisions.yaml", objects.config_maps())
    folder.many("services", objects.services(500 if shape == "paths" else size, port))
    folder.put("tls.yaml", objects.tls_secret("apps", pair.certificate, pair.key))
    secret = "apps" if shape == "tls" else ""
    if shape == "paths":
        texts = [objects.ingress(f"i{n}", host(0), f"s{n % 500}", paths=(f"/p{n}",)) for n in range(size)]
    elif shape == "wildcard":
        texts = [objects.ingress("i0", "*.apps.example", "s0")]
    else:
        texts = [objects.ingress(f"i{n}", host(n), f"s{n}", secret=secret) for n in range(size)]
    folder.many("ingresses", texts)
    return folder


def cell(shape: str, size: int, connections: tuple[int, ...], rounds: int, seconds: int, *, logs: tuple[bool, ...]) -> list[dict]:
    """Interleaved rounds of ours and the hand-written one; with `logs` both ways, the access log's cost is told apart."""
    rows = []
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        backend = stack.enter_context(backends(place))["a"]
        pair, tls = Authority().issue("*.apps.example"), shape == "tls"
        (place / "c.pem").write_bytes(pair.certificate)
        (place / "k.pem").write_bytes(pair.key)
        systems: dict[tuple[str, bool], tuple[int, int, Path]] = {}
        for log in logs:
            made = stack.enter_context(plane(place, files(place / f"f{log:d}", shape, size, backend, pair), name=f"weir{log:d}", access_log=log))
            until_live(made.http, host(0 if shape == "paths" else size - 1), f"/p{size - 1}" if shape == "paths" else "/", "308" if tls else "200")
            systems["weir", log] = (made.envoy(), made.https if tls else made.http, made.envoy_log())
            port = free_port()
            config = hand_written(port, shape, size, backend, log=log, tls=(place / "c.pem", place / "k.pem") if tls else None)
            pid, path = stack.enter_context(by_hand(place, f"hand{log:d}", config, port))
            systems["by hand", log] = (pid, port, path)
            if not tls:
                port = free_port()
                config = with_options(hand_written(port, shape, size, backend, log=log, tls=None), json.loads(made.admin("/config_dump?resource=dynamic_listeners")))
                pid, path = stack.enter_context(by_hand(place, f"options{log:d}", config, port))
                systems["same options", log] = (pid, port, path)
        asks = script(place, shape, size)
        for _, port, _ in systems.values():
            wrk(port, 16, 1, asks, tls=tls)
        for count in connections:
            for turn in range(rounds):
                order = list(systems.items())
                for (name, log), (pid, port, path) in order if turn % 2 == 0 else order[::-1]:
                    before = cpu_seconds(pid)
                    got = wrk(port, count, seconds, asks, tls=tls)
                    time.sleep(0.05)
                    cost = (cpu_seconds(pid) - before) * 1e6 / got["requests"]
                    os.truncate(path, 0)
                    rows.append({"system": name, "shape": shape, "size": size, "connections": count, "log": log, "round": turn, "cpu_us": cost, **got})
    return rows


def figures(rows: list[dict]) -> dict[str, dict[str, float]]:
    out = {}
    for key in sorted({(r["shape"], r["size"], r["connections"], r["log"]) for r in rows}):
        mine, hand, same = ([r for r in rows if (r["shape"], r["size"], r["connections"], r["log"]) == key and r["system"] == name] for name in ("weir", "by hand", "same options"))
        pairs = [a["cpu_us"] / b["cpu_us"] for a, b in zip(sorted(mine, key=lambda r: r["round"]), sorted(hand, key=lambda r: r["round"]), strict=True)]
        median = {name: statistics.median(r["cpu_us"] for r in held) for name, held in (("weir_us", mine), ("hand_us", hand), ("same_us", same)) if held}
        tail = {name: statistics.median(r["p99_ms"] for r in held) for name, held in (("weir_p99_ms", mine), ("hand_p99_ms", hand))}
        rps = statistics.median(r["rps"] for r in mine) / statistics.median(r["rps"] for r in hand)
        out[f"{key[0]} {key[1]} hosts/paths, {key[2]} connections, log {'on' if key[3] else 'off'}"] = {
            k: round(v, 2) for k, v in {**median, "ratio": median["weir_us"] / median["hand_us"], "to_same_options": median["weir_us"] / median.get("same_us", float("nan")), "worst_round": max(pairs), **tail, "rps_ratio": rps}.items()
        }
    return out


def run(*, quick: bool) -> str:
    about, rows = machine(), []
    both = (True, False)
    plan = [("hosts", 1, (16,), 2, 1, (True,)), ("paths", 500, (16,), 2, 1, (True,)), ("wildcard", 1, (16,), 2, 1, (True,))] if quick else [
        ("hosts", 1, (16, 64), 3, 2, both), ("hosts", 10000, (16, 64), 3, 2, (True,)), ("paths", 5000, (16, 64), 3, 2, (True,)),
        ("wildcard", 1, (16, 64), 3, 2, (True,)), ("tls", 1, (16, 64), 3, 2, (True,)),
    ]  # fmt: skip
    for shape, size, connections, rounds, seconds, logs in plan:
        rows += cell(shape, size, connections, rounds, seconds, logs=logs)
        found = figures(rows)
        save("b7", rows, found, about, quick=quick)
        print(f"  {shape} {size} done", flush=True)
    columns = ("weir_us", "hand_us", "ratio", "to_same_options", "worst_round", "weir_p99_ms", "hand_p99_ms", "rps_ratio")
    return table(("B7: CPU a request", *columns), [(key, *(f[c] for c in columns)) for key, f in found.items()])
