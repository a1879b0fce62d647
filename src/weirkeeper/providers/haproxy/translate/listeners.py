"""Listeners of one port to one frontend: how connections come in, and what is done with a request before it is led anywhere.

Comes in: the listeners of a port, sorted by id. Goes out: a ``Port``: addresses, options, TLS policies by name, and rules that are its own; what all frontends have in common
is in ``skeleton``. A listener with a host name of its own is a TLS policy of that name, with its own route group.
"""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv6Address, ip_address

from weirkeeper.model.listener import ClientAddress, ClientValidation, HttpOptions, Listener, ListenerTls
from weirkeeper.model.text import Id
from weirkeeper.providers.haproxy.translate import client_certificates
from weirkeeper.providers.haproxy.translate.conditions import addresses
from weirkeeper.providers.haproxy.translate.hosts import group_token
from weirkeeper.providers.haproxy.translate.items import Policy, Port
from weirkeeper.providers.haproxy.translate.quoting import argument, word
from weirkeeper.providers.haproxy.translate.sections import TLS_VERSIONS, Revoked
from weirkeeper.providers.haproxy.translate.spelling import path_rules
from weirkeeper.providers.haproxy.translate.streams import Led, stream

NOTHING: Led = {}
CLAIMS = ("x-forwarded-for", "x-forwarded-prefix", "forwarded", "x-real-ip")
"""What a stranger says about its own way here; removed where it is not believed."""
TOLD = ("x-forwarded-proto", "x-forwarded-port")
"""The same, but backends are told our own in its place."""
IN_A_ROW = 9
"""So many proxies in front are looked past."""
BELIEVED = "{ var(txn.believed) -m found }"


def port(
    number: int, listeners: Sequence[Listener], revoked: Revoked, led: Led = NOTHING, levels: Iterable[int] = ()
) -> Port:
    """The frontend of one port. Where connections are led on as well, those of HTTPS come from inside."""
    web = [one for one in listeners if one.protocol in {"http", "https"}]
    ended = [one for one in listeners if one.protocol == "tls" and one.tls and one.tls.mode == "terminate"]
    general = next((one for one in web if not one.hostname), web[0] if web else listeners[0])
    made = stream(listeners, led, " ".join(_ended_options(ended or web, revoked)), _stream_lines(listeners))
    return Port(
        port=number,
        binds=tuple(_address(text, number) for text in _addresses(listeners)),
        options=" ".join(_options(web, general, revoked, inside=made is not None)) if web else "",
        tls=any(one.tls for one in [*web, *ended]),
        default_certificate=_default([*web, *ended]),
        policies=tuple(_policy(one, one.tls, revoked) for one in [*web, *ended] if one.hostname and one.tls),
        group=group_token(general.group),
        lines=tuple(_lines(general, web)) if web else (),
        levels=tuple(sorted(set(levels), reverse=True)),
        validates=any(True for _ in _validations([*web, *ended])),
        believes=bool(web) and general.http.client_address != ClientAddress(),
        http=bool(web),
        stream=made,
    )


def _default(listeners: Sequence[Listener]) -> Id | None:
    """The certificate of the listener without a host name."""
    general = next((one for one in listeners if not one.hostname), listeners[0] if listeners else None)
    return general.tls.default_certificate if general is not None and general.tls is not None else None


def _ended_options(listeners: Sequence[Listener], revoked: Revoked) -> Iterator[str]:
    """TLS that ends for bytes: no protocol is offered, as nobody knows what is in it."""
    if not listeners:
        return
    general = next((one for one in listeners if not one.hostname), listeners[0])
    tls = general.tls or ListenerTls()
    yield "strict-sni" if tls.default_certificate is None else ""
    yield from _secured(tls, revoked)


def _stream_lines(listeners: Sequence[Listener]) -> Iterator[str]:
    yield "timeout client 1h"
    if all(one.access_log for one in listeners):
        yield "log stdout format raw local0 info"
        yield "option tcplog"
    yield from _limited(listeners)


def _limited(listeners: Sequence[Listener]) -> Iterator[str]:
    limits = [one.connection_limit for one in listeners if one.connection_limit is not None]
    if limits:
        yield f"tcp-request connection reject if {{ fe_conn gt {min(limits)} }}"


def misdirected(listeners: Sequence[Listener]) -> list[tuple[str, str]]:
    """Which (group, host name) must answer 421: the policies' hosts, in the groups of the listeners without a host name."""
    policies = [one for one in listeners if one.tls and one.hostname]
    return [
        (general.group, one.hostname)
        for general in listeners
        if general.tls and not general.hostname
        for one in policies
        if one.hostname and one.group != general.group
    ]


def _addresses(listeners: Sequence[Listener]) -> list[str]:
    return list(dict.fromkeys(address for one in listeners for address in one.addresses)) or ["0.0.0.0", "::"]  # noqa: S104


def _address(text: str, number: int) -> str:
    found = ip_address(text)
    return f"[{found}]:{number}" + " v6only" if isinstance(found, IPv6Address) else f"{found}:{number}"


def _options(listeners: Sequence[Listener], general: Listener, revoked: Revoked, *, inside: bool) -> Iterator[str]:
    if inside or any(one.accept_proxy_protocol for one in listeners):
        yield "accept-proxy"
    if general.tls is not None:
        yield "strict-sni" if general.tls.default_certificate is None else ""
        yield f"alpn {','.join(_alpn(general))}"
        yield from _secured(general.tls, revoked)
        asked = [one for one, _ in _validations(listeners)]
        if asked:
            yield client_certificates.WITHOUT_RESUMPTION
        if any(client_certificates.lenient(one) for one in asked):
            yield "ca-ignore-err all crt-ignore-err all"
    elif not general.http.http1:
        yield "proto h2"


def _alpn(one: Listener) -> list[str]:
    known = {"h2": one.http.http2, "http/1.1": one.http.http1}
    wished: list[str] = [name for name in (one.tls.alpn if one.tls else ()) if known.get(name)]
    return wished or ["http/1.1"]


def _versions(tls: ListenerTls) -> Iterator[str]:
    yield f"ssl-min-ver {TLS_VERSIONS[tls.min_version or '1.2']}"
    if tls.max_version:
        yield f"ssl-max-ver {TLS_VERSIONS[tls.max_version]}"
    if tls.ciphers:
        yield "ciphers " + word(":".join(tls.ciphers))
    if tls.curves:
        yield "curves " + word(":".join(tls.curves))


def _secured(tls: ListenerTls, revoked: Revoked) -> Iterator[str]:
    yield from _versions(tls)
    if tls.client_validation is not None:
        wished = tls.client_validation
        yield from client_certificates.options(wished, revoked=revoked(wished.trust))


def _validations(listeners: Sequence[Listener]) -> Iterator[tuple[ClientValidation, str]]:
    """Who asks for certificates, each with the condition of its connections; the listener without a host name has all that no other has."""
    policies = [one for one in listeners if one.hostname and one.tls]
    named = " ".join(word(one.hostname or "") for one in policies)
    for one in listeners:
        if one.tls is not None and one.tls.client_validation is not None:
            other = f"!{{ ssl_fc_sni -m str -i -- {named} }}" if named else "TRUE"
            came = f"{{ ssl_fc_sni -m str -i -- {word(one.hostname)} }}" if one.hostname else other
            yield one.tls.client_validation, came


def _policy(one: Listener, tls: ListenerTls, revoked: Revoked) -> Policy:
    held = tls.certificates or ((tls.default_certificate,) if tls.default_certificate else ())
    return Policy(
        hostname=one.hostname or "",
        options=" ".join(_secured(tls, revoked)),
        certificates=tuple(held),
        group=group_token(one.group),
    )


def _lines(general: Listener, listeners: Sequence[Listener]) -> Iterator[str]:
    http = general.http
    yield f"timeout http-request {max(http.header_timeout, 1)}ms"
    yield f"timeout http-keep-alive {max(http.connection_idle, 1)}ms"
    yield f"timeout client {max(http.request_idle, 1)}ms"
    if all(one.access_log for one in listeners):
        yield "log stdout format raw local0 info"
        yield "option httplog"
    yield from _limited(listeners)
    if http.reject_underscores:
        yield "option http-restrict-req-hdr-names reject"
    yield r"http-request return status 400 if { req.hdrs -m reg '\x00' }"  # HAProxy passes NUL on, which RFC 9110, 5.5 calls dangerous
    yield from path_rules(http, secure=general.tls is not None)
    yield from _client(http.client_address, tls=general.tls is not None)
    yield from _HOPS
    yield from _answered(http)
    asked = list(_validations(listeners))
    yield from [client_certificates.HONEST] * bool(asked)
    for wished, came in asked:
        yield from client_certificates.rules(wished, came)


_SWITCHED = "{ req.fhdr(upgrade) -m found }"
_HOPS = (
    "http-request del-header x-forwarded-client-cert",
    "http-request del-header upgrade unless { req.fhdr_cnt(upgrade) eq 1 } { req.fhdr(upgrade) -m str -i websocket }",
    f"http-request del-header connection unless {_SWITCHED}",
    f"http-request set-header connection upgrade if {_SWITCHED}",
)
"""What is between two hops (RFC 9110, 7.6.1) goes no further: another protocol than websockets would carry requests around every rule, and a backend that is a proxy would take out what a client names."""


def _answered(http: HttpOptions) -> Iterator[str]:
    """Who answered, and when: an answer without a date gets one (RFC 9110, 6.6.1)."""
    yield "http-after-response set-header date %[date,http_date] unless { res.fhdr(date) -m found }"
    if http.server_header != "pass":
        absent = " unless { res.fhdr(server) -m found }" if http.server_header == "append" else ""
        yield f"http-after-response set-header server haproxy{absent}"


def _client(wished: ClientAddress, *, tls: bool) -> Iterator[str]:
    """The client's address, and what backends are told of it. What one claims whom nobody trusts is gone before anything reads it."""
    own, other = ("https", "http") if tls else ("http", "https")
    if wished == ClientAddress():
        yield from (f"http-request del-header {name}" for name in CLAIMS)
        yield "http-request set-header x-forwarded-host %[req.fhdr(host)]"
        yield "option forwardfor"
        yield f"http-request set-header x-forwarded-proto {own}"
        yield "http-request set-header x-forwarded-port %[dst_port]"
        return
    if wished.trusted and not wished.header:
        yield from addresses("trusted", wished.trusted)
        yield "http-request set-var(txn.believed) bool(true) if trusted"  # the address is another one soon
    else:
        yield "http-request set-var(txn.believed) bool(true)"
    yield from (f"http-request del-header {name} unless {BELIEVED}" for name in (*CLAIMS, *TOLD))
    yield f"http-request set-header x-forwarded-host %[req.fhdr(host)] unless {BELIEVED}"
    yield f"http-request set-var(txn.scheme) str({other}) if {{ req.fhdr_cnt(x-forwarded-proto) eq 1 }} {{ req.fhdr(x-forwarded-proto) -m str -i {other} }}"
    yield "http-request set-header x-forwarded-proto %[var(txn.scheme)] unless { req.hdr(x-forwarded-proto) -m found }"
    yield "http-request set-header x-forwarded-port %[dst_port] unless { req.hdr(x-forwarded-port) -m found }"
    yield "http-request add-header x-forwarded-for %[src] if { req.hdr(x-forwarded-for) -m found }"
    yield "option forwardfor if-none"
    if wished.header:
        yield f"http-request set-src {word(f'req.hdr({argument(wished.header)})')}"
    else:
        first = max(wished.trusted_hops, 1) + 1  # the last one is the connection's own, added above
        yield f"http-request set-src req.hdr(x-forwarded-for,-{first}) if {BELIEVED}"
        if wished.trusted and not wished.trusted_hops:  # trusted ones in a row: the client is the first who is none
            for further in range(first + 1, first + IN_A_ROW):
                yield f"http-request set-src req.hdr(x-forwarded-for,-{further}) if {BELIEVED} trusted"
