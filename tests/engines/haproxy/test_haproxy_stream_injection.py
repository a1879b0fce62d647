"""No text of an L4 route becomes more than the one word that it is, whatever passed the checks before: a name is one key of a map, an id only helps to read a section's name."""

from typing import Any

from corpus import corpus
from reader import commands, words

from weirkeeper.model.backend import Backend, FromDns, FromEndpointSet
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import Listener, ListenerTls
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, L4Route, WeightedBackend
from weirkeeper.providers.haproxy.assembly import Assembly
from weirkeeper.providers.haproxy.files import lines, maps
from weirkeeper.providers.haproxy.held import held_of
from weirkeeper.providers.haproxy.plan import plan
from weirkeeper.providers.haproxy.translate import items, listeners, streams
from weirkeeper.providers.haproxy.translate.items import Host
from weirkeeper.providers.haproxy.translate.names import STREAMS
from weirkeeper.providers.haproxy.translate.quoting import Unspeakable
from weirkeeper.providers.haproxy.translate.skeleton import Frame
from weirkeeper.providers.items import item

ORIGIN = Origin(ref=Ref(kind="TLSRoute", name="r"))
FRAMES = ("{}", "{}\nbackend evil", "x' {}", "{} if TRUE", "*.{}", "443/{}")
PAYLOADS: list[Any] = list(dict.fromkeys(frame.replace("{}", text) for frame in FRAMES for text in corpus()))


def made(sni: Any, backend: Any = "b", **source: Any) -> Host | None:
    """The route with that name; nothing where HAProxy cannot be told it."""
    listener: Any = Listener(
        id="l",
        load_balancer="lb",
        group="l",
        port=443,
        protocol="tls",
        tls=ListenerTls(mode="passthrough"),
        origin=ORIGIN,
    )  # type: ignore[arg-type]
    route: Any = L4Route(id="r", load_balancer="lb", listener="l", tls="passthrough", sni=(sni,), origin=ORIGIN,  # type: ignore[arg-type]
                         forward=Forward(backends=(WeightedBackend(backend=backend),)))  # fmt: skip
    led: Any = FromDns(**source) if source else FromEndpointSet(id=backend)
    try:
        return streams.stream_host(route, listener, lambda _: Backend(id=backend, source=led), lambda _: False)
    except Unspeakable:
        return None


def whole(found: Host) -> Assembly:
    wished = Assembly()
    listener: Any = Listener(
        id="l",
        load_balancer="lb",
        group="l",
        port=443,
        protocol="tls",
        tls=ListenerTls(mode="passthrough"),
        origin=ORIGIN,
    )  # type: ignore[arg-type]
    port = listeners.port(443, [listener], lambda _: False)
    wished.take(dict([item("lb", items.PORT, "443", port), item("lb", items.HOST, "l4|r", found)]))  # type: ignore[arg-type]
    return wished


def test_a_name_is_one_row() -> None:
    told = [found for name in PAYLOADS if (found := made(name)) is not None]
    assert len(told) > 100
    for found in told:
        [row] = maps(whole(found))[STREAMS].splitlines()
        assert len(row.split()) == 2, row
        assert row.startswith("443/"), row


def test_a_name_is_one_command() -> None:
    for found in filter(None, map(made, PAYLOADS[::7])):
        wished = whole(Host())
        held = held_of(wished, Frame())
        wished.settle()
        wished.take(dict([item("lb", items.HOST, "l4|r", Host(streams=found.streams))]))  # type: ignore[arg-type]
        [step] = plan(held, wished, Frame()).steps
        [said] = commands(step.command)
        assert (said[:3], len(said)) == (["add", "map", STREAMS], 5), step.command


def test_no_text_is_another_line() -> None:
    usual = made("a.example", name="dns.example", port=80)
    assert usual is not None
    count = len(lines(whole(usual), Frame(pool=1)))
    written = 0
    for text in PAYLOADS:
        found = made("a.example", text, name=text, port=80)
        if (
            found is not None and text.isascii() and text.isprintable()
        ):  # a name with anything else cannot be written at all
            rows = [line.text for line in lines(whole(found), Frame(pool=1))]
            assert len(rows) == count, text
            assert not [row for row in rows if "\n" in row or words(row)[:2] == ["backend", "evil"]], text
            written += 1
    assert written > 100
