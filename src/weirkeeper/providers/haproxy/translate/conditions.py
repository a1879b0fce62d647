"""What a match asks of a request besides host and path, as ACLs of a frontend.

Comes in: a match. Goes out: ACL lines with names of their own, and the condition that joins them. A pattern stands at the end of a line of its own, behind ``--``: there
no text can end the condition or begin a flag.
"""

from ipaddress import ip_network
from typing import NamedTuple, assert_never

from weirkeeper.model.match import (
    BeginsWith,
    Contains,
    CookieMatch,
    Exactly,
    HeaderMatch,
    Matches,
    Present,
    QueryExactly,
    QueryMatch,
    QueryMatches,
    QueryPresent,
    RouteMatch,
)
from weirkeeper.providers.haproxy.translate.items import digest
from weirkeeper.providers.haproxy.translate.quoting import argument, word


class Conditions(NamedTuple):
    """ACL lines, and the terms that must all hold."""

    acls: tuple[str, ...]
    terms: tuple[str, ...]


def conditions(match: RouteMatch) -> Conditions:
    """The conditions of one match; the scheme is not among them, it is known before (see ``hosts``)."""
    asked: list[tuple[str, bool]] = []
    if match.methods:
        asked.append(("method " + " ".join(word(method) for method in match.methods), False))
    asked += [(_header(one), one.inverted) for one in match.headers]
    asked += [(_cookie(one), False) for one in match.cookies]
    asked += [(_query(one), False) for one in match.query]
    if match.source:
        asked.append((addresses(match.source), False))
    named = [(f"c.{digest(text)}", text, inverted) for text, inverted in asked]
    return Conditions(
        acls=tuple(f"acl {name} {text}" for name, text, _ in named),
        terms=tuple(("!" if inverted else "") + name for name, _, inverted in named),
    )


def addresses(ranges: tuple[str, ...]) -> str:
    """Whether the client's address lies in one of these ranges; one that is none is left out, and nobody is in an empty list."""
    known = [text for text in ranges if _is_range(text)]
    return "src -m ip -- " + " ".join(known or ["255.255.255.255/32"])


def _is_range(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _header(wished: HeaderMatch) -> str:
    fetch = word(f"req.fhdr({argument(wished.name)})")
    match wished.match:
        case Exactly(value=value):
            return f"{fetch} -m str -- {word(value)}" if value else f"{fetch} -m len 0"
        case Present():
            return f"{fetch} -m found"
        case Contains(value=value):
            return f"{fetch} -m sub -- {word(value)}" if value else f"{fetch} -m found"
        case BeginsWith(value=value):
            return f"{fetch} -m beg -- {word(value)}" if value else f"{fetch} -m found"
        case Matches():
            raise AssertionError("regular expressions are not declared")
        case _:
            assert_never(wished.match)


def _cookie(wished: CookieMatch) -> str:
    fetch = word(f"req.cook({argument(wished.name)})")
    return f"{fetch} -m str -- {word(wished.value)}" if wished.value else f"{fetch} -m len 0"


def _query(wished: QueryMatch) -> str:
    fetch = word(f"url_param({argument(wished.name)}),url_dec")
    match wished.match:
        case QueryExactly(value=value):
            return f"{fetch} -m str -- {word(value)}" if value else f"{fetch} -m len 0"
        case QueryPresent():
            return f"{word(f'url_param({argument(wished.name)})')} -m found"
        case QueryMatches():
            raise AssertionError("regular expressions are not declared")
        case _:
            assert_never(wished.match)
