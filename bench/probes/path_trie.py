"""Probe: one host with very many paths, route list against matcher trie. Right answers, cost, change latency on a real Envoy.

Theory. Envoy tries a route list in order; a trie over `:path` finds the longest literal that begins the path. The leaf of a
literal holds, in the total order, every route that could still match: those of the literal itself, those of its segment
ancestors, and every regex; full Routes, so `match` decides again and the query string needs no care.

Comes in: nothing. Goes out: a differential check against a plain Python matcher (exit 1 on a difference), figures.
Usage: path_trie.py differ | cost | latency
"""

import asyncio
import http.client
import random
import statistics
import sys
import time
from typing import Any, NamedTuple

import _rig as rig
import scope_keys as keys
from envoy.config.route.v3 import route_components_pb2  # noqa: F401  (registers RouteList for ParseDict)
from envoy.type.matcher.v3 import http_inputs_pb2  # noqa: F401

HOST = "h.example.com"


class Rule(NamedTuple):
    """One route as the reference sees it; `name` is its answer."""

    name: str
    kind: str
    path: str
    method: str = ""
    header: str = ""


def total_order(rule: Rule) -> tuple[Any, ...]:
    """Exact, then longer prefix, then regex; with a method, with a header; then by name."""
    kinds = {"exact": 0, "prefix": 1, "regex": 2}
    return kinds[rule.kind], -len(rule.path), not rule.method, not rule.header, rule.name


def reference(rules: list[Rule], method: str, target: str, header: str) -> str:
    """The name of the first rule in total order that takes the request; only regexes of the form `/x/.*` are known."""
    path = target.partition("?")[0]
    for rule in sorted(rules, key=total_order):
        if rule.kind == "exact":
            hit = path == rule.path
        elif rule.kind == "regex":
            hit = path.startswith(rule.path.removesuffix(".*"))
        else:
            hit = rule.path == "/" or path == rule.path or path.startswith(rule.path + "/")
        if hit and rule.method in {"", method} and rule.header in {"", header}:
            return rule.name
    return ""


def route(rule: Rule, cluster: str = "") -> dict[str, Any]:
    match: dict[str, Any] = {}
    if rule.kind == "exact":
        match["path"] = rule.path
    elif rule.kind == "regex":
        match["safe_regex"] = {"google_re2": {}, "regex": rule.path}
    else:
        match["prefix" if rule.path == "/" else "path_separated_prefix"] = rule.path
    wished = {":method": rule.method, "x-v": rule.header}
    headers = [{"name": n, "string_match": {"exact": v}} for n, v in wished.items() if v]
    if headers:
        match["headers"] = headers
    return (keys.to(cluster) | {"match": match}) if cluster else keys.answer(rule.name, **match)


def ancestors(path: str) -> set[str]:
    """The path and every shorter path whose segment prefix it begins with."""
    parts = path.split("/")
    return {"/".join(parts[:n]) for n in range(2, len(parts) + 1)} | {"/"}


def leaf(ordered: dict[str, list[Rule]], regexes: list[Rule], path: str) -> list[Rule]:
    """Every rule that could match a request whose longest literal is `path`, cut after the first rule that surely does.

    The literal's own prefix rule is not sure: the path may go on without a slash."""
    found = [r for a in ancestors(path) for r in ordered.get(a, ()) if r.kind == "prefix" or r.path == path]
    out = []
    for rule in sorted([*found, *regexes], key=total_order):
        out.append(rule)
        sure = rule.kind == "prefix" and (rule.path != path or path == "/")
        if sure and not rule.method and not rule.header:
            break
    return out


def route_list(name: str, rules: list[Rule], cluster: str) -> dict[str, Any]:
    routes = [*(route(r, cluster) for r in rules), keys.NOT_FOUND]
    config = {"@type": rig.TYPE + "envoy.config.route.v3.RouteList", "routes": routes}
    return {"action": {"name": name, "typed_config": config}}


def trie_host(rules: list[Rule], cluster: str = "") -> dict[str, Any]:
    by_path: dict[str, list[Rule]] = {}
    regexes = [r for r in rules if r.kind == "regex"]
    for rule in rules:
        if rule.kind != "regex":
            by_path.setdefault(rule.path, []).append(rule)
    header = {"@type": rig.TYPE + "envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": ":path"}
    tree = {
        "input": {"name": "path", "typed_config": header},
        "prefix_match_map": {"map": {p: route_list(p, leaf(by_path, regexes, p), cluster) for p in sorted(by_path)}},
    }
    rest = route_list("rest", sorted(regexes, key=total_order), cluster)
    return {"name": HOST, "domains": [HOST], "matcher": {"matcher_tree": tree, "on_no_match": rest}}


def list_host(rules: list[Rule], cluster: str = "") -> dict[str, Any]:
    return keys.virtual_host(HOST, [route(r, cluster) for r in sorted(rules, key=total_order)])


SHAPES = {"list": list_host, "trie": trie_host}


def random_rules(rng: random.Random, count: int) -> list[Rule]:
    """Many collisions on purpose: few names, nested paths, names that begin with one another, conditions."""
    rules = []
    for n in range(count):
        path = "".join("/" + rng.choice(("a", "ab", "abc", "b", "a.b", "%41")) for _ in range(rng.randint(1, 4)))
        kind = rng.choice(("exact", "prefix", "prefix"))
        if kind == "exact" and rng.random() < 0.2:
            path += "/"
        rules.append(Rule(f"r{n}", kind, path, rng.choice(("", "", "POST")), rng.choice(("", "", "1", "2"))))
    if rng.random() < 0.5:
        rules.append(Rule("root", "prefix", "/"))
    rules += [Rule(f"x{n}", "regex", f"/{name}/.*") for n, name in enumerate(("abc", "b")) if rng.random() < 0.6]
    return rules


def random_request(rng: random.Random, rules: list[Rule]) -> tuple[str, str, str]:
    path = rng.choice(rules).path.removesuffix(".*") if rng.random() < 0.8 else "/zz"
    path += rng.choice(("", "", "", "/", "/a", "/ab/b", "c", "x", "//", "/q/r"))
    query = rng.choice(("", "", "?", "?a=/b", "?/a/b"))
    return rng.choice(("GET", "POST")), path + query, rng.choice(("", "1", "2", "3"))


def asked(conn: http.client.HTTPConnection, method: str, target: str, header: str) -> str:
    conn.request(method, target, headers={"Host": HOST} | ({"x-v": header} if header else {}))
    reply = conn.getresponse()
    text = reply.read().decode()
    return text if reply.status == 200 else "" if reply.status == 404 else str(reply.status)


def differences(ports: dict[str, int], rules: list[Rule], rng: random.Random, count: int) -> int:
    conns = {name: http.client.HTTPConnection("127.0.0.1", port) for name, port in ports.items()}
    wrong = 0
    for _ in range(count):
        request = random_request(rng, rules)
        wished = reference(rules, *request)
        for name, conn in conns.items():
            if (got := asked(conn, *request)) != wished:
                wrong += 1
                if wrong < 20:
                    print("BAD", name, request, "got", got, "wished", wished)
    return wrong


async def rig_up(bodies: dict[str, bytes], ads: rig.Ads) -> dict[str, int]:
    """One listener and group per name, each with the scope given."""
    await ads.start()
    ads.put(rig.ECDS, keys.FILTER, keys.key_filter())
    ports = {name: rig.free_port() for name in bodies}
    for name, body in bodies.items():
        ads.put(rig.SRDS, f"{name}|{HOST}", body)
        ads.put(rig.LDS, name, keys.listener(name, ports[name], keys.chain(keys.connection_manager(name))))
    return ports


async def differ(tables: int = 12, requests: int = 1000) -> int:
    rng, wrong, asked_for = random.Random(7), 0, 0
    for _ in range(tables):
        rules, ads = random_rules(rng, 120), rig.Ads()
        ports = await rig_up({n: keys.scope(n, HOST, [make(rules)]) for n, make in SHAPES.items()}, ads)
        with rig.scratch() as folder, rig.envoy(rig.bootstrap(ads.port, rig.free_port()), folder):
            for port in ports.values():
                await asyncio.to_thread(rig.wait_open, port)
                request = ("GET", "/b", "")
                text = reference(rules, *request)
                await asyncio.to_thread(keys.wait_answer, port, HOST, f"200:{text}" if text else "404:", "/b")
            wrong += await asyncio.to_thread(differences, ports, rules, rng, requests)
            asked_for += requests * len(ports)
        wrong += len(ads.nacks)
        print("tables so far differ:", wrong, "requests:", asked_for, ads.nacks[:1], flush=True)
        await ads.stop()
    return wrong


def flat(count: int) -> list[Rule]:
    return [Rule(f"p{n}", "prefix", f"/p{n:04d}") for n in range(count)]


async def cost(sizes: tuple[int, ...] = (1, 100, 1000, 5000)) -> None:
    ads = rig.Ads()
    bodies = {f"{s}{n}": keys.scope(f"{s}{n}", HOST, [SHAPES[s](flat(n), "a")]) for n in sizes for s in SHAPES}
    ports = await rig_up(bodies, ads)
    with rig.scratch() as folder, rig.static_backend(folder, "A") as (backend,):
        config = rig.bootstrap(ads.port, rig.free_port(), [rig.static_cluster("a", backend)])
        with rig.envoy(config, folder) as process:
            cells = {}
            for name, port in ports.items():
                path = f"/p{int(name[4:]) - 1:04d}/x"
                await asyncio.to_thread(keys.wait_answer, port, HOST, "200:A", path)
                cells[f"{name[:4]}, {name[4:]} paths, the last"] = (port, HOST, path)
            await keys.measure(process.pid, cells, 3, 2)
    await ads.stop()


async def latency(size: int = 5000, changes: int = 20) -> None:
    ads = rig.Ads()
    ports = await rig_up({n: keys.scope(n, HOST, [make(flat(size))]) for n, make in SHAPES.items()}, ads)
    with rig.scratch() as folder, rig.envoy(rig.bootstrap(ads.port, rig.free_port()), folder):
        for name, make in SHAPES.items():
            await asyncio.to_thread(keys.wait_answer, ports[name], HOST, "200:p7", "/p0007")
            took = []
            for turn in range(changes):
                rules = flat(size)
                rules[7] = rules[7]._replace(name=f"new{turn}")
                body = keys.scope(name, HOST, [make(rules)])
                conns = [http.client.HTTPConnection("127.0.0.1", ports[name]) for _ in range(4)]
                start = time.monotonic_ns()
                ads.put(rig.SRDS, f"{name}|{HOST}", body)
                ads.push(rig.SRDS, [f"{name}|{HOST}"])
                end = await asyncio.to_thread(keys.poll_until, conns, HOST, "/p0007", f"new{turn}".encode())
                took.append((end - start) / 1e6)
            shown = f"median {statistics.median(took):.1f} ms  max {max(took):.1f} ms"
            print(f"{name}, one of {size} paths changed: {shown}  scope {len(body)} bytes", ads.nacks[:1], flush=True)
    await ads.stop()


if __name__ == "__main__":
    mode = sys.argv[1] if len(sys.argv) > 1 else "differ"
    if mode == "differ":
        sys.exit(bool(asyncio.run(differ())))
    asyncio.run(cost() if mode == "cost" else latency())
