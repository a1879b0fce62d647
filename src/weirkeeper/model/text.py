"""Typed strings: every string that a tenant can influence has a type, a check and a list of places it may go.

Comes in: raw text from an object. Goes out: the same text under its type, or a ``Refused`` with the reason. Nothing else in
the product may turn ``str`` into one of these types; a test fails for any string field of the model without one.

The checks are allow-lists over ASCII, applied with ``fullmatch`` only: ``$`` and ``match`` let a newline through, and
deny-lists never ended (CVE-2021-25748, CVE-2024-7646, CVE-2026-1580). A check is the first wall. The second is the one
serialiser of each engine, which sends these values as protobuf or JSON leaves and escapes what the engine would interpret.
"""

import re
from typing import NewType, TypeVar, cast

import msgspec

Id = NewType("Id", str)
Name = NewType("Name", str)
Hostname = NewType("Hostname", str)
PathText = NewType("PathText", str)
RegexText = NewType("RegexText", str)
Substitution = NewType("Substitution", str)
HeaderName = NewType("HeaderName", str)
HeaderValue = NewType("HeaderValue", str)
CookieName = NewType("CookieName", str)
QueryName = NewType("QueryName", str)
QueryValue = NewType("QueryValue", str)
Method = NewType("Method", str)
IpAddress = NewType("IpAddress", str)
Cidr = NewType("Cidr", str)
Authority = NewType("Authority", str)
WebOrigin = NewType("WebOrigin", str)
CipherName = NewType("CipherName", str)
Realm = NewType("Realm", str)
UserName = NewType("UserName", str)
PasswordHash = NewType("PasswordHash", str)
BodyText = NewType("BodyText", str)
Sentence = NewType("Sentence", str)
FieldPath = NewType("FieldPath", str)
Timestamp = NewType("Timestamp", str)
Label = NewType("Label", str)
Digest = NewType("Digest", str)
Uid = NewType("Uid", str)
PemText = NewType("PemText", str)

T = TypeVar("T")


class TextType(msgspec.Struct, frozen=True, kw_only=True):
    """One string type: what it is, what it may contain, how long it may be, and the sinks that may receive it."""

    name: str
    what: str
    pattern: str
    longest: int
    sinks: tuple[str, ...]


class Refused(msgspec.Struct, frozen=True):
    """Why a text is not of its type. A value, to be shown to the user; never an exception."""

    why: str


_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_VISIBLE = r"[\x21-\x7e]"
_PRINTABLE = r"[\x20-\x7e]"
_ENGINE = ("envoy.protobuf", "haproxy.quoted", "nginx.quoted", "display")

TEXT_TYPES: dict[object, TextType] = {}


def _type(kind: object, what: str, pattern: str, longest: int, *sinks: str) -> None:
    name = str(getattr(kind, "__name__", kind))
    TEXT_TYPES[kind] = TextType(name=name, what=what, pattern=pattern, longest=longest, sinks=sinks or _ENGINE)


_type(Id, "an id of ours", r"[\x21-\x7e]{1,512}", 512)
_type(Name, "a Kubernetes object name", rf"{_LABEL}(?:\.{_LABEL})*", 253)
_type(Hostname, "a host name, exact, `*.suffix` or `*`", rf"\*|(?:\*\.)?{_LABEL}(?:\.{_LABEL})*", 253)
_type(
    PathText, "an absolute path without query or fragment", r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*", 4096
)
_type(RegexText, "a regular expression in RE2 syntax", rf"{_VISIBLE}(?:{_PRINTABLE}*{_VISIBLE})?", 1024)
_type(Substitution, "a replacement with \\1 to \\9", r"(?:[\x21-\x5b\x5d-\x7e]|\\[0-9\\])*", 2048)
_type(HeaderName, "a header name (RFC 9110 token)", _TOKEN, 256)
_type(
    HeaderValue, "a header value (visible ASCII, inner spaces)", rf"(?:{_VISIBLE}(?:[\x20-\x7e\t]*{_VISIBLE})?)?", 4096
)
_type(CookieName, "a cookie name (RFC 6265 token)", _TOKEN, 256)
_type(QueryName, "a query parameter name", rf"{_VISIBLE}+", 256)
_type(QueryValue, "a query parameter value", rf"{_PRINTABLE}*", 1024)
_type(Method, "an HTTP method", r"[A-Z][A-Z-]{0,31}", 32)
_type(IpAddress, "an IP address", r"[0-9A-Fa-f:.]{2,45}", 45)
_type(Cidr, "an address range in CIDR notation", r"[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?", 49)
_type(Authority, "host and optional port", r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", 261)
_type(
    WebOrigin,
    "a web origin, `*` allowed inside the host",
    r"\*|[a-z][a-z0-9+.-]*://[A-Za-z0-9.*_-]+(?::[0-9]{1,5})?",
    300,
)
_type(CipherName, "a cipher or group name of OpenSSL", r"[A-Za-z0-9_+-]+", 64)
_type(Realm, "a realm", r"[\x20\x21\x23-\x5b\x5d-\x7e]*", 256)
_type(UserName, "a user name without colon", r"[\x21-\x39\x3b-\x7e]+", 256)
_type(PasswordHash, "a password hash as htpasswd writes it", r"[\x21-\x39\x3b-\x7e]+", 256)
_type(BodyText, "a short response body", r"[\x09\x0a\x0d\x20-\x7e]*", 8192)
_type(Sentence, "a sentence for people", r"[^\x00-\x08\x0b-\x1f\x7f]*", 16384, "display")
_type(FieldPath, "a path inside an object", r"[^\x00-\x1f\x7f]*", 1024, "display")
_type(Timestamp, "an RFC 3339 time", r"[0-9TZ:.+-]{0,40}", 40, "display")
_type(Label, "a label or annotation text", r"[^\x00-\x1f\x7f]*", 4096, "display", "kubernetes")
_type(Digest, "a hexadecimal digest", r"[0-9a-f]{0,128}", 128, "envoy.protobuf", "display")
_type(PemText, "PEM blocks", r"[\x0a\x0d\x20-\x7e]*", 262144, "envoy.protobuf", "file")
_type(Uid, "an object's uid", r"[A-Za-z0-9-]{0,64}", 64, "display")

_COMPILED = {kind: re.compile(text.pattern, re.ASCII) for kind, text in TEXT_TYPES.items()}


def parse(kind: type[T], value: str) -> T | Refused:
    """The value under its type, or why not. ``kind`` is one of the types above."""
    text = TEXT_TYPES[kind]
    if len(value) > text.longest:
        return Refused(f"is {len(value)} characters long; {text.what} has at most {text.longest}")
    if _COMPILED[kind].fullmatch(value) is None:
        return Refused(f"{shown(value)} is not {text.what}")
    return cast(T, value)


def trusted(kind: type[T], value: str) -> T:
    """The value under its type, for text that we made ourselves; a wrong one is a bug of ours."""
    checked = parse(kind, value)
    if isinstance(checked, Refused):
        raise AssertionError(f"{kind}: {checked.why}")  # noqa: TRY004
    return checked


def shown(value: str, longest: int = 80) -> str:
    """The text quoted for a message: printable ASCII only, cut, so that it can forge no line and no terminal code."""
    cut = value if len(value) <= longest else value[:longest] + "…"
    return '"' + "".join(c if " " <= c <= "~" or c == "…" else f"\\u{ord(c):04x}" for c in cut) + '"'
