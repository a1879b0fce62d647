"""Names of what a migration makes: readable, legal in Kubernetes, and each once.

Comes in: names, hosts. Goes out: RFC 1123 subdomains of at most so many characters, which all kinds here allow for names of objects and of listeners.
"""

import hashlib
import re

LONGEST = 253
_STRANGE = re.compile(r"[^a-z0-9.-]+", re.ASCII)
_EDGES = re.compile(r"(^|\.)[.-]+|[.-]+(\.|$)", re.ASCII)


def host_word(host: str) -> str:
    """A host as a part of a name."""
    return "any" if host == "*" else host.replace("*.", "wildcard.", 1)


class Names:
    """The names that are taken; lives for one migration."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, ...], set[str]] = {}

    def new(self, among: tuple[str, ...], *parts: str, longest: int = LONGEST) -> str:
        """A name made of these parts that nothing else ``among`` these has."""
        wished = _legal("-".join(part for part in parts if part))
        taken = self._taken.setdefault(among, set())
        name, number = _cut(wished, longest), 1
        while name in taken:
            number += 1
            name = _cut(f"{wished}-{number}", longest)
        taken.add(name)
        return name


def _legal(text: str) -> str:
    lower = _STRANGE.sub("-", text.lower())
    while (plain := _EDGES.sub(r"\1\2", lower)) != lower:
        lower = plain
    return lower or "x"


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{text[: longest - 9].rstrip('.-')}-{digest}"
