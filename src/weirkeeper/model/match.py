"""What a request must be like for a route to take it. One ``RouteMatch`` is one conjunction; alternatives are separate routes."""

from typing import Annotated, ClassVar

from weirkeeper.model.features import Need
from weirkeeper.model.text import Cidr, HeaderName, HeaderValue, Method, PathText, QueryName, QueryValue, RegexText
from weirkeeper.model.value import Value
from weirkeeper.model.words import Scheme


class ExactPath(Value, frozen=True, kw_only=True, tag="exact", tag_field="type"):
    """The whole path, to the letter."""

    value: PathText


class SegmentPrefix(Value, frozen=True, kw_only=True, tag="prefix", tag_field="type"):
    """The path itself or anything below it: ``/a`` takes ``/a`` and ``/a/b``, not ``/ab``. Written without a trailing slash, save ``/``."""

    value: PathText


class StringPrefix(Value, frozen=True, kw_only=True, tag="string-prefix", tag_field="type"):
    """Any path that begins with these characters."""

    value: PathText
    NEED: ClassVar[str] = "StringPrefixPathMatch"


class RegexPath(Value, frozen=True, kw_only=True, tag="regex", tag_field="type"):
    """The whole path by an RE2 expression; ``prefix`` lets anything follow (ingress-nginx matches from the start, not to the end)."""

    value: RegexText
    prefix: bool = False
    case_sensitive: bool = True
    NEED: ClassVar[str] = "RegexPathMatch"


PathMatch = ExactPath | SegmentPrefix | StringPrefix | RegexPath


class Exactly(Value, frozen=True, kw_only=True, tag="exact", tag_field="type"):
    """Equal to the text."""

    value: HeaderValue


class Matches(Value, frozen=True, kw_only=True, tag="regex", tag_field="type"):
    """The whole value by an RE2 expression."""

    value: RegexText
    NEED: ClassVar[str] = "RegexHeaderMatch"


class Present(Value, frozen=True, kw_only=True, tag="present", tag_field="type"):
    """There, with any value."""


class Contains(Value, frozen=True, kw_only=True, tag="contains", tag_field="type"):
    """Contains the text."""

    value: HeaderValue


class BeginsWith(Value, frozen=True, kw_only=True, tag="prefix", tag_field="type"):
    """Begins with the text."""

    value: HeaderValue


ValueMatch = Exactly | Matches | Present | Contains | BeginsWith


class HeaderMatch(Value, frozen=True, kw_only=True):
    """A condition on one header; ``inverted`` turns it round (present + inverted = absent)."""

    name: HeaderName
    match: ValueMatch
    inverted: bool = False


class CookieMatch(Value, frozen=True, kw_only=True):
    """A condition on one cookie's value. One of our ``own`` continues a route that had been chosen without it: it makes a match no narrower."""

    name: HeaderName
    value: HeaderValue
    own: bool = False


class QueryExactly(Value, frozen=True, kw_only=True, tag="exact", tag_field="type"):
    """Equal to the text."""

    value: QueryValue


class QueryMatches(Value, frozen=True, kw_only=True, tag="regex", tag_field="type"):
    """The whole value by an RE2 expression."""

    value: RegexText


class QueryPresent(Value, frozen=True, kw_only=True, tag="present", tag_field="type"):
    """There, with any value."""


class QueryMatch(Value, frozen=True, kw_only=True):
    """A condition on the first query parameter of that name, as it is sent: nothing is decoded."""

    name: QueryName
    match: QueryExactly | QueryMatches | QueryPresent


class RouteMatch(Value, frozen=True, kw_only=True):
    """All of these must hold. Methods are alternatives; ``scheme`` is how the client came (``http`` or ``https``)."""

    path: PathMatch = SegmentPrefix(value=PathText("/"))
    methods: Annotated[tuple[Method, ...], Need("HTTPRouteMethodMatching")] = ()
    headers: Annotated[tuple[HeaderMatch, ...], Need("HTTPRouteHeaderMatching")] = ()
    cookies: Annotated[tuple[CookieMatch, ...], Need("HTTPRouteHeaderMatching")] = ()
    query: Annotated[tuple[QueryMatch, ...], Need("HTTPRouteQueryParamMatching")] = ()
    scheme: Annotated[Scheme | None, Need("SchemeMatch")] = None
    source: Annotated[tuple[Cidr, ...], Need("SourceIpMatch")] = ()
    host_regex: Annotated[RegexText | None, Need("RegexHostMatch")] = None
