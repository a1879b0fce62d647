"""The one way for a text to become a word of HAProxy's: in a configuration file, in a sample expression, in a map, on the runtime socket.

Comes in: any text. Goes out: one word that HAProxy reads back as that text, whatever is in it; or ``Unspeakable``, where no writing of it exists. Nothing else in
this package writes a text of a tenant. Strong quotes keep everything but themselves literal (configuration manual, 2.2 "Quoting and escaping").
"""

import string

_BARE = frozenset(string.ascii_letters + string.digits + "-_./:,")
_ESCAPED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Unspeakable(ValueError):
    """The text holds a character that HAProxy cannot be told."""


def word(text: str) -> str:
    """One literal word of a configuration file."""
    if text and all(char in _BARE for char in text):
        return text
    parts, plain = [], ""
    for char in text:
        if char == "'" or char in _ESCAPED:
            parts += [f"'{plain}'"] if plain else []
            parts.append("\\'" if char == "'" else _ESCAPED[char])
            plain = ""
        elif " " <= char <= "~":
            plain += char
        else:
            raise Unspeakable(f"U+{ord(char):04X}")
    return "".join([*parts, *([f"'{plain}'"] if plain or not parts else [])])


def formatted(text: str) -> str:
    """A text inside a log-format string: only the percent sign means something there. It still has to become a ``word``."""
    return text.replace("%", "%%")


def literal(text: str) -> str:
    """One word that stands for that very text where HAProxy expects a log-format string. Nothing at all is an expression that yields nothing."""
    return word(formatted(text)) if text else "'%[str()]'"


def argument(text: str) -> str:
    """One argument inside the parentheses of a sample expression (2.6: arguments may be quoted). The whole expression still has to become a ``word``."""
    _checked(text)
    return '"' + "".join("\\" + c if c in '\\"' else c for c in text) + '"'


def key(text: str) -> str:
    """A key or a value of a map, as a line of a file or of a payload: it ends at white space, and nothing in it means anything."""
    if not text or any(not "!" <= char <= "~" for char in text) or text[0] == "#":
        raise Unspeakable(repr(text[:80]))
    return text


def spoken(text: str) -> str:
    """One word of a command on the runtime socket: backslash, semicolon and blanks are escaped, and two characters that begin a payload never come."""
    _checked(text)
    if text.startswith("<<"):
        raise Unspeakable("a payload")
    return "".join("\\" + char if char in "\\; " else char for char in text)


def _checked(text: str) -> None:
    for char in text:
        if not " " <= char <= "~":
            raise Unspeakable(f"U+{ord(char):04X}")
