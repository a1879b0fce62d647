"""Certificates that a real Envoy fetches by server name from the real distributor: new, rotated, removed, wild, and too many."""

import asyncio
import ssl
from pathlib import Path

import pytest
from real_envoy import Front, Live, living

from weirkeeper.distribute import secrets
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually

# asyncio leaves the transport of a handshake that the other side ends to the collector, which says so; that is no finding here.
pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")]


async def refused(live: Live, host: str) -> bool:
    try:
        await live.front.ask_secure(host)
    except (ssl.SSLError, ConnectionError):
        return True
    return False


def test_a_host_gets_its_certificate_a_new_one_and_none(state: Path) -> None:
    async def story() -> None:
        authority, front = Authority(), Front()
        async with EchoServer(name="a") as a:
            front.backend("a", a.port)
            front.secure()
            front.to("one.example", "a")
            first = authority.issue("one.example")
            front.certificate("one", first, "one.example")
            async with living(front, state) as live:
                await front.shows("one.example", first, trust=authority.pem())
                assert await refused(live, "two.example")

                second = authority.issue("two.example")
                front.to("two.example", "a")
                front.certificate("two", second, "two.example")
                await live.apply()
                await front.shows("two.example", second)

                rotated = authority.issue("one.example")
                front.certificate("one", rotated, "one.example")
                await live.apply()
                await front.shows("one.example", rotated)
                await front.shows("ONE.example", rotated)

                front.without("certificates", "one")
                live.wish()
                await eventually(lambda: refused(live, "one.example"), what="no handshake without a certificate")
                await front.shows("two.example", second)

    asyncio.run(story())


def test_a_certificate_that_envoy_refuses_leaves_the_last_one_and_says_nothing_of_the_key(state: Path) -> None:
    async def story() -> None:
        authority, front = Authority(), Front()
        async with EchoServer(name="a") as a:
            front.backend("a", a.port)
            front.secure()
            front.to("one.example", "a")
            good = authority.issue("one.example")
            front.certificate("one", good, "one.example")
            async with living(front, state) as live:
                await front.shows("one.example", good)
                other = authority.issue("one.example")
                mixed = type(good)(certificate=other.certificate, key=good.key)
                front.certificate("one", mixed, "one.example")
                (changed,) = live.wish()
                found = await live.seen.rejected(changed.kind, changed.name)
                assert found.message == "the engine refused the certificate or its key"
                await front.shows("one.example", good)
                front.certificate("one", other, "one.example")
                await live.apply()
                await front.shows("one.example", other)

    asyncio.run(story())


def test_names_under_a_wildcard_share_its_certificate_and_are_taken_back(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "MOST_DERIVED", 60)
    monkeypatch.setattr(secrets, "TAKEN_BACK", 20)

    async def story() -> None:
        authority, front = Authority(), Front()
        async with EchoServer(name="a") as a:
            front.backend("a", a.port)
            front.secure()
            front.to("*.wild.example", "a")
            pair = authority.issue("*.wild.example")
            front.certificate("wild", pair, "*.wild.example")
            async with living(front, state) as live:
                for number in range(150):
                    await front.shows(f"n{number}.wild.example", pair)
                for number in range(100):
                    assert await refused(live, f"unknown{number}.example")

                async def few() -> bool:
                    held = {name for name in await live.secrets() if name.endswith(".example")}
                    return len(held) <= 60 and not any(name.startswith("unknown") for name in held)

                await eventually(few, what="the derived names are capped and the unknown ones forgotten")
                await front.shows("n0.wild.example", pair)
                rotated = authority.issue("*.wild.example")
                front.certificate("wild", rotated, "*.wild.example")
                await live.apply()
                for number in (0, 1, 149):
                    await front.shows(f"n{number}.wild.example", rotated)

    asyncio.run(story())
