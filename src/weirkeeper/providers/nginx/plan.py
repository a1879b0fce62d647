"""What leads from what an NGINX holds to what is wished: entries to put and to take away, and whether its file must change. Pure.

Comes in: ``Held``, an ``Assembly``, what an installation chooses. Goes out: a ``Wanted``. Entries that need nothing new of the file go first, then the file, then the rest; what is taken away goes last,
hosts before what they lead to.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from weirkeeper.model.text import Id
from weirkeeper.model.value import Value
from weirkeeper.providers.items import digest
from weirkeeper.providers.nginx.assembly import Assembly, item_of
from weirkeeper.providers.nginx.translate.frame import Frame, configuration
from weirkeeper.providers.nginx.translate.items import NO_STREAMS, Fading, Led, Port, Streams, Way

GATE = "weirkeeper/gate"
"""What an NGINX says of itself that listens nowhere yet."""
ORDER = "ecbnph"
"""Kinds of entries, so that what is named is there before it is named."""


class Cause(StrEnum):
    """Why NGINX is started anew, or told to read its file again."""

    START = "start"
    LISTENERS = "listeners"
    WAYS = "ways"
    STREAMS = "streams"
    STREAM_ENDPOINTS = "stream-endpoints"
    AUTHORITIES = "authorities"
    SETTINGS = "settings"


CAUSES: Mapping[Cause, str] = {
    Cause.START: "there was none that could be programmed",
    Cause.LISTENERS: "addresses, ports, TLS versions, ciphers or client certificates of listeners changed",
    Cause.WAYS: "a route retries, replaces errors, limits bodies or the time of requests, verifies a backend or speaks HTTP/2 to it in a way that none did before",
    Cause.STREAMS: "a route of TCP, UDP or TLS by name came, went or leads elsewhere, or a name has another certificate where TLS ends before bytes",
    Cause.STREAM_ENDPOINTS: "endpoints of a route of TCP, UDP or TLS by name changed",
    Cause.AUTHORITIES: "authorities or revocations changed",
    Cause.SETTINGS: "what the installation chooses, or this program, is another",
}


class File(Value, frozen=True, kw_only=True):
    """What stands in the file of NGINX, and beside it: enough to tell two apart, and why."""

    ports: tuple[Port, ...] = ()
    ways: frozenset[Way] = frozenset()
    streams: Streams = NO_STREAMS
    authorities: str = ""
    settings: str = ""


class Held(NamedTuple):
    """What a running NGINX has: the versions of its entries by key, its file, and where it listens. ``before`` are the ports of the file before that one: their entries stay, for workers that end."""

    entries: dict[str, str]
    file: File
    binds: frozenset[str] = frozenset()
    before: tuple[Port, ...] = ()


class Wanted(NamedTuple):
    """Entries to put at once, those that wait for the file, those to take away; and why the file must change."""

    now: tuple[str, ...]
    later: tuple[str, ...]
    gone: tuple[str, ...]
    causes: tuple[Cause, ...]


def plan(name: Id, held: Held, wished: Assembly, chosen: str) -> Wanted:
    """What is to do; looks only at entries that were touched."""
    file = file_of(wished, chosen)
    put = [
        key
        for key in wished.touched
        if key in wished.entries and _version(wished.entries[key]) != held.entries.get(key)
    ]
    put.sort(key=_order)
    waiting = [key for key in put if wished.waits(item_of(name, key), held.file.ways)]
    kept = {f"p:{port.entry}" for port in (*held.file.ports, *held.before)}
    gone = [key for key in wished.touched if key not in wished.entries and key in held.entries and key not in kept]
    return Wanted(
        now=tuple(key for key in put if key not in set(waiting)),
        later=tuple(waiting),
        gone=tuple(sorted(gone, key=_order, reverse=True)),
        causes=causes(held.file, file),
    )


def causes(before: File, after: File) -> tuple[Cause, ...]:
    """Why the file must change. A way that nobody needs any more may stay."""
    found = {
        Cause.LISTENERS: [_shape(one) for one in before.ports] != [_shape(one) for one in after.ports],
        Cause.WAYS: not before.ways >= after.ways,
        Cause.STREAMS: before.streams.unmanned != after.streams.unmanned,
        Cause.STREAM_ENDPOINTS: [one.manned for one in before.streams.led] != [one.manned for one in after.streams.led],
        Cause.AUTHORITIES: before.authorities != after.authorities,
        Cause.SETTINGS: before.settings != after.settings,
    }
    return tuple(cause for cause, holds in found.items() if holds)


def file_of(wished: Assembly, chosen: str, ways: frozenset[Way] = frozenset(), before: File | None = None) -> File:
    """The file for what is wished, with these ways besides, and what workers of the file before need until they end."""
    ports = tuple(port for _, port in sorted(wished.ports.items()))
    every = wished.ways | ways
    led = tuple(one for _, one in sorted(wished.led.items()))
    named = {way.trust for way in every} | {
        one.trust for port in ports for one in (port.secured, *(policy.secured for policy in port.policies))
    }
    named |= {share.tls.trust for one in led for share in one.shares if share.tls}
    named |= {one.opened.secured.trust for one in led if one.opened}
    files = {
        name: text
        for name, text in wished.authorities().items()
        if name in named or name.removesuffix(".crl") + ".pem" in named
    }
    told = digest(*(part for name, text in sorted(files.items()) for part in (name, text)))
    return File(
        ports=ports,
        ways=every,
        streams=Streams(led=led, named=wished.named, fading=_fading(before, ports, led) if before else Fading()),
        authorities=told,
        settings=chosen,
    )


def _fading(before: File, ports: Iterable[Port], led: Iterable[Led]) -> Fading:
    """Authorities may be gone with a route that verified somebody by them: it ends at once."""
    within = {port.place for port in ports if port.stream and port.stream.http}
    names = {one.id for one in led}
    by_name = {port.place for port in before.ports if port.stream and port.stream.protocol == "tls"}
    return Fading(
        ports=tuple(port for port in before.ports if port.stream and port.stream.http and port.place not in within),
        led=tuple(one for one in before.streams.led if one.place in by_name and one.id not in names and not _asks(one)),
    )


def _asks(one: Led) -> bool:
    """Whether it verifies anybody."""
    return any(share.tls for share in one.shares) or bool(one.opened and one.opened.secured.trust)


def binds(ports: Iterable[Port]) -> frozenset[str]:
    """Where these listen."""
    return frozenset(place for port in ports for place in port.places)


def written(file: File, chosen: Frame) -> str:
    """The text of the file, with its mark."""
    return configuration(file.ports, file.ways, chosen, mark(file), told=file.streams)


def mark(file: File) -> str:
    """By what an NGINX tells which file it was started from."""
    ways = ",".join(sorted(way.name for way in file.ways))
    shapes = [str(_shape(port)) for port in file.ports]
    return "weirkeeper/" + digest(
        ways, file.authorities, file.settings, *shapes, str(file.streams.led), str(file.streams.named)
    )


def _shape(port: Port) -> tuple[object, ...]:
    """What of a port stands in the file."""
    secured = tuple((one.hostname, one.secured) for one in port.policies)
    return (
        port.entry, port.binds, port.tls, port.http2, port.proxied, port.logged, port.server_header, port.validates, port.secured, port.times, secured, port.stream,
    )  # fmt: skip


def _version(entry: str) -> str:
    return entry.partition(" ")[0]


def _order(key: str) -> tuple[int, str]:
    return ORDER.index(key[0]), key
