"""Routes of bytes as a part of NGINX's file: who leads where, what is a reload and why, what is refused. As values, without an NGINX."""

from typing import Any

import msgspec
import pytest

from weirkeeper.model.backend import Backend, BackendTls, FromDns, FromEndpointSet
from weirkeeper.model.endpoint import Endpoint, EndpointSet
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import ClientValidation, Listener, ListenerTls
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, L4Route, WeightedBackend
from weirkeeper.providers.base import EngineItem, ItemKey
from weirkeeper.providers.items import item
from weirkeeper.providers.nginx.assembly import Assembly
from weirkeeper.providers.nginx.plan import Cause, File, causes, file_of, written
from weirkeeper.providers.nginx.translate import items, listeners, streams
from weirkeeper.providers.nginx.translate.frame import Frame
from weirkeeper.providers.nginx.translate.items import Led
from weirkeeper.providers.nginx.translate.quoting import Unspeakable, name
from weirkeeper.providers.nginx.translate.stream_frame import _parts

ORIGIN = Origin(ref=Ref(kind="TCPRoute", namespace="d", name="n"))
L: Any = "l"
Row = dict[ItemKey, EngineItem | None]
UNOPENED: Any = ListenerTls(mode="passthrough")
ENDS: Any = ListenerTls(default_certificate="own")  # type: ignore[arg-type]


def listener(protocol: Any = "tcp", number: int = 9000, **fields: Any) -> Any:
    return Listener(id=f"{protocol}{fields.get('hostname', '')}", load_balancer=L, group="g", port=number, protocol=protocol,
                    addresses=("127.0.0.1", "::1"), origin=ORIGIN, **fields)  # type: ignore[arg-type]  # fmt: skip


def port(*many: Any, led: bool = True) -> Row:
    made = listeners.port(many[0].port, many, lambda _: False, led=led)
    return dict([item(L, items.PORT, made.entry, made)])


def led(on: Any, *shares: tuple[str, int], backend: Any = None, servers: tuple[str, ...] = ("10.0.0.1",), **fields: Any) -> Led:  # fmt: skip
    forward = Forward(backends=tuple(WeightedBackend(backend=to, weight=weight) for to, weight in shares or (("b", 1),)))  # type: ignore[arg-type]  # fmt: skip
    route: Any = L4Route(**{"id": "r", **fields}, load_balancer=L, listener=on.id, forward=forward, origin=ORIGIN)
    members: Any = EndpointSet(id="b", endpoints=tuple(Endpoint(address=one, port=80) for one in servers))  # type: ignore[arg-type]  # fmt: skip
    of = backend or Backend(id="b", source=FromEndpointSet(id="b"))  # type: ignore[arg-type]
    known = streams.Known(lambda one: None if one == "nobody" else of, lambda _: members)
    return streams.led(route, on, known, lambda _: False, listeners.opened(on, lambda _: False))


def row(*many: Led) -> Row:
    return dict(item(L, items.LED, one.id, one) for one in many)


def file(*changes: Row, before: File | None = None) -> File:
    wished = Assembly()
    for one in changes:
        wished.take(one)
    return file_of(wished, "s", before=before)


def text(*changes: Row) -> list[str]:
    return [line.strip() for line in written(file(*changes), Frame()).partition("\nstream {")[2].splitlines()]


def test_a_port_of_bytes_is_no_port_of_http() -> None:
    on = listener()
    whole = written(file(port(on), row(led(on))), Frame())
    http, _, bytes_led = whole.partition("\nstream {")
    assert "127.0.0.1:9000" not in http.replace('", "127.0.0.1:9000 [::1]:9000")', "")
    assert "listen 127.0.0.1:9000;" in bytes_led
    assert "listen [::1]:9000;" in bytes_led


def test_where_nobody_is_everything_is_closed() -> None:
    on = listener()
    assert text(port(on, led=False)).count('return "";') == 2
    assert "proxy_pass unix:stream-closed.sock;" in text(port(on), row(led(on, servers=())))
    assert "proxy_pass unix:stream-closed.sock;" in text(port(on), row(led(on, ("b", 0))))


def test_a_share_that_leads_nowhere_stays_one() -> None:
    on = listener()
    found = text(port(on), row(led(on, ("b", 3), ("nobody", 1))))
    assert "* unix:stream-closed.sock;" in found
    assert [one for one in found if one.startswith("75.00% ")]


@pytest.mark.parametrize("weights", [[1], [1, 1, 1], [1, 999_999], [3, 1], [7, 11, 13, 17]], ids=str)
def test_shares_are_the_whole(weights: list[int]) -> None:
    found = _parts(weights)
    assert sum(found) == 10_000
    assert all(abs(part - 10_000 * weight / sum(weights)) < 1 for part, weight in zip(found, weights, strict=True))


def test_ports_of_both_kinds_have_one_number() -> None:
    one, other = listener(), listener("udp")
    found = file(port(one), port(other), row(led(one, id="t"), led(other, id="u")))
    assert [front.binds[0] for front in found.ports] == ["127.0.0.1:9000", "127.0.0.1:9000 udp"]
    lines = text(port(one), port(other), row(led(one, id="t"), led(other, id="u")))
    assert {"listen 127.0.0.1:9000;", "listen 127.0.0.1:9000 udp reuseport;", "proxy_timeout 60000ms;", "proxy_timeout 3600000ms;"} <= set(lines)  # fmt: skip


def test_a_name_is_one_row_and_no_word_of_maps() -> None:
    assert (name("a.example"), name("*.a.example")) == ("a.example", "*.a.example")
    assert {name(one) for one in ("default", "hostnames", "include", "volatile")} == {r"\\default", r"\\hostnames", r"\\include", r"\\volatile"}  # fmt: skip
    for wrong in ("", "*", "~x", ".a.example", "a..b", "a b", "a;b", "a\\b", "$a", "a.*", "a\n", "a.", "ä.example"):
        with pytest.raises(Unspeakable):
            name(wrong)


def test_names_that_nobody_has_are_refused_and_https_keeps_its_own() -> None:
    web = listener("https", 443, tls=ENDS)
    tls = listener("tls", 443, tls=UNOPENED, hostname="t.example")
    own = msgspec.structs.replace(web, hostname="w.example")
    one = row(led(tls, sni=("a.example",), tls="passthrough"))
    assert {"default unix:stream-https-443.sock;", "t.example unix:stream-closed.sock;"} <= set(
        text(port(web, tls), one)
    )
    rest = msgspec.structs.replace(tls, hostname=None)
    assert {"default unix:stream-closed.sock;", "w.example unix:stream-https-443.sock;"} <= set(
        text(port(own, rest), one)
    )
    assert "default unix:stream-https-443.sock;" in text(port(own, tls), one)
    whole = written(file(port(web, tls), one), Frame())
    assert "listen unix:stream-https-443.sock ssl http2 proxy_protocol default_server;" in whole


def test_tls_that_cannot_end_leads_nowhere() -> None:
    on = listener("tls", 443, tls=UNOPENED)
    assert led(on, tls="terminate").shares == ()


@pytest.mark.parametrize(
    ("on", "backend"),
    [
        (listener(), Backend(id="b", source=FromDns(name="db.example", port=5432))),  # type: ignore[arg-type]
        (listener(), Backend(id="b", source=FromEndpointSet(id="b"), tls=BackendTls(client_certificate="c"))),  # type: ignore[arg-type]
        (listener("tls", tls=ListenerTls(client_validation=ClientValidation(trust="t", san_dns=("c.example",)))), None),  # type: ignore[arg-type]
    ],
    ids=["a name", "a certificate of ours", "alternative names of clients"],
)  # fmt: skip
def test_what_cannot_be_done_is_said(on: Any, backend: Any) -> None:
    found = led(on, backend=backend, tls="terminate" if on.tls else None)
    assert "choose another engine" in found.refused


def test_endpoints_are_another_cause_than_routes() -> None:
    on = listener()
    before = file(port(on), row(led(on)))
    assert causes(before, file(port(on), row(led(on, servers=("10.0.0.1", "10.0.0.2"))))) == (Cause.STREAM_ENDPOINTS,)
    assert causes(before, file(port(on), row(led(on, idle=5)))) == (Cause.STREAMS,)
    assert causes(before, file(port(on), row(led(on)))) == ()


def test_workers_of_before_find_what_they_lead_to() -> None:
    web = listener("https", 443, tls=ENDS)
    one = led(web, sni=("a.example",), tls="passthrough")
    before = file(port(web), row(one))
    after = file(port(web, led=False), before=before)
    assert (after.streams.fading.led, [front.within for front in after.streams.fading.ports]) == ((one,), ["stream-https-443.sock"])  # fmt: skip
    whole = written(after, Frame())
    assert f"listen unix:stream-{one.token}.sock proxy_protocol;" in whole
    assert "listen unix:stream-https-443.sock ssl" in whole
    assert "listen 127.0.0.1:443 ssl" in whole
    assert written(file(port(web, led=False), before=after), Frame()).count("stream-") == 0


def test_certificates_are_files_only_where_tls_ends_before_bytes() -> None:
    chain = dict([item(L, items.CERTIFICATE, "own", {"chain": "CHAIN\n", "key": "KEY\n"}, private=True)])
    named = dict([item(L, items.SERVER_NAME, "a.example", {"certificate": "own"})])
    on = listener("tls", 443, tls=ENDS)
    wished = Assembly()
    for change in (chain, named, port(on), row(led(on, tls="passthrough"))):
        wished.take(change)
    assert (wished.chains(), wished.named) == ({}, ())
    wished.take(row(led(on, tls="terminate")))
    assert (list(wished.chains().values()), wished.named) == (["CHAIN\nKEY\n"], (("a.example", "own"),))
    assert "KEY" not in written(file_of(wished, "s"), Frame())
