"""How a request's target and host are read, written down once more and independently of every engine and of the product (docs/paths.md, decision 0016).

Comes in: the target of a request line, as bytes. Goes out: the path that routes see and backends get, or the word for why there is none.
"""

import re
from itertools import accumulate
from typing import NamedTuple

UNRESERVED = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
RAW = {b'"': b"%22", b"<": b"%3C", b">": b"%3E", b"^": b"%5E", b"`": b"%60", b"{": b"%7B", b"|": b"%7C", b"}": b"%7D"}
LONGEST = 15_000


class Path(NamedTuple):
    """A path and its query (with the question mark). `above`: on its way there were more `..` than segments."""

    path: str
    query: str = ""
    above: bool = False


class Refusal(NamedTuple):
    """Nobody sees this request. Some reasons are ours to name, because an engine cannot hold to them (`LOOSE` in `meaning_engines`)."""

    why: str


def read(target: bytes) -> Path | Refusal:
    """The path of a target in origin form."""
    path, mark, query = target.partition(b"?")
    refused = _refused(path, target)
    if refused:
        return Refusal(refused)
    path = b"/".join(_bare(segment) for segment in path.split(b"/"))
    path = path.replace(b"\\", b"/")
    for raw, escaped in RAW.items():
        path = path.replace(raw, escaped)
    path = re.sub(rb"%([0-9A-Fa-f]{2})", _decoded, path)
    segments = path.split(b"/")[1:]
    if any(segment.startswith((b".;", b"..;")) for segment in segments):
        return Refusal("hidden-dots")
    walked, above = _walked(segments), _above([segment for segment in segments if segment])
    return Path((b"/" + b"/".join(_merged(walked))).decode(), (mark + query).decode(), above)


def _refused(path: bytes, target: bytes) -> str:
    if any(byte > 0x7F for byte in target):
        return "eight-bit"
    if any(not 0x21 <= byte <= 0x7E for byte in target) or b"#" in target:
        return "character"
    if not path.startswith(b"/"):
        return "form"
    if len(target) > LONGEST:
        return "length"
    if re.search(rb"%(2f|5c|00)", path, re.IGNORECASE):
        return "slash"
    return "percent" if re.search(rb"%(?![0-9A-Fa-f]{2})", path) else ""


def _bare(segment: bytes) -> bytes:
    """A dot segment without its parameters."""
    name = segment.split(b";", 1)[0]
    return name if name in (b".", b"..") else segment


def _decoded(found: re.Match[bytes]) -> bytes:
    char = bytes([int(found[1], 16)])
    return char if char in UNRESERVED else found[0]


def _walked(segments: list[bytes]) -> list[bytes]:
    """RFC 3986, 5.2.4: an empty segment is one, and above the root is the root."""
    kept: list[bytes] = []
    for segment in segments:
        if segment == b"..":
            kept = kept[:-1]
        elif segment != b".":
            kept.append(segment)
    return [*kept, b""] if segments[-1] in (b".", b"..") else kept


def _above(segments: list[bytes]) -> bool:
    depths = accumulate(-1 if segment == b".." else 1 for segment in segments if segment != b".")
    return any(depth < 0 for depth in depths)


def _merged(segments: list[bytes]) -> list[bytes]:
    return [segment for segment in segments[:-1] if segment] + segments[-1:]


def backend_reading(path: str, *, parameters: bool) -> str:
    """What a backend makes of a path that follows RFC 3986 and decodes everything once; with `parameters`, one that cuts these off every dot segment first."""
    segments = [_plain(segment, parameters=parameters) for segment in path.partition("?")[0].split("/")]
    return "/" + b"/".join(
        _merged(_walked("/".join(segments).replace("\\", "/").encode("latin-1").split(b"/")[1:]))
    ).decode("latin-1")


def _plain(segment: str, *, parameters: bool) -> str:
    name, mark, behind = (
        re.sub(r"%([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16)), part) for part in segment.partition(";")
    )
    return name if parameters and name in (".", "..") else name + mark + behind
