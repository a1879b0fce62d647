"""What a match asks of a request besides host and path, as ACLs of a frontend.

Comes in: a match. Goes out: ACL lines with names of their own, and the condition that joins them. A pattern stands at the end of a line of its own, behind ``--``: there
no text can end the condition or begin a flag.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv6Network, ip_network
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
    RegexPath,
    RouteMatch,
)
from weirkeeper.providers.haproxy.translate import expressions
from weirkeeper.providers.haproxy.translate.items import digest
from weirkeeper.providers.haproxy.translate.quoting import argument, word

MAPPED = IPv6Network("::ffff:0:0/96")
WORDS = 50
"""So many ranges fit into a line, of whose words HAProxy takes 64."""


class Conditions(NamedTuple):
    """ACL lines (and rules that these need), the terms that must all hold, and terms of which each says that an expression could not be decided."""

    acls: tuple[str, ...]
    terms: tuple[str, ...]
    undecided: tuple[str, ...] = ()


class _Asked(NamedTuple):
    """One condition; for an expression, its opposite and what must be there at all as well. ``kept`` is a rule that must come before,
    ``besides`` are expressions that serve as well.
    """

    text: str
    inverted: bool = False
    opposite: str = ""
    there: str = ""
    kept: str = ""
    besides: tuple[str, ...] = ()


def conditions(match: RouteMatch) -> Conditions:
    """The conditions of one match; the scheme is not among them, it is known before (see ``hosts``)."""
    acls, terms, undecided = [], [], []
    for one in _asked(match):
        name = f"c.{digest(one.text, *one.besides)}"
        acls += [one.kept] * bool(one.kept)
        acls += [f"acl {name} {text}" for text in (one.text, *one.besides)]
        terms.append(("!" if one.inverted else "") + name)
        if one.opposite:
            other = f"n.{digest(one.opposite)}"
            acls.append(f"acl {other} {one.opposite}")
            undecided.append(f"!{name} !{other} {{ {one.there} -m found }}")
    return Conditions(acls=tuple(acls), terms=tuple(terms), undecided=tuple(undecided))


def _asked(match: RouteMatch) -> Iterator[_Asked]:
    if isinstance(match.path, RegexPath):
        path = match.path
        yield _expression("path", path.value, case_sensitive=path.case_sensitive, prefix=path.prefix)
    if match.host_regex:
        yield _expression("var(txn.host)", match.host_regex, case_sensitive=False)
    if match.methods:
        yield _Asked("method " + " ".join(word(method) for method in match.methods))
    yield from (_header(one) for one in match.headers)
    yield from (_Asked(_cookie(one)) for one in match.cookies)
    yield from (_query(one) for one in match.query)
    if match.source:
        first, *others = _addresses(_known(match.source))
        yield _Asked(first, besides=tuple(others))


def _expression(
    fetch: str,
    pattern: str,
    *,
    inverted: bool = False,
    case_sensitive: bool = True,
    prefix: bool = False,
    kept: str = "",
) -> _Asked:
    opposite = expressions.unlike(pattern, case_sensitive=case_sensitive, prefix=prefix)
    return _Asked(
        text=f"{fetch} -m reg -- {word(expressions.whole(pattern, case_sensitive=case_sensitive, prefix=prefix))}",
        inverted=inverted,
        opposite=f"{fetch} -m reg -- {word(opposite)}",
        there=fetch,
        kept=kept,
    )


def addresses(name: str, ranges: tuple[str, ...]) -> Iterator[str]:
    """The ACL of that name: the client's address lies in one of these ranges. One that is none is left out, and nobody is in an empty list."""
    yield from (f"acl {name} {text}" for text in _addresses(_known(ranges)))


def _known(ranges: tuple[str, ...]) -> list[str]:
    return [own for text in ranges for own in _ranges(text)] or ["255.255.255.255/32"]


def _addresses(ranges: Sequence[str]) -> Iterator[str]:
    """Expressions of which one must hold: HAProxy takes 64 words in a line."""
    yield from ("src -m ip -- " + " ".join(ranges[at : at + WORDS]) for at in range(0, len(ranges), WORDS))


def _ranges(text: str) -> list[str]:
    """The range; without what stands for IPv4 in IPv6, which HAProxy would find every IPv4 address in."""
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        return []
    if isinstance(found, IPv6Network) and MAPPED.subnet_of(found):
        return [str(part) for part in sorted(found.address_exclude(MAPPED))]
    if found.version == 4:  # HAProxy takes other forms of IPv6 for IPv4 as well, where it is asked for IPv4
        return [f"::ffff:{found.network_address}/{96 + found.prefixlen}"]
    return [text]


def _header(wished: HeaderMatch) -> _Asked:
    fetch = word(f"req.fhdr({argument(wished.name)})")
    if isinstance(wished.match, Matches):
        return _expression(fetch, wished.match.value, inverted=wished.inverted)
    return _Asked(_header_text(fetch, wished.match), wished.inverted)


def _header_text(fetch: str, wished: Exactly | Present | Contains | BeginsWith) -> str:
    match wished:
        case Exactly(value=value):
            return f"{fetch} -m str -- {word(value)}" if value else f"{fetch} -m len 0"
        case Present():
            return f"{fetch} -m found"
        case Contains(value=value):
            return f"{fetch} -m sub -- {word(value)}" if value else f"{fetch} -m found"
        case BeginsWith(value=value):
            return f"{fetch} -m beg -- {word(value)}" if value else f"{fetch} -m found"
        case _:
            assert_never(wished)


def _cookie(wished: CookieMatch) -> str:
    fetch = word(f"req.cook({argument(wished.name)})")
    return f"{fetch} -m str -- {word(wished.value)}" if wished.value else f"{fetch} -m len 0"


def _query(wished: QueryMatch) -> _Asked:
    """A condition on the first parameter of that name, as it is written. A variable keeps it: an ACL would look at all of them."""
    first = word(f"url_param({argument(wished.name)})")
    given = f"var(txn.q{digest(first)})"
    kept = f"http-request set-{given} {first}"
    match wished.match:
        case QueryExactly(value=value):
            return _Asked(f"{given} -m str -- {word(value)}" if value else f"{given} -m len 0", kept=kept)
        case QueryPresent():
            return _Asked(f"{given} -m found", kept=kept)
        case QueryMatches(value=value):
            return _expression(given, value, kept=kept)
        case _:
            assert_never(wished.match)
