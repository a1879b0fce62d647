"""Answers of the load balancer's own: redirects and texts. In: an action. Out: the rules of a section that forwards nowhere."""

from collections.abc import Iterator

from weirkeeper.model.filters import FullPath, PrefixPath, RegexSubstitution
from weirkeeper.model.match import PathMatch
from weirkeeper.model.route import Redirect, Respond
from weirkeeper.providers.haproxy.translate.headers import MEASURED, prefixed, substituted
from weirkeeper.providers.haproxy.translate.quoting import formatted, word

CODES = frozenset({301, 302, 303, 307, 308})
IMPLIED = {("http", 80), ("https", 443)}


def answered(respond: Respond) -> str:
    """The rule that answers with a text, or with nothing but a status."""
    if not respond.body:
        return refused(respond.status)
    kind = word(respond.content_type or "text/plain")
    return f"http-request return status {respond.status} content-type {kind} string {word(respond.body)}"


def refused(status: int) -> str:
    """The rule that answers with a bare status."""
    return f"http-request return status {status}"


def redirected(redirect: Redirect, path: PathMatch) -> Iterator[str]:
    """The rules of a redirect; a status that is none of a redirect's becomes 302."""
    code = redirect.status if redirect.status in CODES else 302
    if redirect.to:
        yield f"http-request redirect location {word(formatted(redirect.to))} code {code}"
        return
    yield "http-request set-var-fmt(txn.query) '?%[query]' if { query -m found }"
    if isinstance(redirect.path, PrefixPath):
        yield MEASURED
    if isinstance(redirect.path, RegexSubstitution):
        yield f"http-request set-var(txn.path) {substituted(redirect.path)}"
    for where, condition in _paths(redirect, path):
        location = _origin(redirect) + where + "%[var(txn.query)]"
        yield f"http-request redirect location {word(location)} code {code} {condition}".rstrip()


def _origin(redirect: Redirect) -> str:
    """Scheme and host of the location. What the client said of the port stays only where nothing of the origin changes."""
    scheme = redirect.scheme or "%[var(txn.scheme)]"
    if redirect.host is None and redirect.port is None and redirect.scheme is None:
        return f"{scheme}://%[req.fhdr(host)]"
    host = formatted(redirect.host) if redirect.host else "%[req.fhdr(host),host_only]"
    shown = redirect.port is not None and (redirect.scheme, redirect.port) not in IMPLIED
    return f"{scheme}://{host}" + (f":{redirect.port}" if shown else "")


def _paths(redirect: Redirect, path: PathMatch) -> Iterator[tuple[str, str]]:
    """The path of the location as a part of a log-format string, with the condition under which it is meant."""
    match redirect.path:
        case None:
            yield "%[path]", ""
        case FullPath(value=value):
            yield formatted(value), ""
        case PrefixPath(value=value):
            yield from prefixed(value, path)
        case RegexSubstitution():
            yield "%[var(txn.path)]", ""
