"""Frontends that lead connections on as they are, as text: by the name that their TLS asks for, before or after it is opened.

Comes in: a port with a ``Stream``. Goes out: lines. Where HTTPS is served on the same port, or TLS ends for some names, those connections go once through a socket of HAProxy's own folder,
with the client's address in front (PROXY protocol). Which name leads where stands in ``streams.map``, which changes while HAProxy runs.
"""

from collections.abc import Iterator

from weirkeeper.providers.haproxy.translate.items import Port, Stream
from weirkeeper.providers.haproxy.translate.names import POOL, SHARES, STREAMS, list_file

HTTPS, ENDED = "https", "ended"
CLOSING = "closed"
CLOSED = ("", f"backend {CLOSING}", "  mode tcp", "  tcp-request content reject")
"""Takes connections for which nobody is there."""
WAIT = "5s"
"""So long a client may take to say which name it wants."""
REST = "*"


def stream_frontends(port: Port) -> Iterator[str]:
    """All that a port needs beside its frontend for HTTP."""
    stream = port.stream or Stream()
    yield from ("", f"frontend port-{port.port}", "  mode tcp")
    ends_here = stream.ends and not stream.asks
    for place in port.binds:
        yield f"  bind {place}{_tls(port, stream) if ends_here else ''} {stream.accepts}".rstrip()
    yield from (f"  {line}" for line in stream.lines)
    if stream.asks:
        yield from (f"  {line}" for line in _ASKED)
    yield from (f"  {line}" for line in _led(port, stream, ended=ends_here))
    yield f"  default_backend {within(port, HTTPS) if port.http else CLOSING}"
    if stream.asks and stream.ends:
        yield from ("", f"frontend port-{port.port}-{ENDED}", "  mode tcp")
        yield f"  bind {inner_place(port, ENDED)}{_tls(port, stream)} accept-proxy"
        yield from (f"  {line}" for line in (*stream.lines, *_led(port, stream, ended=True)))
        yield f"  default_backend {CLOSING}"
        yield from _within(port, ENDED)
    if port.http:
        yield from _within(port, HTTPS)


def inner_place(port: Port, what: str) -> str:
    """Where connections come in that went through the port already: nobody but HAProxy can."""
    return f"unix@port-{port.port}-{what}.sock mode 600"


def within(port: Port, what: str) -> str:
    """The backend that leads there."""
    return f"to-port-{port.port}-{what}"


def row(port: int, name: str, *, ended: bool = False) -> str:
    """The row of a name in the map of names."""
    return f"{port}{'+' if ended else ''}/{name}"


_ASKED = (
    f"tcp-request inspect-delay {WAIT}",
    "tcp-request content set-var(txn.name) req.ssl_sni,lower if { req.ssl_hello_type 1 }",
)

_DEALT = (
    "tcp-request content set-var(txn.of) var(txn.to),field(2,.),add(0) if { var(txn.to) -m beg w. }",
    "tcp-request content set-var(txn.share) rand,mod(txn.of) if { var(txn.to) -m beg w. }",
    "tcp-request content set-var-fmt(txn.key) '%[var(txn.to)].%[var(txn.share)]' if { var(txn.to) -m beg w. }",
    f"tcp-request content set-var(txn.to) var(txn.key),map_str({SHARES}) if {{ var(txn.to) -m beg w. }}",
)


def _tls(port: Port, stream: Stream) -> str:
    return f" ssl crt-list {list_file(port)} {stream.options}".rstrip()


def _led(port: Port, stream: Stream, *, ended: bool) -> Iterator[str]:
    """The row of the name, else that of the narrowest wildcard with more labels before it, else that of all names."""
    if ended:
        yield "tcp-request content set-var(txn.name) ssl_fc_sni,lower"
    named, absent = "{ var(txn.name) -m found }", "!{ var(txn.to) -m found }"
    yield f"tcp-request content set-var-fmt(txn.key) '{row(port.port, '%[var(txn.name)]', ended=ended)}' if {named}"
    yield f"tcp-request content set-var(txn.to) var(txn.key),map_str({STREAMS}) if {named}"
    for level in range(stream.levels, 0, -1):
        more = f"{absent} {{ var(txn.name),field({level + 1},.) -m found }}"
        key = row(port.port, f"*.%[var(txn.name),field(-1,.,{level})]", ended=ended)
        yield f"tcp-request content set-var-fmt(txn.key) '{key}' if {more}"
        yield f"tcp-request content set-var(txn.to) var(txn.key),map_str({STREAMS}) if {more}"
    rest = row(port.port, REST, ended=ended)
    yield f"tcp-request content set-var(txn.to) str({rest}),map_str({STREAMS}) if {absent}"
    yield from _DEALT
    yield f"tcp-request content set-var(txn.slot) var(txn.to),map_str({POOL})"
    yield "use_backend %[var(txn.slot)] if { var(txn.slot) -m found }"
    yield "use_backend %[var(txn.to)] if { var(txn.to) -m found }"


def _within(port: Port, what: str) -> Iterator[str]:
    place = inner_place(port, what).partition(" ")[0]
    yield from ("", f"backend {within(port, what)}", "  mode tcp", "  timeout server 1d", "  timeout tunnel 1d")
    yield f"  server inside {place} send-proxy-v2"
