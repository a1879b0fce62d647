"""Probe: hosts with a TLS policy of their own (client certificates, versions) beside on-demand certificates in one listener of a real Envoy.

Why: a policy host is a filter chain with its own scope group, so that server name `a` with Host `b` can't step around `b`'s rules
(docs/decisions/0004). In: `--policies N`. Out: one JSON line per question: who gets 200, 404, 421 or no handshake, by HTTP/1.1, HTTP/2 on a
shared connection and plain HTTP; what an added, changed or removed policy chain does to the connections of all others.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import tempfile
import time
from typing import Any

import h2.config
import h2.connection
import h2.events
from tls_certificates import (
    ADS,
    LDS,
    SDS,
    SRDS,
    T,
    Bystanders,
    Control,
    Engine,
    Pem,
    answers,
    chain,
    client,
    free_ports,
    listener,
    manager,
    on_demand_chain,
    outcome,
    refused,
    running,
    say,
    scope,
    spread,
    until,
)

MISDIRECTED = {"mappers": [{"filter": {"response_flag_filter": {"flags": ["NR"]}}, "status_code": 421}]}
VALID_NAME = r"[a-z0-9_-]+(\.[a-z0-9_-]+)*"


def policy_chain(group: str, hosts: list[str], secret: str, minimum: str = "TLSv1_2") -> dict[str, Any]:
    """One policy: its server names, its certificate, its client CA, its group; a host that the group lacks is misdirected."""
    common = {
        "validation_context_sds_secret_config": {"name": "ca/clients", "sds_config": ADS},
        "tls_params": {"tls_minimum_protocol_version": minimum},
    }
    return chain(
        group,
        hosts,
        [secret],
        manager(group, local_reply_config=MISDIRECTED),
        common=common,
        require_client_certificate=True,
    )


def plain(port: int) -> dict[str, Any]:
    made = listener(port, [{"name": "plain", "filters": [manager("plain")]}], "http")
    del made["listener_filters"]
    return made


def ca(control: Control, pem: Pem) -> None:
    control.put(SDS, {"name": "ca/clients", "validation_context": {"trusted_ca": {"inline_string": pem.cert}}})


class Groups(Control):
    """Secrets that are no server certificate (client CAs) come from the table; the rest by name."""

    def find(self, type_url: str, name: str) -> Any:
        return (
            self.tables[SDS].get(name) or super().find(type_url, name)
            if type_url == SDS
            else super().find(type_url, name)
        )


def world(control: Groups, port: int, http: int) -> None:
    for host in ("a.example.com", "a2.example.com"):
        control.certs[host] = Pem("*.example.com", "example.com")
    control.certs["default"] = Pem("default.invalid")
    control.certs["cert/b"] = Pem("b.example.com", "*.example.com")
    control.certs["cert/w"] = Pem("*.secure.example.com")
    for host in ("a.example.com", "a2.example.com", "c.secure.example.com.other"):
        control.put(SRDS, scope("general", host))
    for group, host in (("b", "b.example.com"), ("w", "x.secure.example.com")):
        control.put(SRDS, scope(group, host))
        control.put(SRDS, scope("general", host, 421))
    for host in ("a.example.com", "b.example.com", "x.secure.example.com"):
        control.put(SRDS, scope("plain", host))
    control.put(LDS, listener(port, world_chains()))
    control.put(LDS, plain(http))


def world_chains() -> list[dict[str, Any]]:
    return [
        policy_chain("b", ["b.example.com"], "cert/b", "TLSv1_3"),
        policy_chain("w", ["*.secure.example.com"], "cert/w"),
        on_demand_chain(manager("general"), "default"),
    ]


def with_key(pem: Pem, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, alpn: str = "http/1.1") -> ssl.SSLContext:
    context = client(version, alpn)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem.cert + pem.key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def shared(port: int, sni: str, hosts: list[str], context: ssl.SSLContext) -> list[str]:
    """One HTTP/2 connection, one request per host: what a coalescing client sees."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=sni)
    link = h2.connection.H2Connection(h2.config.H2Configuration())
    link.initiate_connection()
    for number, host in enumerate(hosts):
        link.send_headers(
            2 * number + 1,
            [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", "/")],
            end_stream=True,
        )
    writer.write(link.data_to_send())
    seen: dict[int, str] = {}
    async with asyncio.timeout(5):
        while len(seen) < len(hosts):
            for event in link.receive_data(await reader.read(65536)):
                if isinstance(event, h2.events.ResponseReceived):
                    seen[event.stream_id] = dict(event.headers)[b":status"].decode()
    writer.transport.abort()
    return [f"{host}={seen[2 * n + 1]}" for n, host in enumerate(hosts)]


async def matrix(control: Groups, port: int, http: int, trusted: Pem) -> None:
    good, wrong = with_key(trusted), with_key(Pem("stranger"))
    old = with_key(trusted, ssl.TLSVersion.TLSv1_2)
    for sni, host, context, note in (
        ("a.example.com", "a.example.com", client(), "general"),
        ("a.example.com", "b.example.com", client(), "steps around b"),
        ("a.example.com", "b.example.com:443", client(), "steps around b, with a port"),
        ("a.example.com", "x.secure.example.com", client(), "steps around *.secure"),
        (None, "b.example.com", client(), "no server name"),
        ("a.example.com", "nobody.example.com", client(), "unknown in general"),
        ("b.example.com", "b.example.com", client(), "no client certificate"),
        ("b.example.com", "b.example.com", wrong, "stranger's certificate"),
        ("b.example.com", "b.example.com", good, "good"),
        ("B.Example.COM", "b.example.com", good, "letter case of the server name"),
        ("B.Example.COM", "b.example.com", client(), "letter case, no client certificate"),
        ("b.example.com", "b.example.com", old, "TLS 1.2 to a 1.3 host"),
        ("b.example.com", "a.example.com", good, "a in b's group"),
        ("b.example.com", "nobody.example.com", good, "unknown in b's group"),
        ("x.secure.example.com", "x.secure.example.com", good, "wildcard policy"),
        ("x.secure.example.com", "x.secure.example.com", client(), "wildcard, no certificate"),
        ("y.x.secure.example.com", "x.secure.example.com", client(), "two labels under the wildcard, no certificate"),
        ("secure.example.com", "x.secure.example.com", client(), "the wildcard's parent"),
        ("b.example.com.", "b.example.com", client(), "trailing dot"),
    ):
        told, *_ = await outcome(port, sni, host, context=context)
        say("matrix", case=note, sni=sni, host=host, answer=told[:90])
    say(
        "coalesced",
        sni="a.example.com",
        answers=await shared(
            port, "a.example.com", ["a.example.com", "a2.example.com", "b.example.com"], client(alpn="h2")
        ),
    )
    say(
        "coalesced",
        sni="b.example.com",
        answers=await shared(port, "b.example.com", ["b.example.com", "a.example.com"], with_key(trusted, alpn="h2")),
    )
    for host in ("a.example.com", "b.example.com", "x.secure.example.com"):
        reader, writer = await asyncio.open_connection("127.0.0.1", http)
        writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nx-weir-group: b\r\nConnection: close\r\n\r\n".encode())
        say("plain HTTP", host=host, answer=(await reader.read(4096)).split()[1].decode())
        writer.transport.abort()


async def churn(control: Groups, engine: Engine, port: int, count: int, trusted: Pem) -> None:
    """Policy hosts come, change and go; who else loses a connection?"""
    chains = [policy_chain(f"p{i}", [f"p{i}.example.com"], "cert/b") for i in range(count)] + world_chains()
    good = with_key(trusted)
    await send(control, port, chains)
    if count:
        await until(lambda: ok(port, f"p{count - 1}.example.com", good, 421), 60)
    async with Bystanders(port, ["a.example.com", "a2.example.com"] * 16) as others:
        added, changed, removed, cpu = [], [], [], engine.cpu()
        for i in range(8):
            name, host = f"q{i}", f"q{i}.example.com"
            control.put(SRDS, scope(name, host))
            await control.push(SRDS, [f"{name}/{host}", control.put(SRDS, scope("general", host, 421))])
            began = time.monotonic()
            await send(control, port, [policy_chain(name, [host], "cert/b"), *chains])
            await until(lambda host=host: ok(port, host, good, 200), 30)  # type: ignore[misc]
            added.append((time.monotonic() - began) * 1e3)
            began = time.monotonic()
            await send(control, port, [policy_chain(name, [host], "cert/b", "TLSv1_3"), *chains])
            old = with_key(trusted, ssl.TLSVersion.TLSv1_2)
            await until(lambda host=host, old=old: not_ok(port, host, old), 30)  # type: ignore[misc]
            changed.append((time.monotonic() - began) * 1e3)
            began = time.monotonic()
            await send(control, port, chains)
            await until(lambda host=host: refused(port, host), 30)  # type: ignore[misc]
            removed.append((time.monotonic() - began) * 1e3)
        stats = await engine.stats("listener_manager")
        say(
            "churn",
            policies=count,
            added_ms=spread(added),
            changed_ms=spread(changed),
            removed_ms=spread(removed),
            general_connections=32,
            asked=others.asked,
            dropped=others.dropped,
            bad=others.bad,
            engine_cpu_ms_per_update=round((engine.cpu() - cpu) / 24 * 1e3, 1),
            in_place=stats.get("listener_manager.listener_in_place_updated"),
            listeners_made=stats.get("listener_manager.listener_create_success"),
            nacks=control.nacks[:1],
        )


async def send(control: Groups, port: int, chains: list[dict[str, Any]]) -> None:
    await control.push(LDS, [control.put(LDS, listener(port, chains))])


async def ok(port: int, host: str, context: ssl.SSLContext, status: int) -> bool:
    return (await outcome(port, host, context=context))[0] == str(status)


async def not_ok(port: int, host: str, context: ssl.SSLContext) -> bool:
    return not await ok(port, host, context, 200)


async def draining(control: Groups, port: int, trusted: Pem) -> None:
    """What the connections of the changed chain itself see."""
    good, seen = with_key(trusted), []
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=good, server_hostname="b.example.com")
    began = time.monotonic()
    for turn in range(40):
        writer.write(b"GET / HTTP/1.1\r\nHost: b.example.com\r\n\r\n")
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readuntil(b"\n")
        except (OSError, asyncio.IncompleteReadError) as error:
            seen.append(type(error).__name__)
            break
        seen.append(head[9:12].decode() + (" close" if b"connection: close" in head else ""))
        if turn == 2:
            await send(control, port, [policy_chain("b", ["b.example.com"], "cert/b", "TLSv1_2"), *world_chains()[1:]])
        await asyncio.sleep(0.1)
    say(
        "connection of the changed chain",
        answers=[f"{n} x{seen.count(n)}" for n in dict.fromkeys(seen)],
        lasted_s=round(time.monotonic() - began, 1),
    )
    writer.transport.abort()


def name_guard(chains: list[dict[str, Any]]) -> dict[str, Any]:
    """A filter chain matcher: policy hosts by exact name or longest suffix, other hostnames on demand; no name, or none that is a
    hostname, to a chain that holds the default certificate alone. (ServerNameMatcher would do it in one, but 1.40 calls it work in progress.)
    """
    server_name = {
        "name": "sni",
        "typed_config": {"@type": T + "envoy.extensions.matching.common_inputs.network.v3.ServerNameInput"},
    }

    def to(name: str) -> dict[str, Any]:
        return {"action": {"name": name, "typed_config": {"@type": T + "google.protobuf.StringValue", "value": name}}}

    names = [(host, c["name"]) for c in chains for host in c.get("filter_chain_match", {}).get("server_names", ())]
    exact = {host: to(name) for host, name in names if not host.startswith("*.")}
    suffixes = sorted(
        ((host[1:], name) for host, name in names if host.startswith("*.")), key=lambda pair: -len(pair[0])
    )

    def when(value_match: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
        return {"predicate": {"single_predicate": {"input": server_name, "value_match": value_match}}, "on_match": then}

    rest = (
        {
            "matcher": {
                "matcher_list": {"matchers": [when({"suffix": s}, to(n)) for s, n in suffixes]},
                "on_no_match": to("on-demand"),
            }
        }
        if suffixes
        else to("on-demand")
    )
    known = (
        {"matcher": {"matcher_tree": {"input": server_name, "exact_match_map": {"map": exact}}, "on_no_match": rest}}
        if exact
        else rest
    )
    return {
        "matcher_list": {"matchers": [when({"safe_regex": {"google_re2": {}, "regex": VALID_NAME}}, known)]},
        "on_no_match": to("fallback"),
    }


async def guarded(control: Groups, trusted: Pem) -> None:
    """The same chains behind a matcher that lets only hostnames reach the on-demand chain."""
    (port,) = free_ports(1)
    chains = [*world_chains(), chain("fallback", [], ["cert/default"], manager("general"))]
    control.certs["cert/default"] = control.certs["default"]
    matcher = name_guard(chains)
    bare = [{k: v for k, v in c.items() if k != "filter_chain_match"} for c in chains]
    control.put(LDS, listener(port, bare, "guarded", filter_chain_matcher=matcher))
    await control.push(LDS, ["guarded"])
    try:
        await until(lambda: answers(port, "a.example.com", control), 5)
    except TimeoutError:
        say("guard", refused=control.nacks[-1:])
        return
    good = with_key(trusted)
    for sni, host, context in (
        ("a.example.com", "a.example.com", client()),
        ("A.EXAMPLE.com", "a.example.com", client()),
        (None, "a.example.com", client()),
        ("b.example.com", "b.example.com", good),
        ("b.example.com", "b.example.com", client()),
        ("x.secure.example.com", "x.secure.example.com", good),
        ("cert/b", "a.example.com", client()),
        ("sp ace", "a.example.com", client()),
        ("unknown.example.org", "a.example.com", client()),
    ):
        told, der, took = await outcome(port, sni, host, context=context)
        say(
            "guard",
            sni=sni,
            host=host,
            answer=told[:90],
            certificate=next((n for n, p in control.certs.items() if p.der == der), None),
            ms=round(took, 1),
            asked=sum(n == sni for _, n in control.asked),
        )
    made = await asyncio.create_subprocess_exec(
        b"openssl",
        b"s_client",
        b"-connect",
        f"127.0.0.1:{port}".encode(),
        b"-servername",
        b"\xff\xfe.example.com",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    began = time.monotonic()
    await made.wait()
    say("guard", sni="not UTF-8", ms=round((time.monotonic() - began) * 1e3), undecodable=control.undecodable)
    async with Bystanders(port, ["a.example.com", "a2.example.com"] * 8) as others:
        took = []
        for i in range(6):
            extra = policy_chain(f"g{i}", [f"g{i}.example.com"], "cert/b")
            control.put(SRDS, scope(f"g{i}", f"g{i}.example.com"))
            await control.push(SRDS, [f"g{i}/g{i}.example.com"])
            bare = [{k: v for k, v in c.items() if k != "filter_chain_match"} for c in (extra, *chains)]
            began = time.monotonic()
            await control.push(
                LDS,
                [control.put(LDS, listener(port, bare, "guarded", filter_chain_matcher=name_guard([extra, *chains])))],
            )
            await until(lambda i=i: ok(port, f"g{i}.example.com", good, 200), 30)  # type: ignore[misc]
            took.append((time.monotonic() - began) * 1e3)
        say(
            "guard, policy host added",
            ms=spread(took),
            asked=others.asked,
            dropped=others.dropped,
            bad=others.bad,
            nacks=control.nacks[:1],
        )


async def probe(policies: int) -> None:
    control, trusted = Groups(), Pem("client")
    port, http = free_ports(2)
    world(control, port, http)
    ca(control, trusted)
    async with running(control) as engine:
        await until(lambda: answers(port, "a.example.com", control))
        await until(lambda: ok(port, "b.example.com", with_key(trusted), 200), 10)
        if not policies:
            await matrix(control, port, http, trusted)
            await draining(control, port, trusted)
            await guarded(control, trusted)
        await churn(control, engine, port, policies, trusted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", type=int, default=0)
    asyncio.run(probe(parser.parse_args().policies))


if __name__ == "__main__":
    main()
