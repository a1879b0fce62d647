"""Which proxy a request to a server goes through, read from the environment as Go's `net/http` and so kubectl read it.

Comes in: the server's URL and the environment. Goes out: the proxy's URL or None. Pure; no IO.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit


def environment_proxy(server: str, environment: Mapping[str, str]) -> str | None:
    """The proxy of `HTTPS_PROXY` or `HTTP_PROXY` for this server unless `NO_PROXY` names it; never one for loopback."""
    parts = urlsplit(server)
    host, port = (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)
    proxy = _variable(environment, f"{parts.scheme}_proxy")
    if not proxy or _is_loopback(host) or any(_names(one, host, port) for one in _exempt(environment)):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name.upper()) or environment.get(name) or ""


def _exempt(environment: Mapping[str, str]) -> list[str]:
    return [one.strip().lower() for one in _variable(environment, "no_proxy").split(",") if one.strip()]


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _names(entry: str, host: str, port: int) -> bool:
    """Whether an entry of `NO_PROXY` names the host: `*`, an address, a network, a domain with all below it, `.domain` or `*.domain` for those below only."""
    if entry == "*":
        return True
    entry, wanted = _with_port(entry)
    entry = entry.removeprefix("*") if entry.startswith("*.") else entry
    if wanted is not None and wanted != port:
        return False
    address = _address(host)
    if address is not None:
        return _contains(entry, address)
    return host.endswith(entry) if entry.startswith(".") else host == entry or host.endswith("." + entry)


def _with_port(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        inside, _, behind = entry[1:].partition("]")
        return inside, int(behind[1:]) if behind[1:].isdecimal() else None
    front, colon, port = entry.rpartition(":")
    if colon and ":" not in front and port.isdecimal():
        return front, int(port)
    return entry, None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _contains(entry: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
