"""Paths as requests come: what every source of routes does to the paths that it matches. Pure text in, text out."""

_HEX = frozenset("0123456789abcdefABCDEF")
_UNRESERVED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")


def decoded(text: str) -> str:
    """The path as requests come after normalisation: what need not be encoded is not (RFC 3986, 6.2.2.2)."""
    head, *pieces = text.split("%")
    made = [head]
    for piece in pieces:
        code, rest = piece[:2], piece[2:]
        plain = chr(int(code, 16)) if len(code) == 2 and set(code) <= _HEX else ""
        made.append(plain + rest if plain in _UNRESERVED and plain else f"%{piece}")
    return "".join(made)


def never_asked_for(text: str) -> str | None:
    """What the API server refuses too: paths that no request has after normalisation."""
    low = text.lower()
    if "//" in text:
        return "has //"
    if "/./" in text or "/../" in text or text.endswith(("/.", "/..")):
        return "has a . or .. segment"
    return "has an encoded slash" if "%2f" in low else None
