"""Ways to write a path, as many as we could think of: all bytes, dots, slashes, escapes, parameters, before, in and behind a guarded path.

Nothing here says what any of them means; that is `meaning_reading`.
"""

from collections.abc import Iterator

GUARDED = ("/admin", "/intern", "/asked", "/only")
BEFORE = (
    "/.", "/./.", "/%2e", "/%2E", "/..", "/../..", "/x/..", "/x/%2e%2e", "/x/%2E%2e", "/x/.%2e", "/x/%2e.", "/x/y/../..", "/x/./..", "/x//..", "/x//../..",
    "/", "//", "///", "/./", "/.//.", "/x/..//", "/x/../.", "\\", "/\\", "/x\\..", "/x/..\\", "/x\\%2e%2e", "/%2f", "/%2F", "/%5c", "/%5C",
    "/x%2f..", "/x%2F%2e%2e", "/x/..%2f", "/x/..%5c", "/x%5c..", "/x/..;", "/x/..;a", "/x/..;a=b;c", "/x/.;/..", "/.;", "/..;", "/x/%2e%2e;", "/x/.%2e;a=b", "/x/..%3b", "/x/..%3B/..",
    "/%252e%252e", "/%252f", "/x/%25%32%65%25%32%65", "/x/%%32e%%32e", "/x/%2%65%2%65", "/x/%u002e%u002e", "/x/%c0%ae%c0%ae", "/x/%c0%af", "/%ef%bc%8f", "/x/..%00", "/%00", "/x/..%01",
    "/x/...", "/x/....", "/;", "/;x=1", "/;/..", "/x;/..", "/x;a=../..", "/%20", "/%09", "/+", "/~", "/*", "/:", "/@", "/$", "/,",
)  # fmt: skip
BEHIND = (
    "", "/", "//", "///", "/.", "/./", "/%2e", "/..", "/../", "/../admin", "/../intern/..", "/x", "/x/", "/x/y/../..", "/x/../../admin", ";", ";x", ";x=1", ";x/y", ";/..", ";..", "/;", "/;/x",
    "/..;", "/..;/admin", "/..;/x", "/x/..;/..;/intern", "/%2e%2e;/x", ".", "..", "...", "./", "../", "%2e", ".json", "~", "*", "+", "%20", "%09", "%0a", "%0d%0a", "%00", "%00.html", "%23", "%3f", "%3b", "%25",
    "%2f", "%2F", "%2fx", "%5c", "%5Cx", "\\", "\\x", "\\..\\x", "\\..", "?", "?x", "?/../x", "?x=/admin", "?%2f", "??", "#", "#x", "?x#y", "/%2e%2e/only", "/%61/..", "%", "%2", "%zz", "/%zz/..", "@", ":80", "//..", "//../..", "/x//..//y",
)  # fmt: skip


def spellings() -> Iterator[str]:
    """Targets, none twice; as latin-1 each is the bytes of a request line."""
    yield from dict.fromkeys(_all())


def _all() -> Iterator[str]:
    for path in GUARDED:
        yield from (before + path for before in BEFORE)
        yield from (before + path + "/x" for before in BEFORE)
        yield from (path + behind for behind in BEHIND)
        yield from _letters(path)
    yield from (before + "/admin" + behind for before in BEFORE[::3] for behind in BEHIND[::4])
    yield from (f"/x{chr(byte)}y" for byte in range(256) if chr(byte) not in " \r\n")
    yield from (f"/x%{byte:02x}y" for byte in range(256))
    yield from (f"/x%{byte:02X}y" for byte in range(256))
    yield from (
        "/",
        "//",
        "///",
        "/.",
        "/..",
        "*",
        "admin",
        "?",
        "/?",
        "/" + "a" * 4000,
        "/" + "a" * 70_000,
        "/" + "a/../" * 1000 + "admin",
        "/" * 3000 + "admin",
        "/" + "./" * 2000 + "only",
    )


def _letters(path: str) -> Iterator[str]:
    """Letters as escapes, one at a time and all, in both cases, also escaped twice."""
    for place, char in enumerate(path[1:], 1):
        for code in (f"%{ord(char):02x}", f"%{ord(char):02X}", f"%25{ord(char):02x}", char.upper()):
            yield path[:place] + code + path[place + 1 :]
    yield "/" + "".join(f"%{ord(char):02x}" for char in path[1:])
    yield "/" + "".join(f"%{ord(char):02x}" for char in path[1:]) + "/%2e/x"
    yield path.upper()
    yield path.title()
