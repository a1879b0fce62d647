"""How annotation values are read: text in, a typed value or ``Refused`` out. Allow-lists only; no pattern of a tenant is run."""

import ipaddress
import re
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from weirkeeper.controllers.ingress.annotations.options import HashKey, PodPort, Target, Url
from weirkeeper.controllers.shared.hostnames import hostname
from weirkeeper.controllers.shared.regexes import Regex, checked_regex
from weirkeeper.model.text import (
    Authority,
    Cidr,
    CipherName,
    CookieName,
    HeaderName,
    HeaderValue,
    Hostname,
    Label,
    Method,
    Name,
    PathText,
    Realm,
    Refused,
    WebOrigin,
    parse,
    shown,
)
from weirkeeper.model.value import ByteCount, Milliseconds, seconds

T = TypeVar("T")
Parser = Callable[[str], T | Refused]

LONGEST = 8192
MOST_ITEMS = 1000


def boolean(text: str) -> bool | Refused:
    """Whether it is true, as Go's ParseBool reads them."""
    low = text.strip().lower()
    if low in {"true", "t", "1"}:
        return True
    return False if low in {"false", "f", "0"} else Refused(f'{shown(text)} is neither "true" nor "false"')


def on_off(text: str) -> bool | Refused:
    """Whether it is on."""
    low = text.strip().lower()
    return low == "on" if low in {"on", "off"} else Refused(f'{shown(text)} is neither "on" nor "off"')


def between(low: int, high: int) -> Parser[int]:
    """A whole number within limits."""

    def number(text: str) -> int | Refused:
        digits = text.strip()
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 12 and low <= int(digits) <= high):
            return Refused(f"{shown(text)} is not a whole number from {low} to {high}")
        return int(digits)

    return number


def one_of(*words: str, upper: bool = False) -> Parser[str]:
    """One of some words."""

    def word(text: str) -> str | Refused:
        given = text.strip().upper() if upper else text.strip()
        return given if given in words else Refused(f"{shown(text)} is none of {', '.join(words)}")

    return word


def a(kind: type[T]) -> Parser[T]:
    """A text of that type."""
    return lambda text: parse(kind, text.strip())


header_name: Parser[HeaderName] = a(HeaderName)
header_value: Parser[HeaderValue] = a(HeaderValue)
cookie_name: Parser[CookieName] = a(CookieName)
method: Parser[Method] = lambda text: parse(Method, text.strip().upper())  # noqa: E731 - stands in line with its siblings
path: Parser[PathText] = a(PathText)
realm: Parser[Realm] = a(Realm)
authority: Parser[Authority] = a(Authority)
host: Parser[Hostname] = lambda text: hostname(text.strip()) if text.strip() else Refused("is empty")  # noqa: E731


def listed(one: Parser[T]) -> Parser[tuple[T, ...]]:
    """Values separated by commas; one wrong value spoils all."""

    def values(text: str) -> tuple[T, ...] | Refused:
        found: list[T] = []
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not parts or len(parts) > MOST_ITEMS:
            return Refused(f"lists nothing, or more than {MOST_ITEMS} values")
        for part in parts:
            value = one(part)
            if isinstance(value, Refused):
                return value
            found.append(value)
        return tuple(found)

    return values


def cidr(text: str) -> Cidr | Refused:
    """An address or a range."""
    try:
        return parse(Cidr, str(ipaddress.ip_network(text.strip(), strict=False)))
    except ValueError:
        return Refused(f"{shown(text)} is not an address or a range in CIDR notation")


def origin(text: str) -> WebOrigin | Refused:
    """A web origin."""
    return parse(WebOrigin, text.strip().lower())


def duration(text: str) -> Milliseconds | Refused:
    """Seconds, bare or with a unit (ms, s, m, h, d)."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}
    trimmed = text.strip().lower()
    digits = trimmed.rstrip("mshd")
    unit = trimmed[len(digits) :]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9 and unit in units):
        return Refused(f"{shown(text)} is not a number of seconds")
    return seconds(min(int(digits) * units[unit], 31_536_000))


def size(text: str) -> ByteCount | Refused:
    """Bytes, with k, m or g."""
    units = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
    trimmed = text.strip().lower()
    digits = trimmed.rstrip("kmg")
    unit = trimmed[len(digits) :]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12 and unit in units):
        return Refused(f'{shown(text)} is not a size such as "8m"')
    return ByteCount(int(digits) * units[unit])


def codes(text: str) -> tuple[int, ...] | Refused:
    """Status codes from 400 to 599, separated by commas."""
    return listed(between(400, 599))(text)


def text_name(text: str) -> str | Refused:
    """``name`` or ``namespace/name``."""
    trimmed = text.strip()
    parts = trimmed.split("/")
    fine = len(parts) <= 2 and all(p and all(c.isascii() and (c.isalnum() or c in "-.") for c in p) for p in parts)
    return trimmed if fine and len(trimmed) <= 320 else Refused(f"{shown(text)} is not a name or namespace/name")


def regex(text: str) -> Regex | Refused:
    """A regular expression in RE2 syntax."""
    return checked_regex(text)


def url(text: str) -> Url | Refused:
    """An absolute http(s) URL; ``$request_uri`` may end it, and no other variable may stand in it."""
    trimmed = text.strip()
    plain = trimmed.removesuffix("$request_uri").removesuffix("$uri")
    typed = parse(HeaderValue, plain)
    if isinstance(typed, Refused):
        return typed
    if "$" in plain or "\\" in plain:
        return Refused(f"{shown(text)} has a variable; only $request_uri at the end means something here")
    try:
        parts = urlsplit(plain)
        port = parts.port
    except ValueError:
        return Refused(f"{shown(text)} is not a URL")
    if parts.scheme not in {"http", "https"} or parts.username or not parts.hostname:
        return Refused(f"{shown(text)} is not an absolute http or https URL without a user")
    return _url(parts, port or (443 if parts.scheme == "https" else 80), typed, keeps=plain != trimmed)


def _url(parts: SplitResult, port: int, text: HeaderValue, *, keeps: bool) -> Url | Refused:
    name = parse(Hostname, (parts.hostname or "").lower())
    where = parse(PathText, parts.path or "/")
    query = parse(HeaderValue, parts.query) if parts.query else None
    if isinstance(name, Refused) or "*" in (name or ""):
        return Refused(f"{shown(parts.hostname or '')} is not a host name")
    if isinstance(where, Refused) or isinstance(query, Refused):
        return Refused("has a path or query with characters that must be percent-encoded")
    return Url(scheme=parts.scheme, host=name, port=port, path=where, query=query, text=text, keeps_request=keeps)


def sign_in(text: str) -> HeaderValue | Refused:
    """Where to sign in. ``https://$host/x`` becomes ``/x`` (the same host), and a redirect parameter with a variable is left to us."""
    trimmed = text.strip()
    for own in (
        "https://$host",
        "http://$host",
        "$scheme://$host",
        "https://$http_host",
        "http://$http_host",
        "$scheme://$http_host",
    ):
        if trimmed.startswith((own + "/", own + "?")):
            trimmed = trimmed[len(own) :]
            break
    base, mark, query = trimmed.partition("?")
    kept = [pair for pair in query.split("&") if pair and not _own_url(pair.partition("=")[2])]
    joined = base + (mark + "&".join(kept) if kept else "")
    if "$" in joined:
        return Refused(f"{shown(text)} has a variable that means nothing here")
    if not joined.startswith("/") or joined.startswith("//"):
        checked = url(joined)
        if isinstance(checked, Refused):
            return checked
    return parse(HeaderValue, joined)


def _own_url(value: str) -> bool:
    known = (
        "$escaped_request_uri",
        "$request_uri",
        "$scheme",
        "$host",
        "$http_host",
        "$best_http_host",
        "://",
        "%3A%2F%2F",
    )
    if "$" not in value:
        return False
    for word in known:
        value = value.replace(word, "")
    return value in {"", "https", "http"}


def target(text: str) -> Target | Refused:
    r"""A path with ``$1`` to ``$9``."""
    trimmed = text.strip()
    if not trimmed.startswith(("/", "$")):
        return Refused(f"{shown(text)} is not a path; to send clients elsewhere use permanent-redirect")
    typed = parse(HeaderValue, trimmed)
    if isinstance(typed, Refused):
        return typed
    highest, out, at = 0, [], 0
    while at < len(trimmed):
        c = trimmed[at]
        if c == "$":
            digit = trimmed[at + 1 : at + 2]
            if not (digit.isascii() and digit.isdigit() and digit != "0"):
                return Refused(f"{shown(text)} has a variable; only $1 to $9 mean something here")
            highest = max(highest, int(digit))
            out.append(f"\\{digit}")
            at += 1
        elif c in "\\ \t":
            return Refused(f"{shown(text)} has a backslash or a space")
        else:
            out.append(c)
        at += 1
    return Target(text=HeaderValue("".join(out)), highest=highest)


def hash_key(text: str) -> HashKey | Refused:
    """One variable of ingress-nginx."""
    simple = {
        "$remote_addr": "ip",
        "$binary_remote_addr": "ip",
        "$host": "host",
        "$http_host": "host",
        "$request_uri": "uri",
        "$uri": "uri",
    }
    trimmed = text.strip().replace("${", "$").replace("}", "")
    if trimmed in simple:
        return HashKey(on=simple[trimmed])
    for prefix, on in (("$http_", "header"), ("$cookie_", "cookie"), ("$arg_", "query")):
        if trimmed.startswith(prefix):
            raw = trimmed.removeprefix(prefix)
            name = parse(HeaderName, raw.replace("_", "-") if on == "header" else raw)
            if not isinstance(name, Refused) and "$" not in raw:
                return HashKey(on=on, name=name)
    return Refused(f"{shown(text)} is not one of $remote_addr, $host, $request_uri, $http_*, $cookie_*, $arg_*")


def retry_on(text: str) -> tuple[str, ...] | Refused:
    """Conditions of proxy_next_upstream."""
    known = {
        "error",
        "timeout",
        "invalid_header",
        "http_500",
        "http_502",
        "http_503",
        "http_504",
        "http_403",
        "http_404",
        "http_429",
        "non_idempotent",
        "off",
    }
    words = tuple(text.split())
    wrong = [w for w in words if w not in known]
    return Refused(f"{shown(wrong[0])} is no condition") if wrong else words


def replacement(text: str) -> tuple[HeaderValue, HeaderValue] | Refused | None:
    """Two values separated by a space, or ``off``."""
    if text.strip() in {"off", ""}:
        return None
    parts = text.split()
    if len(parts) != 2 or any("$" in p or p.startswith("~") for p in parts):
        return Refused(f"{shown(text)} is not two literal values separated by a space")
    old, new = (parse(HeaderValue, p) for p in parts)
    if isinstance(old, Refused):
        return old
    return new if isinstance(new, Refused) else (old, new)


def location(text: str) -> HeaderValue | Refused | None:
    """A literal beginning of a Location, or ``off`` or ``default``."""
    trimmed = text.strip()
    if trimmed in {"off", "default", ""}:
        return None
    return (
        Refused(f"{shown(text)} is not literal text")
        if "$" in trimmed or trimmed.startswith("~")
        else parse(HeaderValue, trimmed)
    )


def literal(text: str) -> HeaderValue | Refused:
    """A header value without variables."""
    trimmed = text.strip()
    if "$" in trimmed:
        return Refused(f"{shown(text)} has a variable; only literal text means something here")
    return parse(HeaderValue, trimmed)


def ciphers(text: str) -> tuple[CipherName, ...] | Refused:
    """Names separated by colons."""
    return listed(a(CipherName))(text.replace(":", ",").replace("!", "-"))


def protocols(text: str) -> tuple[str, ...] | Refused:
    """TLS versions separated by spaces."""
    known = {"TLSv1": "1.0", "TLSv1.1": "1.1", "TLSv1.2": "1.2", "TLSv1.3": "1.3"}
    words = text.split()
    if not words or any(w not in known for w in words):
        return Refused(f"{shown(text)} lists something that is not TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3")
    return tuple(sorted(known[w] for w in words))


def same_site(text: str) -> str | Refused:
    """None, Lax or Strict."""
    return one_of("None", "Lax", "Strict")(text.strip().capitalize())


def pod_ports(text: str) -> tuple[PodPort, ...] | Refused:
    """A port name or number; or several as NAME=PORT, each for the workload of that name."""
    found = []
    for part in text.split(","):
        workload, equals, port = part.strip().rpartition("=")
        typed = parse(Name, workload.strip()) if equals else ""
        read = _pod_port(port.strip())
        if isinstance(typed, Refused) or read is None:
            return Refused(f"{shown(part.strip())} is neither a port nor of the form WORKLOAD=PORT")
        found.append(msgspec.structs.replace(read, workload=typed))
    return tuple(found)


def _pod_port(text: str) -> PodPort | None:
    if re.fullmatch(r"[0-9]{1,5}", text, re.ASCII):
        return PodPort(number=int(text)) if 0 < int(text) <= 65535 else None
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?", text, re.ASCII):  # core/v1, IANA_SVC_NAME
        return None
    return PodPort(name=Label(text))


def any_text(text: str) -> str | Refused:
    """Anything; for names whose value means nothing here."""
    return text
