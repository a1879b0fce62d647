"""Probe 4: when may a scope name a brand-new cluster, and when may the old one go, so that no request under load sees it.

In: an Envoy binary, the rig of streams.py. Out: one JSON object a finding on stdout; docs/decisions/0006-warmth.md quotes them.
Nothing of the product may import it.

    python bench/probes/warmth.py [moves|block|removal]
"""

import asyncio
import ssl
import statistics
import sys
import time
from typing import Any

from streams import (
    CDS,
    EDS,
    LDS,
    SDS,
    SRDS,
    WORK,
    Envoy,
    Load,
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
    plane_on_socket,
    run,
    say,
    scope,
    until,
    upstream_tls,
)

MOVES = 20
CHECK = {"timeout": "1s", "interval": "1s", "unhealthy_threshold": 1, "healthy_threshold": 1, "http_health_check": {"path": "/health"}}


async def world(tls: bool = False) -> tuple[Plane, Envoy, Stream, list[Origin], int, str]:
    pem, key = certificate()
    context = None
    if tls:
        (WORK / "o.pem").write_text(pem + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(WORK / "o.pem")
    origins = [await Origin("A", context).start(), await Origin("B", context).start()]
    plane, port = plane_on_socket(), free_port()
    plane.put(LDS, "web", listener("web", port))
    await plane.start()
    envoy = Envoy(plane)
    assert await envoy.live()
    await until(lambda: SRDS in plane.last.names, what="SRDS")
    return plane, envoy, plane.last, origins, port, pem


async def bring(plane: Plane, stream: Stream, name: str, port: int, gate: str, late: float, body: dict[str, Any], secret: tuple[str, str] | None) -> dict[str, float]:
    """send a new cluster and all it needs; returns when the gate says that a scope may name it, with the ms of each step"""
    t, ms = time.monotonic(), {}
    plane.hold |= {(EDS, name), *([(SDS, secret[0])] if secret else [])}
    plane.put(CDS, name, body)
    plane.put(EDS, name, assignment(name, port))
    cds = stream.send(CDS, [name])
    if gate in ("none", "eds"):
        rest = asyncio.create_task(finish(plane, stream, name, late, secret))
        plane.running.add(rest)
        rest.add_done_callback(plane.running.discard)
        if gate == "eds":
            await until(lambda: any(k == EDS and names == [name] and n in stream.acks for _, k, names, _, n in stream.sent), what="EDS ACK")
        return ms
    eds, sds = await finish(plane, stream, name, late, secret)
    if gate == "eds+sds":
        assert await stream.wait(eds) == ""
        if sds:
            assert await stream.wait(sds) == ""
    else:
        assert await stream.wait(cds) == "", "CDS"
    await until(lambda: cds in stream.acks or gate != "cds", 5)
    for label, nonce in (("cds", cds), ("eds", eds), ("sds", sds)):
        if nonce in stream.acks:
            ms[label] = round((stream.acks[nonce][0] - t) * 1e3, 2)
    return ms


async def finish(plane: Plane, stream: Stream, name: str, late: float, secret: tuple[str, str] | None) -> tuple[str, str]:
    await until(lambda: name in stream.names.get(EDS, ()), what="EDS subscription")
    await asyncio.sleep(late)
    eds, sds = stream.send(EDS, [name]), ""
    if secret:
        await until(lambda: secret[0] in stream.names.get(SDS, ()), what="SDS subscription")
        await asyncio.sleep(late)
        plane.put(SDS, secret[0], {"name": secret[0], "validation_context": {"trusted_ca": {"inline_string": secret[1]}}})
        sds = stream.send(SDS, [secret[0]])
    return eds, sds


async def moves() -> None:
    """MOVES moves of a live host to a brand-new cluster, by kind of cluster and by gate"""
    for kind in ("plain", "late-eds", "tls", "checked", "checked-slow"):
        for gate in ("cds", "eds+sds", "eds", "none"):
            if gate == "eds" and kind != "tls":
                continue
            await series(kind, gate)


async def series(kind: str, gate: str) -> None:
    plane, envoy, stream, origins, port, pem = await world(kind == "tls")
    late = {"plain": 0.0, "checked": 0.0, "checked-slow": 0.0}.get(kind, 0.05)
    for origin in origins:
        origin.check_delay = 0.2 if kind == "checked-slow" else 0.0
    steps: list[dict[str, float]] = []
    live: list[float] = []
    checked = {"health_checks": [CHECK]} if kind.startswith("checked") else {}

    async def move(u: int) -> str:
        name, secret = f"c{u}", (f"ca{u}", pem) if kind == "tls" else None
        body = cluster(name, **checked, **(upstream_tls(secret[0]) if secret else {}))
        t = time.monotonic()
        steps.append(await bring(plane, stream, name, origins[u % 2].port, gate if u else "cds", late, body, secret))
        plane.put(SRDS, "h.example", scope("h.example", name), str(u + 1))
        assert await stream.wait(stream.send(SRDS, ["h.example"])) == ""
        live.append((time.monotonic() - t) * 1e3)
        return name

    old = await move(0)
    async with Load(port, "h.example") as load:
        for u in range(1, MOVES + 1):
            name = await move(u)
            await load.all_say("AB"[u % 2])
            del plane.store[CDS][old]
            stream.send(CDS, [], [old])
            old = name
            await asyncio.sleep(0.02)
    middle = {k: round(statistics.median(s[k] for s in steps[1:] if k in s), 2) for k in ("cds", "eds", "sds") if any(k in s for s in steps[1:])}
    say("moves", kind=kind, gate=gate, moves=MOVES, requests=sum(load.counts.values()), answers=load.counts, failed=len(load.faults),
        acked_ms=middle, scope_acked_ms=round(statistics.median(live[1:]), 1))
    envoy.stop()
    await plane.stop()


async def block() -> None:
    """one cluster that never warms: what it does to the ACKs and the traffic of others, by initial_fetch_timeout"""
    for label, timeout in (("default", None), ("1s", "1s")):
        plane, envoy, stream, origins, port, _ = await world()
        config = {"ads": {}, "resource_api_version": "V3", **({"initial_fetch_timeout": timeout} if timeout else {})}
        plane.hold.add((EDS, "dead"))
        plane.put(EDS, "dead", assignment("dead", 1))
        dead = cluster("dead")
        dead["eds_cluster_config"] = {"eds_config": config}
        plane.put(CDS, "dead", dead)
        t = time.monotonic()
        first = stream.send(CDS, ["dead"])
        await until(lambda: "dead" in stream.names.get(EDS, ()))
        plane.put(CDS, "good", cluster("good"))
        plane.put(EDS, "good", assignment("good", origins[0].port))
        second = stream.send(CDS, ["good"])
        asked = await until(lambda: "good" in stream.names.get(EDS, ()), 5)
        asked_ms = round((time.monotonic() - t) * 1e3, 1)
        plane.put(SRDS, "h.example", scope("h.example", "good"))
        scope_ack = await stream.wait(stream.send(SRDS, ["h.example"]))
        answer = await ask(port, "h.example")
        await stream.wait(first, 20)
        await stream.wait(second, 20)
        at = {n: round(stream.acks[n][0] - t, 2) for n in (first, second) if n in stream.acks}
        say("block", initial_fetch_timeout=label, good_subscribed=asked, good_subscribed_ms=asked_ms, good_scope_ack=scope_ack, good_answers=answer, cds_acks_s=at)
        envoy.stop()
        await plane.stop()


async def removal() -> None:
    """what happens to a long answer when its cluster, its endpoint or its scope goes"""
    for what in ("cluster", "cluster-same-name", "endpoint", "endpoint-draining", "endpoint-checked", "scope"):
        plane, envoy, stream, origins, port, _ = await world()
        checked = {"health_checks": [CHECK]} if what == "endpoint-checked" else {}
        await bring(plane, stream, "c", origins[0].port, "cds", 0, cluster("c", **checked), None)
        plane.put(SRDS, "h.example", scope("h.example", "c"))
        await stream.wait(stream.send(SRDS, ["h.example"]))
        before = asyncio.create_task(ask(port, "h.example", "/slow?2"))
        await asyncio.sleep(0.3)
        t = time.monotonic()
        await take_away(what, plane, stream, origins)
        await asyncio.sleep(0.3)
        after = await ask(port, "h.example")
        status, body = await before
        say("removal", what=what, long_answer=status, chunks=body.count("A"), complete=status == 200, ended_after_s=round(time.monotonic() - t, 2), next_answer=after)
        envoy.stop()
        await plane.stop()


async def take_away(what: str, plane: Plane, stream: Stream, origins: list[Origin]) -> None:
    if what == "cluster":
        await stream.wait(stream.send(CDS, [], ["c"]))
    elif what == "cluster-same-name":
        plane.put(CDS, "c", cluster("c", connect_timeout="2s"), "2")
        stream.send(CDS, ["c"])
        await stream.wait(stream.send(EDS, ["c"]))
    elif what == "scope":
        await stream.wait(stream.send(SRDS, [], ["h.example"]))
    else:
        body = assignment("c", *([origins[1].port] if what != "endpoint-draining" else [o.port for o in origins]))
        if what == "endpoint-draining":
            body["endpoints"][0]["lb_endpoints"][0]["health_status"] = "DRAINING"
        plane.put(EDS, "c", body, "2")
        await stream.wait(stream.send(EDS, ["c"]))


FINDINGS = {"moves": moves, "block": block, "removal": removal}

if __name__ == "__main__":
    asyncio.run(run(FINDINGS, sys.argv[1:]))
    leave()
