r"""Regular expressions of tenants as HAProxy's engine (PCRE2) is given them: so that none can hold a thread, and none that could not be decided lets anybody by.

Comes in: an RE2 expression, checked where it was read to mean the same in every dialect. Goes out: an expression for PCRE2, which backtracks. ``(*LIMIT_MATCH=)`` at its head ends
the search after so many steps, which a text of a tenant can make fewer only (pcre2pattern, "Setting match resource limits"). A search that was ended says neither yes nor no,
and HAProxy takes that for a no: so each condition comes with its opposite, and a request for which neither holds is refused.
"""

from collections.abc import Iterator

STEPS = 10_000
"""At most about 20 ms for the worst expression on the longest path."""
_LIMIT = f"(*LIMIT_MATCH={STEPS})"
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_-~%=&!,;:@")
_OPTIONAL = frozenset("*?{")


def whole(pattern: str, *, case_sensitive: bool = True, prefix: bool = False) -> str:
    """Holds for a text that the expression takes as a whole, or from its beginning."""
    return f"{_LIMIT}^{_body(pattern, case_sensitive, prefix)}"


def unlike(pattern: str, *, case_sensitive: bool = True, prefix: bool = False) -> str:
    """Holds for every text that ``whole`` does not hold for."""
    return f"{_LIMIT}^(?!{_body(pattern, case_sensitive, prefix)})"


def anywhere(pattern: str) -> str:
    """Holds for a part of a text."""
    return _LIMIT + pattern


def literal_start(pattern: str) -> str:
    """How every text begins that the expression takes; less than that, where it is not plain to see."""
    if "|" in pattern:  # inside of a group it would do no harm; this is to be sure
        return ""
    return "".join(_letters(pattern.removeprefix("^")))


def _body(pattern: str, case_sensitive: bool, prefix: bool) -> str:
    return f"{'(?:' if case_sensitive else '(?i:'}{pattern}){'' if prefix else chr(92) + 'z'}"


def _letters(pattern: str) -> Iterator[str]:
    for place, char in enumerate(pattern):
        if char not in _PLAIN or pattern[place + 1 : place + 2] in _OPTIONAL:
            return
        yield char
