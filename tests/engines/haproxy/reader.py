"""HAProxy's configuration read as its manual says (2.2, "Quoting and escaping"), by code that shares nothing with the one that writes it.

In: a line. Out: its words. A line that would be expanded from the environment, or cut by a comment, is an error: nothing that we write means to be.
"""

PLAIN_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class Misread(AssertionError):
    """The line is not what anyone may write."""


def words(line: str) -> list[str]:
    """The words of one line."""
    found: list[str] = []
    current: str | None = None
    quote = ""
    position = 0
    while position < len(line):
        char = line[position]
        position += 1
        if quote == "'":
            if char == "'":
                quote = ""
            else:
                current = (current or "") + char
        elif char == '"':
            quote = "" if quote else '"'
            current = current or ""
        elif char == "'" and not quote:
            quote, current = "'", current or ""
        elif char == "\\":
            current = (current or "") + PLAIN_ESCAPES.get(line[position], line[position])
            position += 1
        elif char == "$":
            raise Misread(f"an expansion in {line!r}")
        elif char == "#" and not quote:
            raise Misread(f"a comment in {line!r}")
        elif char in " \t" and not quote:
            if current is not None:
                found.append(current)
            current = None
        else:
            current = (current or "") + char
    if quote:
        raise Misread(f"an open quote in {line!r}")
    return found if current is None else [*found, current]


def commands(line: str) -> list[list[str]]:
    """The commands of one line on the runtime socket (management manual, 9.3), each in its words."""
    every: list[list[str]] = [[]]
    current: str | None = None
    position = 0
    while position < len(line):
        char = line[position]
        position += 1
        if char == "\\":
            current = (current or "") + line[position]
            position += 1
        elif char in " ;":
            if current is not None:
                every[-1].append(current)
            current = None
            if char == ";":
                every.append([])
        else:
            current = (current or "") + char
    if current is not None:
        every[-1].append(current)
    return every
