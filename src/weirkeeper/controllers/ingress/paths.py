"""What a path of a rule matches (docs/ingress.md).

``Exact`` is to the letter, ``Prefix`` by segment, ``ImplementationSpecific`` is ``Prefix``, or an expression where expressions are on. Where any Ingress
of the host has expressions on, all its paths are matched from the start and in any letter case, as in ingress-nginx; plain paths stay literal.
"""

from functools import lru_cache

from weirkeeper.controllers.shared.paths import decoded, never_asked_for
from weirkeeper.controllers.shared.regexes import checked_regex, quoted
from weirkeeper.kube.types import IngressPath
from weirkeeper.model.finding import Reason
from weirkeeper.model.match import ExactPath, PathMatch, RegexPath, SegmentPrefix
from weirkeeper.model.text import PathText, Refused, RegexText, parse, shown

TYPES = ("Exact", "Prefix", "ImplementationSpecific")
ROOT = SegmentPrefix(value=PathText("/"))
SHORT = 128
"""The longest path that is remembered: `/` and `/api` stand in most Ingresses."""
_SPECIAL = frozenset("^$*+?()[]{}|\\")


class WrongPath(Refused, frozen=True):
    """Why a path matches nothing, with its code and what helps."""

    reason: Reason = Reason.INVALID_PATH
    remedy: str = "write an absolute path; percent-encode what is not a letter, digit or -._~!$&'()*+,;=:@"


def path_match(path: IngressPath, *, own_regex: bool, host_regex: bool) -> PathMatch | WrongPath:
    """The match of a path."""
    match_of = _known_match_of if len(path.path) + len(path.path_type) <= SHORT else _match_of
    return match_of(path.path, path.path_type, own_regex, host_regex)


def _match_of(written: str, path_type: str, own_regex: bool, host_regex: bool) -> PathMatch | WrongPath:
    text = written or "/"
    if path_type not in TYPES:
        listed = ", ".join(TYPES)
        return WrongPath(f"the path type {shown(path_type)} is none of {listed}", remedy="write one of them")
    if not written and path_type != "ImplementationSpecific":
        return WrongPath(f"a path of type {path_type} must not be empty")
    if not text.startswith("/") and not (own_regex and text.startswith(("^/", "(/"))):
        return WrongPath(f"the path {shown(text)} does not begin with /")
    if own_regex or (host_regex and path_type == "ImplementationSpecific"):
        return _regex(text)
    typed = parse(PathText, decoded(text))
    if isinstance(typed, Refused):
        return WrongPath(typed.why)
    strange = never_asked_for(typed)
    if strange:
        return WrongPath(f"the path {shown(text)} {strange}")
    return _literal(typed, exact=path_type == "Exact", host_regex=host_regex)


_known_match_of = lru_cache(maxsize=2048)(_match_of)


def _literal(path: PathText, *, exact: bool, host_regex: bool) -> PathMatch | WrongPath:
    if host_regex:
        return _regex(quoted(path))
    if exact:
        return ExactPath(value=path)
    return SegmentPrefix(value=PathText(path.rstrip("/") or "/"))


def _regex(text: str) -> RegexPath | WrongPath:
    checked = checked_regex(text.removeprefix("^"))
    if isinstance(checked, Refused):
        return WrongPath(
            f"the expression {shown(text)} {checked.why}", Reason.INVALID_REGEX, "write an expression that RE2 knows"
        )
    return RegexPath(value=checked.text, prefix=True, case_sensitive=False)


def literal_start(match: PathMatch) -> PathText:
    """The path as a literal, or / for an expression."""
    return PathText("/") if isinstance(match, RegexPath) and _SPECIAL & set(match.value) else PathText(match.value)


def groups_of(match: PathMatch) -> int:
    """How many groups the match captures."""
    if not isinstance(match, RegexPath):
        return 0
    checked = checked_regex(match.value)
    return 0 if isinstance(checked, Refused) else checked.groups


def whole(match: RegexPath) -> RegexText | Refused:
    """An expression that takes the whole path, with the groups of the match."""
    return parse(RegexText, f"(?i)^(?:{match.value}).*$")
