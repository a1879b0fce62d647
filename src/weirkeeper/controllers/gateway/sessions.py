"""Session persistence (GEP-1619): what keeps a client on one endpoint, also where a rule splits its requests.

Comes in: what a rule wishes, and a route that is put where it is served. Goes out: the model's affinity, and the routes that hold a client at one of several backends: the
first answer of a backend sets a second cookie, and a route before the split leads whoever shows it straight there, whatever the weights have become since.
"""

import hashlib
from collections.abc import Iterator

import msgspec

from weirkeeper.controllers.gateway.durations import milliseconds
from weirkeeper.controllers.gateway.matches import WrongMatch, typed
from weirkeeper.kube.gateway_experimental import SessionPersistence
from weirkeeper.model.filters import Affinity, CookieAffinity, HeaderEdit, HeaderSession, HeaderValuePair
from weirkeeper.model.ids import Ref
from weirkeeper.model.match import CookieMatch, ExactPath, PathMatch, RegexPath
from weirkeeper.model.route import Forward, Route, WeightedBackend
from weirkeeper.model.text import CookieName, HeaderName, HeaderValue, Id, PathText, shown
from weirkeeper.model.value import Milliseconds

SPECIAL = frozenset(r"\.[](){}*+?|^$")
BEFORE, LAST = "{:02}", "~"
"""Where routes to single backends stand in the order of ids: before the split."""


def session(
    wished: SessionPersistence | None, owner: Ref, part: str, backends: int, path: PathText | None = None
) -> Affinity | None:
    """What keeps a client of a rule where it is; ``part`` tells the rules of the owner apart. ``path`` is a cookie's where v1.7's fields say nothing of it; without one it is that of a match (``at_path``)."""
    if wished is None:
        return None
    kind, lifetime = wished.type or "Cookie", wished.of_cookie.lifetime_type or "Session"
    if kind not in ("Cookie", "Header") or lifetime not in ("Session", "Permanent"):
        raise WrongMatch(f"a session of the type {shown(kind)}, {shown(lifetime)} is not known here")
    name, limit = wished.name or generated(owner, part), _limit(wished)
    if kind == "Cookie":
        if lifetime == "Permanent" and limit is None:
            raise WrongMatch("a permanent cookie needs an absoluteTimeout")
        named = typed(CookieName, name, "the session's name")
        return CookieAffinity(name=named, path=_path(wished) or path, ttl=limit, same_site="Strict", persistent=True)
    if limit is not None:
        raise WrongMatch("a session by a header has no time limit here")
    if backends > 1:
        raise WrongMatch("a session by a header needs a rule with one backend here")
    return HeaderSession(name=typed(HeaderName, name, "the session's name"))


def outlives_browser(wished: SessionPersistence | None) -> bool:
    """Whether a cookie that should end with the browser is kept until its time limit, which nobody else enforces."""
    if wished is None or not wished.absolute_timeout or wished.type == "Header":
        return False
    return (wished.of_cookie.lifetime_type or "Session") == "Session"


def generated(owner: Ref, part: str) -> str:
    """A name for sessions without one: unique, and the same at every start."""
    return f"weir-{_digest(f'{owner.key} {part}')[:10]}"


def _path(wished: SessionPersistence) -> PathText | None:
    """The cookie's path as v1.7 has it: all paths, where nothing else is said."""
    if wished.cookie is None:
        return None
    path = typed(PathText, wished.cookie.path or "/", "the path of the cookie")
    if ";" in path:
        raise WrongMatch(f"the path {shown(path)} cannot stand in a cookie")
    return path


def _limit(wished: SessionPersistence) -> Milliseconds | None:
    found = milliseconds(wished.absolute_timeout)
    if wished.absolute_timeout and not found:
        raise WrongMatch(f"the duration {shown(wished.absolute_timeout)} is none")
    return found


def at_path(affinity: Affinity | None, path: PathMatch) -> Affinity | None:
    """The affinity for requests of this match: its cookie is sent back to these paths alone (GEP-1619, Path)."""
    if not isinstance(affinity, CookieAffinity) or affinity.path is not None:
        return affinity
    return msgspec.structs.replace(affinity, path=_cookie_path(path))


def _cookie_path(path: PathMatch) -> PathText:
    text = _literal(path.value) if isinstance(path, RegexPath) else path.value
    if ";" in text or not text.startswith("/"):
        return PathText("/")
    return PathText(text if isinstance(path, ExactPath) else text.rstrip("/") or "/")


def _literal(expression: str) -> str:
    """The whole segments that every path of an expression begins with."""
    end = next((at for at, one in enumerate(expression) if one in SPECIAL), len(expression))
    return "" if "|" in expression else expression[:end].rpartition("/")[0]


def placed(route: Route, scheme: str) -> Iterator[Route]:
    """The route where clients come by this scheme: browsers send the cookies of HTTPS back by HTTPS alone."""
    affinity, action = route.affinity, route.action
    if not isinstance(affinity, CookieAffinity):
        yield route
        return
    affinity = msgspec.structs.replace(affinity, secure=scheme == "https")
    route = msgspec.structs.replace(route, affinity=affinity)
    if not isinstance(action, Forward) or len(action.backends) < 2:
        yield route
        return
    for number, one in enumerate({share.backend: share for share in action.backends}.values()):
        yield _straight(route, affinity, one, Id(f"{route.id}/{BEFORE.format(number)}"))
    marked = tuple(_marked(one, affinity) for one in action.backends)
    split = msgspec.structs.replace(action, backends=marked)
    yield msgspec.structs.replace(route, id=Id(f"{route.id}/{LAST}"), action=split)


def _straight(route: Route, affinity: CookieAffinity, one: WeightedBackend, name: Id) -> Route:
    shown_cookie = CookieMatch(name=HeaderName(_second(affinity)), value=_mark(one), own=True)
    match = msgspec.structs.replace(route.match, cookies=(*route.match.cookies, shown_cookie))
    alone = Forward(backends=(msgspec.structs.replace(one, weight=1),))
    return msgspec.structs.replace(route, id=name, match=match, action=alone)


def _marked(one: WeightedBackend, affinity: CookieAffinity) -> WeightedBackend:
    """The backend whose answers set the second cookie."""
    limit = [f"Max-Age={affinity.ttl // 1000}"] if affinity.ttl is not None else []
    secure = ["Secure"] if affinity.secure else []
    parts = [f"{_second(affinity)}={_mark(one)}", f"Path={affinity.path or '/'}", *limit, "HttpOnly", "SameSite=Strict"]
    cookie = HeaderValuePair(name=HeaderName("set-cookie"), value=HeaderValue("; ".join([*parts, *secure])))
    edit = one.response_headers or HeaderEdit()
    return msgspec.structs.replace(one, response_headers=msgspec.structs.replace(edit, add=(*edit.add, cookie)))


def _second(affinity: CookieAffinity) -> str:
    return f"{affinity.name}-at"


def _mark(one: WeightedBackend) -> HeaderValue:
    """Tells backends apart, and says nothing about them."""
    return HeaderValue(_digest(one.backend)[:12])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
