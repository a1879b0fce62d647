"""Probe 5: one bad resource among a thousand in one delta response: what Envoy takes, what it drops, what it says, what state is left.

In: an Envoy binary, the rig of streams.py. Out: one JSON object a kind of fault on stdout; docs/decisions/0007-rejection.md quotes them.
Nothing of the product may import it.

    python bench/probes/rejection.py [fault ...]
"""

import asyncio
import re
import ssl
import sys
import time
from typing import Any

from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2  # noqa: F401  registers the type
from streams import (
    CDS,
    ECDS,
    EDS,
    GOOGLE,
    LDS,
    SDS,
    SRDS,
    Envoy,
    Origin,
    Plane,
    Stream,
    ask,
    assignment,
    certificate,
    cluster,
    free_port,
    leave,
    listener,
    lua,
    plane_on_socket,
    say,
    scope,
    shop,
    until,
)

COUNT = 1000
PEM, KEY = certificate()
NEW_SECRET = ssl.PEM_cert_to_DER_cert(PEM)
OLD_PEM, OLD_KEY = certificate("old")
DOWN = GOOGLE + "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"


def bad_regex(host: str) -> dict[str, Any]:
    body = scope(host, "c1")
    body["route_configuration"]["virtual_hosts"][0]["routes"][0]["match"] = {"safe_regex": {"regex": "(unclosed"}}
    return body


def same_key(host: str, key: str) -> dict[str, Any]:
    body = scope(host, "c1")
    body["key"]["fragments"][0]["string_key"] = key
    return body


def names(n: int) -> list[str]:
    return [f"n{i:04}" for i in range(n)]


def faults(origin: int) -> dict[str, tuple[str, Any, Any]]:
    """fault -> (type, good body of a name, bad body of a name)"""
    pem, key, other = PEM, KEY, OLD_KEY

    def secret(c: str, k: str) -> Any:
        return lambda n: {"name": n, "tls_certificate": {"certificate_chain": {"inline_string": c}, "private_key": {"inline_string": k}}}

    def cla(address: str) -> Any:
        host = {"endpoint": {"address": {"socket_address": {"address": address, "port_value": origin}}}}
        return lambda n: {"cluster_name": n, "endpoints": [{"lb_endpoints": [host]}]}

    good_cluster, good_scope, good_cla = cluster, lambda n: scope(n, "c1"), cla("127.0.0.1")
    return {
        "cluster.constraint": (CDS, good_cluster, lambda n: cluster(n, connect_timeout="0s")),
        "cluster.semantic": (CDS, good_cluster, lambda n: cluster(n, lb_policy="RING_HASH", ring_hash_lb_config={"minimum_ring_size": 9, "maximum_ring_size": 8})),
        "cluster.garbage": (CDS, good_cluster, lambda n: b"\x0a\xff\xff"),
        "cluster.other_name": (CDS, good_cluster, lambda n: cluster("n0003")),
        "scope.regex": (SRDS, good_scope, bad_regex),
        "scope.duplicate_key": (SRDS, good_scope, lambda n: same_key(n, "n0003")),
        "scope.no_domain": (SRDS, good_scope, lambda n: {**scope(n, "c1"), "route_configuration": {"name": "x", "virtual_hosts": [{"name": "y"}]}}),
        "assignment.address": (EDS, good_cla, cla("not-an-address")),
        "assignment.other_name": (EDS, good_cla, lambda n: assignment("wrong", origin)),
        "assignment.weight": (EDS, good_cla, lambda n: {"cluster_name": n, "endpoints": [{"priority": 200, "lb_endpoints": []}]}),
        "secret.pem": (SDS, secret(pem, key), secret("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key)),
        "secret.mismatch": (SDS, secret(pem, key), secret(pem, other)),
        "filter.lua": (ECDS, lambda n: {**lua(f"function envoy_on_request(h) end -- new {n}"), "name": n}, lambda n: {**lua("function ("), "name": n}),
        "listener.bad": (LDS, lambda n: listener(n, free_port()), lambda n: {**listener(n, 1), "filter_chains": [{"filters": [{"name": "no-such"}]}]}),
        "listener.same_port": (LDS, lambda n: listener(n, free_port()), lambda n: {**listener(n, 1)}),
    }


def size(kind: str) -> int:
    return {LDS: 10, SDS: 30, ECDS: 30}.get(kind, COUNT)


def first_body(kind: str, name: str) -> Any:
    """what Envoy holds before the response under test, so that old and new can be told apart"""
    if kind == SDS:
        return {"name": name, "tls_certificate": {"certificate_chain": {"inline_string": OLD_PEM}, "private_key": {"inline_string": OLD_KEY}}}
    return {**lua(), "name": name} if kind == ECDS else assignment(name, 1)


async def ready(fault: str, kind: str, good: Any, port: int, origin: Origin) -> tuple[Plane, Envoy, Stream]:
    """an Envoy that has subscribed all names of the type, with nothing of it sent yet (EDS, SDS, ECDS: held)"""
    plane = plane_on_socket()
    shop(plane, port, 2, origin.port)
    wished = names(size(kind))
    if kind in (EDS, SDS, ECDS):
        for n in wished:
            plane.put(kind, n, first_body(kind, n))
    if kind == CDS:
        for n in [*wished, "n-new"]:
            plane.put(EDS, n, assignment(n, origin.port))
    if kind == EDS:
        for n in wished:
            plane.put(CDS, n, cluster(n))
    if kind == SDS:
        body = listener("tls", port + 1)
        chain = body["filter_chains"][0]
        body["listener_filters"] = [{"name": "i", "typed_config": {"@type": GOOGLE + "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}]
        body["filter_chains"] = [{**chain, "name": n, "filter_chain_match": {"server_names": [n]}, "transport_socket": {
            "name": "tls", "typed_config": {"@type": DOWN, "common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": n, "sds_config": {"ads": {}, "resource_api_version": "V3"}}]}}}} for n in wished]
        plane.put(LDS, "tls", body)
    if kind == ECDS:
        found = {"config_source": {"ads": {}, "resource_api_version": "V3"}, "type_urls": [GOOGLE + "envoy.extensions.filters.http.lua.v3.Lua"]}
        plane.put(LDS, "web", listener("web", port, filters=[{"name": n, "config_discovery": found} for n in ["key", *wished]]))
    await plane.start()
    envoy = Envoy(plane)
    assert await envoy.live(), fault
    await until(lambda: len(plane.streams) and SRDS in plane.last.names, 20, "SRDS")
    await asyncio.sleep(1)
    return plane, envoy, plane.last


async def taken(envoy: Envoy, kind: str, port: int) -> Any:
    if kind in (CDS, SRDS, LDS):
        return sorted(n for n in await envoy.held(kind) if n.startswith("n"))
    if kind == EDS:
        return sorted(set(re.findall(r"^(n[0-9]{4})::127\.0\.0\.1:(?!1:)[0-9]+::weight", await envoy.admin("/clusters"), re.ASCII | re.MULTILINE)))
    if kind == SDS:
        return [n for n in names(size(kind)) if await served(port, n) == NEW_SECRET]
    text = await envoy.admin("/config_dump?resource=ecds_filters")
    return [n for n in names(size(kind)) if f"-- new {n}" in text]


async def served(port: int, name: str) -> bytes | None:
    """the certificate that the TLS listener shows for this SNI name"""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port + 1, ssl=context, server_hostname=name)
    except OSError:
        return None
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.close()
    return shown


async def one(fault: str, kind: str, good: Any, bad: Any) -> None:
    origin, port = await Origin("A").start(), free_port()
    plane, envoy, stream = await ready(fault, kind, good, port, origin)
    wished = names(size(kind))
    culprits = {wished[len(wished) // 2], wished[len(wished) // 2 + 2]}
    if fault == "listener.same_port":
        bad = lambda n: listener(n, port)  # noqa: E731
    for n in wished:
        plane.put(kind, n, bad(n) if n in culprits else good(n), f"v2-{n}")
    message = await stream.wait(stream.send(kind, wished), 20)
    await asyncio.sleep(0.5)
    have = await taken(envoy, kind, port)
    say("rejection." + fault, sent=len(wished), bad=sorted(culprits), taken=len(have), first_taken=have[:1], last_taken=have[-1:],
        bad_taken=sorted(culprits & set(have)), names_in_message=sorted(n for n in culprits if n in (message or "")),
        live_host=await ask(port, "h1.example"), message=message if message is None else message[:420], length=len(message or ""))
    good_one = wished[0] if kind in (EDS, SDS, ECDS) else "n-new"
    plane.put(kind, good_one, good(good_one), "between")
    between = await stream.wait(stream.send(kind, [good_one]), 20)
    for n in culprits:
        plane.put(kind, n, good(n), f"v2-{n}")
    fixed = await stream.wait(stream.send(kind, sorted(culprits)), 20)
    await asyncio.sleep(0.5)
    have = await taken(envoy, kind, port)
    say("rejection." + fault + ".after", good_change_between=between, fixed=fixed, taken=len(have), fixed_taken=sorted(culprits & set(have)),
        never_resent=[n for n in wished if n not in have][:4])
    if fault in ("cluster.constraint", "scope.regex", "scope.duplicate_key"):
        await held_versions(plane, stream, kind, culprits, bad)
    envoy.stop()
    await plane.stop()


async def held_versions(plane: Plane, stream: Stream, kind: str, culprits: set[str], bad: Any) -> None:
    """what a reconnecting Envoy claims to hold after a NACKed update of something it held before"""
    for n in culprits:
        plane.put(kind, n, bad(n), "bad")
    await stream.wait(stream.send(kind, sorted(culprits)), 20)
    await plane.stop()
    n = len(plane.streams)
    await plane.start()
    await until(lambda: len(plane.streams) > n and plane.last.first(kind), 10)
    claim = (plane.last.first(kind) or {}).get("initial_resource_versions", {})
    say("rejection.claims", kind=kind.rsplit(".", 1)[-1], claimed={c: claim.get(c) for c in sorted(culprits)}, total=len(claim))


async def stuck() -> None:
    """a cluster whose balancer refuses its settings: is the CDS answer ever heard, and does removing the cluster free it"""
    for remedy in ("wait", "remove", "fix"):
        origin = await Origin("A").start()
        plane, envoy, stream = await ready("stuck", CDS, cluster, free_port(), origin)
        warming = [await envoy.stat("cluster_manager.warming_clusters")]
        ring = {"minimum_ring_size": 9, "maximum_ring_size": 8}
        plane.put(CDS, "n0001", cluster("n0001", lb_policy="RING_HASH", ring_hash_lb_config=ring))
        first = stream.send(CDS, ["n0001"])
        heard = await stream.wait(first, 20 if remedy == "wait" else 2)
        warming.append(await envoy.stat("cluster_manager.warming_clusters"))
        if remedy == "fix":
            plane.put(CDS, "n0001", cluster("n0001"), "2")
        second = stream.send(CDS, *([["n0001"]] if remedy == "fix" else [[], ["n0001"]])) if remedy != "wait" else ""
        freed = await stream.wait(second, 5) if second else None
        warming.append(await envoy.stat("cluster_manager.warming_clusters"))
        say("stuck", remedy=remedy, heard=heard, after_remedy=freed, first_after_remedy=stream.acks.get(first, (0, None))[1], warming=warming,
            asked=[Stream.said(r) for _, r in stream.requests[-5:]], log=[x[:200] for x in envoy.log.read_text().splitlines()[-2:]])
        envoy.stop()
        await plane.stop()


async def mixed() -> None:
    """one refused cluster among g good new ones in a response: when is the NACK heard"""
    ring = {"minimum_ring_size": 9, "maximum_ring_size": 8}
    for good, answered in ((1, True), (20, True), (1, False)):
        origin = await Origin("A").start()
        plane, envoy, stream = await ready("mixed", CDS, cluster, free_port(), origin)
        if not answered:
            plane.hold.add(EDS)
        wished = ["n0000", *names(good + 1)[1:]]
        for n in wished:
            plane.put(CDS, n, cluster(n))
        plane.put(CDS, "n0000", cluster("n0000", lb_policy="RING_HASH", ring_hash_lb_config=ring))
        t, nonce = time.monotonic(), stream.send(CDS, wished)
        heard = await stream.wait(nonce, 22)
        heard_s = round(stream.acks[nonce][0] - t, 3) if nonce in stream.acks else None
        say("mixed", good=good, eds_answered=answered, heard_s=heard_s, message=heard, requests=[Stream.said(r) for _, r in stream.requests[-4:]],
            warming=await envoy.stat("cluster_manager.warming_clusters"))
        envoy.stop()
        await plane.stop()


async def mute() -> None:
    """a refused new cluster, alone and NACKed; then a good one; then the remedy: which answers are heard"""
    ring = {"minimum_ring_size": 9, "maximum_ring_size": 8}
    for remedy in ("remove", "fix"):
        origin = await Origin("A").start()
        plane, envoy, stream = await ready("mute", CDS, cluster, free_port(), origin)
        plane.put(CDS, "n0000", cluster("n0000", lb_policy="RING_HASH", ring_hash_lb_config=ring))
        alone = await stream.wait(stream.send(CDS, ["n0000"]), 3)
        plane.put(CDS, "n0001", cluster("n0001"))
        later = stream.send(CDS, ["n0001"])
        heard = await stream.wait(later, 4)
        warming = await envoy.stat("cluster_manager.warming_clusters")
        if remedy == "fix":
            plane.put(CDS, "n0000", cluster("n0000"), "2")
        cured = await stream.wait(stream.send(CDS, *([["n0000"]] if remedy == "fix" else [[], ["n0000"]])), 4)
        say("mute", remedy=remedy, alone=alone, good_one_later=heard, warming=warming, remedy_heard=cured, good_one_after_remedy=later in stream.acks,
            warming_after=await envoy.stat("cluster_manager.warming_clusters"))
        envoy.stop()
        await plane.stop()


async def main(wished: list[str]) -> None:
    origin = await Origin("A").start()
    for fault, (kind, good, bad) in faults(origin.port).items():
        if not wished or fault in wished:
            await one(fault, kind, good, bad)
    if not wished or "stuck" in wished:
        await stuck()
    if not wished or "mixed" in wished:
        await mixed()
    if not wished or "mute" in wished:
        await mute()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
    leave()
