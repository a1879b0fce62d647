"""What the backend sees as host and path."""

from typing import Any, assert_never

from envoy.type.matcher.v3 import regex_pb2

from weirkeeper.model.filters import FullPath, PathRewrite, PrefixPath, RegexSubstitution, UrlRewrite
from weirkeeper.model.match import PathMatch, RegexPath
from weirkeeper.providers.envoy.translate.values import quoted


def rewrite_url(action: Any, rewrite: UrlRewrite, path: PathMatch) -> None:
    """Puts the rewrite into a route action."""
    if rewrite.host:
        action.host_rewrite_literal = rewrite.host
    elif rewrite.auto_host:
        action.auto_host_rewrite.value = True
    if rewrite.path:
        action.regex_rewrite.CopyFrom(path_substitution(rewrite.path, path))


def path_substitution(rewrite: PathRewrite, path: PathMatch) -> Any:
    """The rewrite as one regular expression over the path without its query.

    Prefixes are rewritten by expression too, because Envoy's own prefix rewrite makes ``//b`` of ``/a/b`` when ``/a`` becomes ``/``.
    """
    match rewrite:
        case FullPath(value=value):
            return substitution("^.*$", value)
        case PrefixPath(value=value):
            return _prefix(value, path)
        case RegexSubstitution(pattern=pattern, substitution=wished):
            return substitution(pattern, wished)
        case _:
            assert_never(rewrite)


def substitution(pattern: str, text: str) -> Any:
    """A replacement by RE2."""
    return regex_pb2.RegexMatchAndSubstitute(pattern=regex_pb2.RegexMatcher(regex=pattern), substitution=text)


def _prefix(value: str, path: PathMatch) -> Any:
    matched = "" if isinstance(path, RegexPath) else path.value.rstrip("/")
    kept = value.rstrip("/")
    if not kept:
        return substitution(f"^{quoted(matched)}/*", "/")
    if not matched:
        return substitution("^/+", kept + "/")
    return substitution(f"^{quoted(matched)}", kept)
