"""A request as a listener sees it.

Comes in: a URL, a method and header lines, as somebody typed them. Goes out: a `Request`, or why there is none. And what a listener does to its path
before any route looks at it: dots are resolved, slashes merged, needless escapes undone (RFC 3986, section 6.2.2), as the engines are told to.
"""

from collections.abc import Sequence
from typing import Literal, get_args
from urllib.parse import urlsplit

from weirkeeper.model.listener import HttpOptions
from weirkeeper.model.text import HeaderName, HeaderValue, Hostname, IpAddress, Method, Refused, parse, shown
from weirkeeper.model.value import Value

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_HEX = frozenset("0123456789abcdefABCDEF")
_ESCAPED = frozenset('"<>^`{|}')
"""What a path may not hold as it is and engines escape."""


Scheme = Literal["http", "https", "tls", "tcp", "udp"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
STREAMS = ("tls", "tcp", "udp")
"""What is led on without a look at what passes."""


class Request(Value, frozen=True, kw_only=True):
    """One request, or one connection of bytes (``tls``, ``tcp``, ``udp``: then nothing but host and port counts). ``port`` is that of the URL where it names one; ``path`` is without, ``query`` the text after ``?``."""

    scheme: Scheme = "http"
    host: Hostname
    port: int | None = None
    path: str = "/"
    query: str = ""
    method: Method = Method("GET")
    headers: tuple[tuple[HeaderName, HeaderValue], ...] = ()
    source: IpAddress | None = None

    def header(self, name: str) -> str | None:
        """The value of a header, several joined as an engine joins them; ``None`` where it is absent."""
        if name.lower() in {"host", ":authority"}:
            return self.host if self.port is None else f"{self.host}:{self.port}"
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ("; " if name.lower() == "cookie" else ",").join(found) if found else None

    def cookies(self) -> dict[str, str]:
        """The cookies by name; of two with the same name the first."""
        found: dict[str, str] = {}
        for pair in (self.header("cookie") or "").split(";"):
            name, _, value = pair.strip().partition("=")
            found.setdefault(name, value)
        return found

    def parameter(self, name: str) -> str | None:
        """The first query parameter of that name, as it is sent (not decoded); ``None`` where it is absent."""
        for pair in self.query.split("&") if self.query else ():
            key, _, value = pair.partition("=")
            if key == name:
                return value
        return None


def request_of(url: str, method: str = "GET", headers: Sequence[str] = (), source: str = "") -> Request | Refused:
    """The request that these words describe, or why they describe none. Without a scheme it is `http`."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError as error:
        return Refused(f"{shown(url)} is no URL: {error}")
    scheme = next((one for one in SCHEMES if one == parts.scheme), None)
    if scheme is None:
        return Refused(f"{shown(parts.scheme)} is not explained; write http:// or https://, or tls://, tcp://, udp://")
    if scheme in {"tcp", "udp"} and port is None:
        return Refused(f"{shown(url)} names no port, and nothing else tells listeners of {parts.scheme} apart")
    if not parts.path.isascii() or not parts.query.isascii():
        return Refused(f"{shown(url)} holds characters that a URL writes as %XX")
    read: list[tuple[HeaderName, HeaderValue]] = []
    for line in headers:
        pair = _header(line)
        if isinstance(pair, Refused):
            return pair
        read.append(pair)
    host = parse(Hostname, _host(parts.hostname or "", read))
    verb, address = parse(Method, method.upper()), parse(IpAddress, source) if source else None
    for refused in (host, verb, address):
        if isinstance(refused, Refused):
            return refused
    assert not isinstance(host, Refused)
    assert not isinstance(verb, Refused)
    assert not isinstance(address, Refused)
    return Request(
        scheme=scheme, host=host, port=port, path=parts.path or "/",
        query=parts.query, method=verb, headers=tuple(p for p in read if p[0].lower() != "host"), source=address,
    )  # fmt: skip


def _host(url_host: str, headers: list[tuple[HeaderName, HeaderValue]]) -> str:
    """The host that counts: a `Host` header beats the URL's, as with curl."""
    named = next((value for name, value in headers if name.lower() == "host"), "")
    host = named.rpartition(":")[0] if named.rpartition(":")[2].isdigit() else named
    return (host or url_host).lower().removesuffix(".")


def _header(line: str) -> tuple[HeaderName, HeaderValue] | Refused:
    name, colon, value = line.partition(":")
    if not colon:
        return Refused(f"header {shown(line)} has no colon; write it as Name: value")
    read_name, read_value = parse(HeaderName, name.strip()), parse(HeaderValue, value.strip())
    if isinstance(read_name, Refused):
        return Refused(f"header name {read_name.why}")
    if isinstance(read_value, Refused):
        return Refused(f"header value {read_value.why}")
    return read_name, read_value


def normalised(path: str, options: HttpOptions) -> str | Refused:
    """The path as routes see it, or why the listener refuses it (400). The steps are those of decision 0016."""
    refused = _refused(path, options)
    if refused:
        return Refused(refused)
    if options.normalise_path:
        segments = "/".join(_bare(segment) for segment in path.split("/")).replace("\\", "/")
        path = _unescaped("".join(f"%{ord(char):02X}" if char in _ESCAPED else char for char in segments))
        if any(segment.startswith((".;", "..;")) for segment in path.split("/")):
            return Refused(
                "the path holds a dot segment with parameters that is written as an escape, which most engines refuse with 400"
            )
        path = _resolved(path)
    if options.merge_slashes:
        while "//" in path:
            path = path.replace("//", "/")
    return path


def _refused(path: str, options: HttpOptions) -> str:
    """Why no engine takes the path, or nothing."""
    low = path.lower()
    if any(not "!" <= char <= "~" for char in path):
        return "the path holds a blank, a control character or one beyond ASCII, which the listener refuses with 400"
    if options.escaped_slashes == "reject" and ("%2f" in low or "%5c" in low):
        return "the path holds an escaped slash (%2F or %5C), which the listener refuses with 400"
    if options.normalise_path and "%00" in low:
        return "the path holds %00, which the listener refuses with 400"
    if options.normalise_path and any(not _HEX.issuperset(rest[:2]) or len(rest) < 2 for rest in path.split("%")[1:]):
        return (
            "the path holds a percent sign without two hexadecimal digits behind it, which most engines refuse with 400"
        )
    return ""


def _bare(segment: str) -> str:
    """A dot segment without its parameters."""
    name = segment.partition(";")[0]
    return name if name in {".", ".."} else segment


def _unescaped(path: str) -> str:
    """Escapes of characters that need none are undone; all others stay as they are written."""
    out, at = [], 0
    while at < len(path):
        code = path[at + 1 : at + 3]
        plain = chr(int(code, 16)) if path[at] == "%" and len(code) == 2 and _HEX.issuperset(code) else ""
        out.append(plain if plain in _UNRESERVED else path[at])
        at += 3 if plain in _UNRESERVED else 1
    return "".join(out)


def _resolved(path: str) -> str:
    """Without `.` and `..` segments (RFC 3986, section 5.2.4)."""
    segments: list[str] = []
    parts = path.split("/")[1:]
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if part == "..":
            segments = segments[:-1]
        if part not in {".", ".."}:
            segments.append(part)
        elif last:
            segments.append("")
    return "/" + "/".join(segments)
