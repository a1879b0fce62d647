"""The part of NGINX's file that leads bytes on: a server for each port, and for each route. Pure.

Comes in: ports with a ``Stream``, and what routes need. Goes out: lines. A port of TCP or UDP has one route, and leads there itself. A port of TLS reads the name that a client asks for, without opening anything,
and leads to a socket in NGINX's own folder with the client's address in front (PROXY protocol): that of a route, or that of HTTPS. What leads nowhere is closed.
"""

from collections.abc import Iterable, Iterator, Sequence

from weirkeeper.providers.nginx.translate.items import (
    Led,
    Opened,
    Port,
    Share,
    Stream,
    Streams,
    Toward,
    certificate_file,
    revoked_file,
)
from weirkeeper.providers.nginx.translate.quoting import name as spelled
from weirkeeper.providers.nginx.translate.quoting import word

CLOSED = "unix:stream-closed.sock"
DEEPEST = 100
PREREAD, HANDSHAKE, LONGEST = "5s", "10s", "20d"
"""So long a client may take to say which name it wants; and so long one server waits for the one behind it, which knows the limits."""
TRIES = 3
WHOLE = 10_000
"""Shares are hundredths of a percent to NGINX."""


def streams(ports: Iterable[Port], told: Streams, log: str) -> Iterator[str]:
    """The whole block; nothing where every port serves HTTP alone."""
    every = sorted((one for one in ports if one.stream), key=lambda port: (port.port, port.udp))
    if not (every or told.fading.led):
        return
    yield "stream {"
    for line in (
        *_GENERAL,
        *(_named(told.named) if any(one.opened for one in (*told.led, *told.fading.led)) else ()),
        *_servers(every, told.led, log),
        *_fading(told.fading.led),
        "server {",
        f"  listen {CLOSED};",
        '  return "";',
        "}",
    ):
        yield "  " + line
    yield "}"


_GENERAL = (
    (
        'log_format weir escape=json \'{"time":"$time_iso8601","client":"$remote_addr","protocol":"$protocol","port":"$server_port","status":$status,'
        '"sent":$bytes_sent,"received":$bytes_received,"seconds":$session_time,"upstream":"$upstream_addr"}\';'
    ),
    "map_hash_bucket_size 512;",
    "map_hash_max_size 8192;",
    "variables_hash_max_size 8192;",
    f"preread_timeout {PREREAD};",
    f"proxy_next_upstream_tries {TRIES};",
)


def _servers(ports: Sequence[Port], led: Sequence[Led], log: str) -> Iterator[str]:
    for port in ports:
        mine = sorted((one for one in led if one.place == port.place), key=lambda one: one.names)
        for one in mine:
            yield from _targets(one)
        stream = port.stream or Stream()
        if stream.protocol == "tls":
            yield from _by_name(port, stream, mine)
            for one in mine:
                yield from _within(one, _led(one, port, log))
        else:
            listens = [f"listen {word(place)}{_words(stream)};" for place in port.places]
            found = _led(mine[0], port, log) if mine else ('return "";',)
            yield from _server([*listens, *_trusting(stream), *found])


def _named(names: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The file of the certificate of a name; nothing where there is none."""
    yield "map $ssl_server_name $weir_named {"
    yield "  hostnames;"
    yield '  default "";'
    yield from (f"  {spelled(name)} {certificate_file(certificate)};" for name, certificate in names)
    yield "}"


def _fading(led: Iterable[Led]) -> Iterator[str]:
    for one in led:
        yield from (*_targets(one), *_within(one, _led(one, None, "")))


def _within(one: Led, lines: Iterable[str]) -> Iterator[str]:
    """The server behind a port of TLS that leads where a route leads."""
    words = "ssl proxy_protocol" if one.opened else "proxy_protocol"
    tls = _opened(one.opened, f"$weir_shown_{one.token}") if one.opened else ()
    return _server([f"listen {_socket(one)} {words};", *_from("unix:"), *tls, *lines])


def _server(lines: Iterable[str]) -> Iterator[str]:
    yield from ("server {", *("  " + line for line in lines), "}")


def _words(stream: Stream) -> str:
    """Datagrams of a client come to the same worker each time only where each worker has a socket of its own."""
    return " udp reuseport" if stream.protocol == "udp" else " proxy_protocol" if stream.accepts else ""


def _trusting(stream: Stream) -> Iterator[str]:
    return _from("0.0.0.0/0", "::/0") if stream.accepts else iter(())


def _from(*places: str) -> Iterator[str]:
    """Who says in front of a connection whose it is, and is believed."""
    yield from (f"set_real_ip_from {place};" for place in places)


# By name


def _by_name(port: Port, stream: Stream, led: Sequence[Led]) -> Iterator[str]:
    """The server of a port of TLS, and the map of its names: an exact one, else the longest wildcard, else the rest."""
    within = f"unix:{port.within}"
    rows = dict.fromkeys(stream.closed, CLOSED) | dict.fromkeys(stream.web, within)
    rest = within if stream.rest_http else CLOSED
    for one in led:
        rows |= {name: _socket(one) for name in one.names}
        rest = rest if one.names else _socket(one)
    variable = f"$weir_at_{port.port}"
    yield f"map $ssl_preread_server_name {variable} {{"
    yield "  hostnames;"
    yield f"  default {rest};"
    yield from (f"  {spelled(name)} {target};" for name, target in sorted(rows.items()))
    yield "}"
    listens = [f"listen {word(place)}{_words(stream)};" for place in port.places]
    yield from _server(
        [*listens, *_trusting(stream), "ssl_preread on;", "proxy_protocol on;", f"proxy_timeout {LONGEST};", f"proxy_pass {variable};"]
    )  # fmt: skip


def _socket(one: Led) -> str:
    return f"unix:stream-{one.token}.sock"


# Of a route


def _led(one: Led, port: Port | None, log: str) -> Iterator[str]:
    yield f"access_log {log} weir buffer=16k flush=1s;" if port and port.logged else "access_log off;"
    yield f"proxy_timeout {one.idle}ms;"
    yield f"proxy_connect_timeout {max([share.connect for share in one.shares], default=1)}ms;"
    yield f"proxy_pass {f'$weir_of_{one.token}' if len(one.shares) > 1 else _target(one, 0)};"


def _target(one: Led, number: int) -> str:
    """Where a share leads."""
    if number >= len(one.shares) or not one.shares[number].servers:
        return CLOSED
    return f"unix:stream-{one.token}-{number}.sock" if one.shares[number].tls else f"weir_{one.token}_{number}"


def _targets(one: Led) -> Iterator[str]:
    """Endpoints of each share, who is led to which, what begins TLS anew, and which certificate is shown."""
    if one.opened:
        yield from _shown(one.opened, f"$weir_shown_{one.token}")
    for number, share in enumerate(one.shares):
        if share.servers:
            yield from _upstream(f"weir_{one.token}_{number}", share)
        if share.servers and share.tls:
            yield from _server(
                [
                    f"listen {_target(one, number)};",
                    f"proxy_timeout {LONGEST};",
                    f"proxy_connect_timeout {share.connect}ms;",
                    *_secured(share.tls),
                    f"proxy_pass weir_{one.token}_{number};",
                ]
            )
    if len(one.shares) > 1:
        yield f'split_clients "$pid-$connection-$msec" $weir_of_{one.token} {{'
        parts = _parts([share.weight for share in one.shares])
        for number, part in enumerate(parts[:-1]):
            yield f"  {part // 100}.{part % 100:02}% {_target(one, number)};"
        yield f"  * {_target(one, len(parts) - 1)};"
        yield "}"


def _parts(weights: Sequence[int]) -> list[int]:
    """The share of each in hundredths of a percent, together the whole."""
    ends = [sum(weights[: number + 1]) * WHOLE // sum(weights) for number in range(len(weights))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _shown(opened: Opened, variable: str) -> Iterator[str]:
    """Which certificate is shown. One that nobody has is no file, and the handshake fails."""
    default = certificate_file(opened.default) if opened.default else '""'
    if opened.certificate:
        yield f"map 1 {variable} {{ default {certificate_file(opened.certificate)}; }}"
    else:
        yield f'map $weir_named {variable} {{ default $weir_named; "" {default}; }}'


def _opened(opened: Opened, variable: str) -> Iterator[str]:
    yield f"ssl_certificate {variable};"
    yield f"ssl_certificate_key {variable};"
    yield f"ssl_handshake_timeout {HANDSHAKE};"
    secured = opened.secured
    yield f"ssl_protocols {' '.join(secured.versions)};"
    if secured.ciphers:
        yield f"ssl_ciphers {word(':'.join(secured.ciphers))};"
    if secured.curves:
        yield f"ssl_ecdh_curve {word(':'.join(secured.curves))};"
    if secured.verify:  # a session that is resumed would not be verified
        yield "ssl_session_tickets off;"
        yield f"ssl_verify_client {secured.verify};"
        yield f"ssl_verify_depth {DEEPEST if secured.depth is None else secured.depth};"
        if secured.trust:
            yield f"ssl_client_certificate {word(secured.trust)};"
        if secured.revoked:
            yield f"ssl_crl {word(revoked_file(secured.trust))};"


def _upstream(name: str, share: Share) -> Iterator[str]:
    again = share.again
    left_out = f"max_fails={again.fails} fail_timeout={again.pause}ms" if again else "max_fails=0"
    yield f"upstream {name} {{"
    if share.balance:
        yield f"  {share.balance};"
    for address, port, weight in share.servers:
        place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        yield f"  server {word(place)} weight={weight} {left_out};"
    yield "}"


def _secured(tls: Toward) -> Iterator[str]:
    yield "proxy_ssl on;"
    if tls.name:
        yield "proxy_ssl_server_name on;"
        yield f"proxy_ssl_name {word(tls.name)};"
    if tls.versions:
        yield f"proxy_ssl_protocols {' '.join(tls.versions)};"
    if tls.ciphers:
        yield f"proxy_ssl_ciphers {word(':'.join(tls.ciphers))};"
    if tls.trust:
        yield f"proxy_ssl_trusted_certificate {word(tls.trust)};"
        yield "proxy_ssl_verify on;"
        yield f"proxy_ssl_verify_depth {DEEPEST if tls.depth is None else tls.depth};"
        if tls.revoked:
            yield f"proxy_ssl_crl {word(revoked_file(tls.trust))};"
