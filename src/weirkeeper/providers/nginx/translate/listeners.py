"""Listeners of one port as an entry and as server blocks: how connections come in, and what is read of a request before it is led anywhere. Pure.

Comes in: the listeners of a port, sorted by id. Goes out: a ``Port``. A listener with a host name of its own is a TLS policy of that name, with its own route group.
"""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address

import msgspec

from weirkeeper.model.listener import ClientValidation, HttpOptions, Listener, ListenerTls
from weirkeeper.model.text import Id
from weirkeeper.providers.nginx.translate.backends import Revoked, versions
from weirkeeper.providers.nginx.translate.hosts import group_token
from weirkeeper.providers.nginx.translate.items import (
    DATAGRAMS,
    Opened,
    Policy,
    Port,
    Secured,
    Shows,
    Times,
    bundle_file,
)
from weirkeeper.providers.nginx.translate.streams import stream

VERIFY = {"require": "on", "optional": "optional", "allow-insecure-fallback": "optional_no_ca"}


def port(number: int, listeners: Sequence[Listener], revoked: Revoked, *, led: bool = False) -> Port:
    """The entry of a port. ``led``: some route takes connections of it as they are."""
    web = [one for one in listeners if one.protocol in {"http", "https"}] or listeners
    general = next((one for one in web if not one.hostname), web[0])
    words = DATAGRAMS if general.protocol == "udp" else ""
    tls, http, through = general.tls, general.http, stream(listeners, led=led)
    return Port(
        port=number,
        group=group_token(general.group),
        tls=tls is not None,
        proxied=through.http if through else any(one.accept_proxy_protocol for one in listeners),
        default_certificate=tls.default_certificate if tls else None,
        policies=tuple(_policy(one, one.tls, revoked) for one in web if one.hostname and one.tls),
        http=_paths(http),
        client=msgspec.to_builtins(http.client_address),
        validates=any(one.tls and one.tls.client_validation for one in web),
        shows=_shows(tls),
        refused=_refused(tls),
        binds=tuple(_address(text, number) + words for text in _addresses(listeners)),
        http2=http.http2 if tls else not http.http1,
        logged=all(one.access_log for one in listeners),
        server_header=http.server_header,
        secured=_secured(tls, revoked) if tls else Secured(),
        times=Times(
            header=http.header_timeout,
            idle=http.request_idle,
            kept=http.connection_idle,
            header_bytes=http.max_request_headers,
            streams=http.max_streams,
        ),
        stream=through,
    )


def _paths(http: HttpOptions) -> dict[str, object]:
    """What Lua must know of paths; the edge-safe defaults are what it does when nothing is said."""
    names = ("normalise_path", "merge_slashes", "escaped_slashes")
    said: dict[str, object] = msgspec.to_builtins(http)
    return {name: said[name] for name in names if name in said}


def _addresses(listeners: Sequence[Listener]) -> list[str]:
    return list(dict.fromkeys(address for one in listeners for address in one.addresses)) or ["0.0.0.0", "::"]  # noqa: S104


def _address(text: str, number: int) -> str:
    found = ip_address(text)
    return f"[{found}]:{number}" if isinstance(found, IPv6Address) else f"{found}:{number}"


def _policy(one: Listener, tls: ListenerTls, revoked: Revoked) -> Policy:
    held: tuple[Id | None, ...] = tls.certificates or (tls.default_certificate,)
    return Policy(
        hostname=one.hostname or "",
        group=group_token(one.group),
        certificate=held[0],
        shows=_shows(tls),
        refused=_refused(tls),
        secured=_secured(tls, revoked),
    )


def _secured(tls: ListenerTls, revoked: Revoked) -> Secured:
    asked = tls.client_validation
    trust = asked.trust if asked and not _unasked(asked) else None
    return Secured(
        versions=versions(tls.min_version, tls.max_version),
        ciphers=tls.ciphers,
        curves=tls.curves,
        verify=VERIFY[asked.mode] if asked else "",
        trust=bundle_file(trust) if trust is not None else "",
        revoked=trust is not None and revoked(trust),
        depth=asked.depth if asked else None,
    )


def opened(one: Listener, revoked: Revoked) -> Opened | None:
    """How TLS ends before the bytes of a listener are led on; nothing where it does not."""
    tls = one.tls
    if tls is None or (tls.mode != "terminate" and one.protocol != "https"):
        return None
    own = next(iter(tls.certificates), None) if one.hostname else None
    return Opened(secured=_secured(tls, revoked), certificate=own, default=tls.default_certificate)


def _unasked(asked: ClientValidation) -> bool:
    """Whether nobody asks if a certificate holds. NGINX lets in whose authority it does not know, but nobody whose authority only has the name of one that it knows."""
    return asked.mode == "allow-insecure-fallback" and not asked.forward_details


def _validation(tls: ListenerTls | None) -> ClientValidation | None:
    return tls.client_validation if tls else None


def _shows(tls: ListenerTls | None) -> Shows | None:
    asked = _validation(tls)
    return Shows(details=asked.forward_details, certificate=asked.forward_certificate) if asked else None


def _refused(tls: ListenerTls | None) -> bool:
    """NGINX does not compare alternative names of clients."""
    asked = _validation(tls)
    return bool(asked and asked.san_dns)
