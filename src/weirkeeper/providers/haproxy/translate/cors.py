"""Cross-origin requests by policy (Fetch standard, 3.2). In: the policy of a route. Out: rules: preflight requests are answered here, before anybody asks for a password.

An origin that the policy does not name gets no header, and its preflight comes to no backend: its browser refuses. An answer's own allowance is replaced, so a backend cannot widen the policy.
"""

from collections.abc import Iterator

from weirkeeper.model.filters import Cors
from weirkeeper.providers.haproxy.translate.quoting import formatted, literal, word

_ALLOWED = "{ var(txn.origin) -m found }"
_PREFLIGHT = "{ method OPTIONS } { req.hdr(access-control-request-method) -m found }"
_WISHED = "%[req.fhdr(access-control-request-{})]"
_OF_ANSWERS = ("allow-origin", "allow-credentials", "expose-headers")


def asked(policy: Cors | None) -> Iterator[str]:
    """The rules for requests."""
    if policy is None:
        return
    for number, origin in enumerate(policy.origins):
        yield from _named(origin, number)
    headers = [("allow-origin", "%[var(txn.origin)]")]
    headers.append(("allow-methods", _WISHED.format("method") if policy.any_method else _listed(policy.methods)))
    headers.append(("allow-headers", _WISHED.format("headers") if policy.any_header else _listed(policy.headers)))
    headers.append(("expose-headers", _listed(policy.exposed)))
    headers.append(("allow-credentials", "true" if policy.credentials else ""))
    headers.append(("max-age", "" if policy.max_age is None else str(policy.max_age // 1000)))
    said = " ".join(f"hdr access-control-{name} {word(value)}" for name, value in headers if value)
    yield f"http-request return status 204 {said} hdr vary origin if {_PREFLIGHT} {_ALLOWED}"
    yield f"http-request return status 204 hdr vary origin if {_PREFLIGHT} {{ req.hdr(origin) -m found }}"


def _listed(names: tuple[str, ...]) -> str:
    return formatted(", ".join(names))


def told(policy: Cors | None) -> Iterator[str]:
    """The rules for answers."""
    if policy is None:
        return
    yield from (f"http-response del-header access-control-{name}" for name in _OF_ANSWERS)
    yield f"http-response set-header access-control-allow-origin %[var(txn.origin)] if {_ALLOWED}"
    if policy.credentials:
        yield f"http-response set-header access-control-allow-credentials true if {_ALLOWED}"
    if policy.exposed:
        names = literal(", ".join(policy.exposed))
        yield f"http-response set-header access-control-expose-headers {names} if {_ALLOWED}"
    yield "http-response add-header vary origin"


def _named(origin: str, number: int) -> Iterator[str]:
    """Keeps the origin of a request that this entry allows. A ``*`` stands for any characters; letter case means nothing in a host."""
    begin, star, end = origin.partition("*")
    fetch, acl = "req.fhdr(origin)", f"origin.{number}"
    if not star:
        yield f"acl {acl} {fetch} -m str -i -- {word(origin)}"
        yield f"http-request set-var(txn.origin) {fetch} if {acl}"
        return
    yield f"acl {acl}.any {fetch} -m found"
    terms = [f"{acl}.any"]
    for method, text in (("beg", begin), ("end", end)):
        if text:
            yield f"acl {acl}.{method} {fetch} -m {method} -i -- {word(text)}"
            terms.append(f"{acl}.{method}")
    yield f"http-request set-var(txn.origin) {fetch} if {' '.join(terms)}"
