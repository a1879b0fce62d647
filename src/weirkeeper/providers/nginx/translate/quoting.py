"""The one way for a text to become a word of the file that NGINX is started from. In: a text. Out: itself, where it has nothing but harmless characters; else ``Unspeakable``.

Nothing that a tenant writes for a route ever stands in that file: it goes as JSON to a shared dictionary. What does stand there are addresses, host names of listeners, names of
ciphers and of files of ours. NGINX would see variables in ``$``, words in blanks and ends in ``;``, ``{`` and ``}``, so none of these passes, quoted or not.
"""

import re

_HARMLESS = re.compile(r"[A-Za-z0-9._:/@*+!=,\[\]-]+", re.ASCII)


class Unspeakable(ValueError):
    """The text holds a character that means something to NGINX."""


def word(text: str) -> str:
    """One word of a directive."""
    if _HARMLESS.fullmatch(text) is None:
        raise Unspeakable(repr(text[:80]))
    return text
