"""Whose fault it is when HAProxy refuses a configuration. Pure.

Comes in: what HAProxy wrote to its log, and the lines that it was given. Goes out: the names of sections and ports that it complains about, each with its words.
"""

import re
from collections.abc import Iterator, Sequence

from weirkeeper.model.text import Sentence
from weirkeeper.providers.haproxy.translate.names import CONFIGURATION
from weirkeeper.providers.haproxy.translate.skeleton import Line

_PLACE = re.compile(r".*?\[" + re.escape(CONFIGURATION) + r":([0-9]+)\].*", re.ASCII | re.DOTALL)
_SECTION = re.compile(r".*?(?:backend|[Pp]roxy) '([^' ]{1,200})'.*", re.ASCII | re.DOTALL)
_PORT = re.compile(r".*?(?:frontend |[Pp]roxy '?)(port-[0-9]{1,5})\b.*", re.ASCII | re.DOTALL)


def blamed(complaints: str, lines: Sequence[Line]) -> dict[str, Sentence]:
    """Sections and ports by name, with the first complaint about each."""
    found: dict[str, Sentence] = {}
    for text in complaints.splitlines():
        if "[ALERT]" in text:
            for name in _named(text, lines):
                found.setdefault(name, said(text))
    return found


def said(complaint: str) -> Sentence:
    """HAProxy's words, without its own marks."""
    text = complaint.partition(") : ")[2] or complaint
    return Sentence("".join(char for char in text if char.isprintable())[:1000])


def _named(text: str, lines: Sequence[Line]) -> Iterator[str]:
    if (port := _PORT.fullmatch(text)) is not None:
        yield port.group(1)
    if (section := _SECTION.fullmatch(text)) is not None:
        yield section.group(1)
    if (place := _PLACE.fullmatch(text)) is not None and 0 < int(place.group(1)) <= len(lines):
        yield lines[int(place.group(1)) - 1].section
