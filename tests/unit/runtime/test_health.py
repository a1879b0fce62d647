"""Health over HTTP, and the numbers: bounded, documented, in Prometheus' words."""

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest

import weirkeeper
from weirkeeper.errors import StartRefused
from weirkeeper.runtime.health import Health, Pulse, host_and_port
from weirkeeper.runtime.metrics import MOST, NAMES, Metrics


async def started(health):
    running = asyncio.create_task(health.run())
    async with asyncio.timeout(60):
        while not health.port:
            assert not running.done(), running.exception()
            await asyncio.sleep(0.01)
    return running


async def asked(health, path):
    running = await started(health)
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{health.port}{path}") as answer:
            return answer.status, await answer.text()
    finally:
        running.cancel()
        await asyncio.wait((running,))


def test_livez_and_readyz_say_why_not():
    health = Health(
        "127.0.0.1:0", Metrics(), alive={"settle": lambda: ""}, ready={"feeds": lambda: "Ingress is awaited"}
    )
    assert asyncio.run(asked(health, "/livez")) == (200, "[+] settle\nok\n")
    assert asyncio.run(asked(health, "/readyz")) == (503, "[-] feeds: Ingress is awaited\nnot well\n")


def test_what_is_amiss_elsewhere_is_noted_and_takes_no_replica_away():
    notes = {"items": lambda: "engines refuse 2 items", "instances": lambda: ""}
    health = Health("127.0.0.1:0", Metrics(), alive={}, ready={"feeds": lambda: ""}, notices=notes)
    assert asyncio.run(asked(health, "/readyz")) == (200, "[+] feeds\n[!] items: engines refuse 2 items\nok\n")
    assert asyncio.run(asked(health, "/livez")) == (200, "ok\n")


def test_metrics_are_served_as_prometheus_reads_them():
    metrics = Metrics()
    metrics.count("settles", 2)
    metrics.gauge("instances", lambda: {(("provider", "envoy"),): 3})
    _, text = asyncio.run(asked(Health("127.0.0.1:0", metrics, alive={}, ready={}), "/metrics"))
    assert "# TYPE weirkeeper_settles_total counter\nweirkeeper_settles_total 2\n" in text
    assert '# TYPE weirkeeper_instances gauge\nweirkeeper_instances{provider="envoy"} 3\n' in text


def test_no_number_of_labels_makes_more_series_than_there_may_be():
    metrics = Metrics()
    for number in range(MOST * 3):
        metrics.count("changes", state=str(number))
    metrics.gauge("held", lambda: {(("kind", str(n)),): 1 for n in range(MOST * 3)})
    assert len(list(metrics.samples())) <= 2 * MOST + 1


def test_an_address_in_use_stops_the_start():
    async def scenario():
        first = Health("127.0.0.1:0", Metrics(), alive={}, ready={})
        running = await started(first)
        try:
            await Health(f"127.0.0.1:{first.port}", Metrics(), alive={}, ready={}).run()
        finally:
            running.cancel()
            await asyncio.wait((running,))

    with pytest.raises(StartRefused, match="cannot be used"):
        asyncio.run(scenario())


@pytest.mark.parametrize(
    ("address", "parts"),
    [("1.2.3.4:80", ("1.2.3.4", 80)), (":80", ("0.0.0.0", 80)), ("[::1]:0", ("::1", 0)), ("host:1", ("host", 1))],
)
def test_addresses(address, parts):
    assert host_and_port(address) == parts


@pytest.mark.parametrize("address", ["", "80", "host:", "host:x", "host:70000"])
def test_addresses_that_are_none(address):
    with pytest.raises(StartRefused):
        host_and_port(address)


def test_a_stall_of_the_loop_is_seen():
    async def scenario():
        pulse = Pulse()
        running = asyncio.create_task(pulse.run())
        for _ in range(3):
            await asyncio.sleep(0.15)
            import time  # noqa: PLC0415

            time.sleep(0.2)  # noqa: ASYNC251 - the stall itself
        running.cancel()
        return pulse.longest

    assert asyncio.run(scenario()) > 0.05


def test_every_number_that_is_counted_is_documented_and_the_other_way_round():
    source = "".join(path.read_text() for path in Path(weirkeeper.__file__).parent.rglob("*.py"))
    counted = set(re.findall(r"metrics\.count\(\s*\"([a-z_]+)\"", source))
    assert counted == {name for name, known in NAMES.items() if known.kind == "counter"}
    asked = set(re.findall(r'^ {12}"([a-z_]+)": (?:lambda|self\._)', source, re.MULTILINE))
    asked |= set(re.findall(r"metrics\.gauge\(\s*\"([a-z_]+)\"", source))
    assert {name for name, known in NAMES.items() if known.kind == "gauge"} <= asked


def test_every_name_is_a_sentence():
    assert all(name.kind in {"counter", "gauge"} and name.sentence.endswith(".") for name in NAMES.values())
