"""The one way for a text to become a word of the file that NGINX is started from. In: a text. Out: itself, where it has nothing but harmless characters; else ``Unspeakable``.

Nothing that a tenant writes for a route of HTTP ever stands in that file: it goes as JSON to a shared dictionary. What does stand there are addresses, host names of listeners, the names and endpoints of
routes of bytes, names of ciphers and of files of ours. NGINX would see variables in ``$``, words in blanks and ends in ``;``, ``{`` and ``}``, so none of these passes, quoted or not.
"""

import re

_HARMLESS = re.compile(r"[A-Za-z0-9._:/@*+!=,\[\]-]+", re.ASCII)


class Unspeakable(ValueError):
    """The text holds a character that means something to NGINX."""


_NAME = re.compile(r"(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*", re.ASCII)


def name(text: str) -> str:
    """A host name as the row of a map: one of a single label could be a word of maps themselves (``default``, ``include``). NGINX's parser takes one of the two backslashes, and the map the other."""
    if _NAME.fullmatch(text) is None:
        raise Unspeakable(repr(text[:80]))
    return text if "." in text else "\\\\" + text


def word(text: str) -> str:
    """One word of a directive."""
    if _HARMLESS.fullmatch(text) is None:
        raise Unspeakable(repr(text[:80]))
    return text
