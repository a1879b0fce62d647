"""Headers, host and path of a request, and headers of its answer, changed to the letter. In: edits. Out: rules of a section, in the order of running."""

from collections.abc import Iterator

from weirkeeper.model.filters import FullPath, HeaderEdit, LocationRewrite, PrefixPath, RegexSubstitution, UrlRewrite
from weirkeeper.model.match import PathMatch, RegexPath, SegmentPrefix
from weirkeeper.providers.haproxy.translate.expressions import anywhere
from weirkeeper.providers.haproxy.translate.quoting import argument, formatted, literal, word

REQUEST, RESPONSE = "http-request", "http-response"
MEASURED = "http-request set-var(txn.path_length) path,length"
"""Goes before rules that ``prefixed`` makes: the first of them changes the path."""


def edited(edit: HeaderEdit | None, when: str) -> Iterator[str]:
    """Remove, set, add: in this order. ``when`` is ``http-request`` or ``http-response``."""
    if edit is None:
        return
    for name in edit.remove:
        yield f"{when} del-header {word(name)}"
    for pair in edit.set:
        yield f"{when} set-header {word(pair.name)} {literal(pair.value)}"
    for pair in edit.add:
        yield f"{when} add-header {word(pair.name)} {literal(pair.value)}"


def rewritten(rewrite: UrlRewrite | None, path: PathMatch, own_name: str | None) -> Iterator[str]:
    """Host and path as the backend sees them; ``own_name`` is the name of the backend's endpoint, where it has one."""
    if rewrite is None:
        return
    host = rewrite.host or (own_name if rewrite.auto_host else None)
    if host is not None:
        yield f"{REQUEST} set-header host {literal(host)}"
    match rewrite.path:
        case FullPath(value=value):
            yield f"{REQUEST} set-path {literal(value)}"
        case PrefixPath(value=value):
            yield MEASURED
            yield from (f"{REQUEST} set-path {word(made)} {held}".rstrip() for made, held in prefixed(value, path))
        case RegexSubstitution():
            yield f"{REQUEST} set-var(txn.path) {substituted(rewrite.path)}"
            yield f"{REQUEST} set-path %[var(txn.path)]"


def substituted(wished: RegexSubstitution) -> str:
    """The path with everything replaced that the expression matches, as a sample expression. An expression that could not be decided leaves the path as it is."""
    return word(f"path,regsub({argument(anywhere(wished.pattern))},{argument(wished.substitution)},g)")


def prefixed(value: str, path: PathMatch) -> Iterator[tuple[str, str]]:
    """What a path becomes when its matched prefix is replaced, as log-format texts, each with its condition: one of them holds."""
    if isinstance(path, RegexPath):  # nothing is known of its length: what begins every path is replaced
        matched = ""
    else:
        matched = path.value.rstrip("/") if isinstance(path, SegmentPrefix) else path.value
    base = value.rstrip("/") if isinstance(path, SegmentPrefix | RegexPath) else value
    whole, rest = formatted(base or "/"), f"{formatted(base)}%[path,bytes({len(matched)})]"
    if not matched:
        yield rest, ""
        return
    yield rest, f"if {{ var(txn.path_length) -m int gt {len(matched)} }}"
    yield whole, f"if {{ var(txn.path_length) -m int eq {len(matched)} }}"


def moved(rewrites: tuple[LocationRewrite, ...]) -> Iterator[str]:
    """Location headers that begin with a text begin with another instead."""
    for number, one in enumerate(rewrites):
        acl = f"location.{number}"
        yield f"acl {acl} res.fhdr(location) -m beg -- {word(one.old)}"
        rest = f"%[res.fhdr(location),bytes({len(one.old)})]"
        yield f"{RESPONSE} set-header location {word(formatted(one.new) + rest)} if {acl}"
