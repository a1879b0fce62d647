r"""Regular expressions of tenants, checked by structure and never run: what passes compiles in RE2.

Comes in: the text. Goes out: the text under its type with its number of groups, or why not. One pass over at most 1,024 characters, no recursion. It is
stricter than RE2 where the dialects of PCRE and RE2 differ in meaning, so that an expression means the same in every engine.
"""

import msgspec

from weirkeeper.model.text import Refused, RegexText, parse

DEEPEST = 50
MOST_REPEATS = 1000
_CLASS_ESCAPES = frozenset("dDsSwW")
_PLAIN_ESCAPES = frozenset("dDsSwWbBAzafnrtv")
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_POSIX = frozenset(
    "alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit".split()  # noqa: SIM905
)
_NOT_RE2 = {
    "=": "lookahead",
    "!": "lookahead",
    ">": "an atomic group",
    "#": "a comment",
    "|": "a branch reset",
    "(": "a condition",
    "R": "recursion",
    "&": "recursion",
}


class Regex(msgspec.Struct, frozen=True):
    """A checked expression and how many groups it captures."""

    text: RegexText
    groups: int


class _Bad(Exception):
    pass


def checked_regex(text: str) -> Regex | Refused:
    """The expression, or why no engine of ours should see it."""
    typed = parse(RegexText, text)
    if isinstance(typed, Refused):
        return typed
    try:
        groups = _Scan(text).run()
    except _Bad as bad:
        return Refused(str(bad))
    return Regex(typed, groups)


def quoted(text: str) -> str:
    """An expression that matches the text literally."""
    return "".join(f"\\{c}" if c in _PUNCTUATION and c not in "/_-%~&=!,;:@<>#\"'` " else c for c in text)


class _Scan:
    """One pass. ``weights`` are, for each open group, how often its heaviest part may be repeated."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.groups = 0
        self.names: set[str] = set()
        self.weights = [1]
        self.last = 0  # the repeat weight of what stands before; 0 when nothing can be repeated

    def run(self) -> int:
        while self.at < len(self.text):
            c = self.text[self.at]
            self.at += 1
            if c == "\\":
                self._atom(self._escape())
            elif c == "[":
                self._class()
                self._atom()
            elif c == "(":
                self._open()
            elif c == ")":
                self._close()
            elif c in "*+?":
                self._repeat(1)
            elif c == "{":
                self._braces()
            elif c == "|":
                self.last = 0
            else:
                self._atom()
        if len(self.weights) > 1:
            raise _Bad("has a ( without its )")
        return self.groups

    def _atom(self, _: str = "", weight: int = 1) -> None:
        self.last = weight
        self.weights[-1] = max(self.weights[-1], weight)

    def _repeat(self, times: int) -> None:
        if self.last == 0:
            raise _Bad("repeats nothing, or repeats a repetition")
        weight = self.last * max(times, 1)
        if weight > MOST_REPEATS:
            raise _Bad(f"repeats more than {MOST_REPEATS} times in all")
        self.weights[-1] = max(self.weights[-1], weight)
        if self.text.startswith("?", self.at):
            self.at += 1
        self.last = 0

    def _braces(self) -> None:
        end = self.text.find("}", self.at)
        low, comma, high = self.text[self.at : end].partition(",") if end >= 0 else ("", "", "")
        if not low.isdigit() or (comma and high and not high.isdigit()):
            raise _Bad("has a { that is no repetition; write \\{ for the character")
        if len(low) > 4 or len(high) > 4:
            raise _Bad(f"repeats more than {MOST_REPEATS} times in all")
        most = int(high) if high else int(low)
        if most < int(low):
            raise _Bad("has a repetition whose ends are the wrong way round")
        self.at = end + 1
        self._repeat(most)

    def _open(self) -> None:
        if len(self.weights) > DEEPEST:
            raise _Bad(f"nests deeper than {DEEPEST} groups")
        if not self.text.startswith("?", self.at):
            self.groups += 1
            self._enter()
            return
        self.at += 1
        rest = self.text[self.at :]
        if rest.startswith(("P<", "<")) and not rest.startswith(("<=", "<!")):
            self._named(rest)
        elif rest[:1] in _NOT_RE2 or rest.startswith("<"):
            raise _Bad(f"has {_NOT_RE2.get(rest[:1], 'lookbehind')}, which RE2 does not know")
        else:
            self._flags(rest)

    def _named(self, rest: str) -> None:
        name, closed, _ = rest.partition("<")[2].partition(">")
        if (
            not closed
            or not name
            or not name.replace("_", "a").isalnum()
            or name in self.names
            or not rest.startswith("P")
        ):
            raise _Bad("has a named group that is not (?P<name>...) with a name of its own")
        self.names.add(name)
        self.at += len(name) + 3
        self.groups += 1
        self._enter()

    def _flags(self, rest: str) -> None:
        end = next((i for i, c in enumerate(rest) if c in ":)"), -1)
        on, minus, off = rest[:end].partition("-") if end >= 0 else ("?", "", "")
        if not frozenset(on + off) <= frozenset("imsU") or (minus and not off) or (end == 0 and rest[0] == ")"):
            raise _Bad("has a group (?...) that RE2 does not know")
        self.at += end + 1
        if rest[end] == ":":
            self._enter()
        else:
            self.last = 0

    def _enter(self) -> None:
        self.weights.append(1)
        self.last = 0

    def _close(self) -> None:
        if len(self.weights) == 1:
            raise _Bad("has a ) without its (")
        self._atom(weight=self.weights.pop())

    def _escape(self) -> str:
        if self.at >= len(self.text):
            raise _Bad("ends in a backslash")
        c = self.text[self.at]
        self.at += 1
        if c in _PLAIN_ESCAPES or c in _PUNCTUATION:
            return c
        if c == "x":
            return self._hex()
        if c.isdigit() or c in "kg":
            raise _Bad("has a back reference, which RE2 does not know")
        raise _Bad(f"has the escape \\{c}, which not every engine knows")

    def _hex(self) -> str:
        digits = self.text[self.at : self.at + 2]
        if len(digits) != 2 or not all(d in "0123456789abcdefABCDEF" for d in digits):
            raise _Bad("has \\x without two hexadecimal digits")
        self.at += 2
        return chr(int(digits, 16))

    def _class(self) -> None:
        if self.text.startswith("^", self.at):
            self.at += 1
        first = True
        while True:
            low = self._member(first=first)
            if low is None:
                return
            first = False
            if self.text.startswith("-", self.at) and not self.text.startswith("-]", self.at):
                self.at += 1
                high = self._member(first=True)
                if not low or not high or high < low:
                    raise _Bad("has a range inside [...] that is none")

    def _member(self, *, first: bool) -> str | None:
        """The character, "" for a class of them, ``None`` at the end."""
        if self.at >= len(self.text):
            raise _Bad("has a [ without its ]")
        c = self.text[self.at]
        self.at += 1
        if c == "]" and not first:
            return None
        if c == "[" and self.text.startswith(":", self.at):
            name, closed, _ = self.text[self.at + 1 :].partition(":]")
            if not closed or name.removeprefix("^") not in _POSIX:
                raise _Bad("has [: that names no class of characters")
            self.at += len(name) + 3
            return ""
        return self._class_escape() if c == "\\" else c

    def _class_escape(self) -> str:
        at = self.at
        c = self._escape()
        if self.text[at] in "bBAz":
            raise _Bad("has an escape inside [...] that stands for no character")
        if self.text[at] in _CLASS_ESCAPES:
            return ""
        return {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}.get(c, c) if self.text[at] == c else c
