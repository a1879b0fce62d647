"""What a route asks of others on the way: whether a request may pass, a copy of it, a page in place of an error; and cookies rewritten.

Comes in: a route's wishes, and where a backend is asked (a section's name). Goes out: rules that call the constant script, each with one argument in lines of a name and a value,
and no text of a line can begin another.
"""

from collections.abc import Callable, Iterable, Iterator

from weirkeeper.model.backend import Backend
from weirkeeper.model.filters import CookieRewrite, ErrorPages, ExternalAuth, Mirror
from weirkeeper.model.route import Route
from weirkeeper.model.text import Id
from weirkeeper.model.value import Fraction
from weirkeeper.providers.haproxy.translate.asking_script import ALLOWED
from weirkeeper.providers.haproxy.translate.quoting import Unspeakable, word
from weirkeeper.providers.haproxy.translate.redirects import refused

REFUSED = 500
UNAVAILABLE = 503
MILLION = 1_000_000
READ = "http-request wait-for-body time 5s"
"""As much of a body as fits into a buffer, if it comes in time."""
AskedOf = Callable[[Id], tuple[str, Backend] | None]
"""The section in which a backend is asked, and that backend."""


def authorized(wished: ExternalAuth, asked_of: AskedOf) -> Iterator[str]:
    """The rules that let only those pass whom the service lets pass. It decides for everybody that it cannot be asked about: nobody passes."""
    found = asked_of(wished.backend)
    if found is None or wished.grpc:
        yield refused(UNAVAILABLE)
        return
    if wished.body_bytes:
        yield READ
    yield f"http-request set-var({ALLOWED}) str(no)"
    yield f"http-request lua.authorize {_argument(_of_service(wished, *found))}"
    yield f"{refused(REFUSED)} unless {{ var({ALLOWED}) -m str yes }}"


def remembered(route: Route) -> Iterator[str]:
    """Cookies of the services that were asked, in the answer."""
    if any(isinstance(one, ExternalAuth) for one in route.auth):
        yield "http-response lua.authorized"


def copied(mirrors: Iterable[Mirror], asked_of: AskedOf) -> Iterator[str]:
    """The rules that send copies. They stand last: a copy is what the backend sees."""
    known = [(one, found[0]) for one in mirrors if (found := asked_of(one.backend)) is not None]
    if known:
        yield f"{READ} if {{ req.hdr(content-length) -m found }}"
    for one, to in known:
        lines = [("to", to), *([("host", one.host)] if one.host else [])]
        yield f"http-request lua.copy {_argument(lines)}{_share(one.share)}"


def pages_asked(pages: ErrorPages | None, asked_of: AskedOf) -> Iterator[str]:
    """The rules for requests: what a page must know is kept, and nobody but us answers where there is no endpoint."""
    if pages is None:
        return
    yield "http-request lua.keep"
    if UNAVAILABLE in (*pages.codes, *pages.own_codes):
        yield f"http-request lua.page_of_ours {_of_page(pages, asked_of)} if {{ nbsrv eq 0 }}"


def pages_told(pages: ErrorPages | None, asked_of: AskedOf) -> Iterator[str]:
    """The rules for answers."""
    if pages is not None and pages.codes:
        codes = " ".join(str(code) for code in pages.codes)
        yield f"http-response lua.page {_of_page(pages, asked_of)} if {{ status {codes} }}"


def cookies_rewritten(rewrites: tuple[CookieRewrite, ...]) -> Iterator[str]:
    """Attributes of cookies, replaced."""
    if rewrites:
        lines = [(one.attribute, f"{_old(one)} {one.new}") for one in rewrites if " " not in one.old]
        yield f"http-response lua.cookies {_argument(lines)}"


def _old(one: CookieRewrite) -> str:
    return one.old if one.attribute == "path" else one.old.lower().removeprefix(".")


def _of_service(wished: ExternalAuth, to: str, backend: Backend) -> Iterator[tuple[str, str]]:
    own = backend.requests_as
    yield "to", to
    yield "method", wished.method or (own and own.method) or "GET"
    yield "path", f"{wished.path}?{wished.query}" if wished.query else wished.path
    yield "timeout", str(wished.timeout)
    if wished.original:
        yield "original", "yes"
    if wished.any_response_header:
        yield "tell_all", "yes"
    if host := wished.host or (own and own.host):
        yield "host", host
    if wished.body_bytes:
        yield "body", str(wished.body_bytes)
    if wished.sign_in is not None:
        yield "sign_in", wished.sign_in
        yield "parameter", wished.sign_in_parameter
    yield from (("pass", name.lower()) for name in wished.request_headers)
    yield from (("tell", name.lower()) for name in wished.response_headers)
    if wished.redirect is not None:
        yield "header", f"x-auth-request-redirect {wished.redirect}"
    yield from (("header", f"{pair.name.lower()} {pair.value}") for pair in wished.headers)


def _of_page(pages: ErrorPages, asked_of: AskedOf) -> str:
    found = asked_of(pages.backend)
    lines = [
        ("to", found[0] if found else ""),
        *(("header", f"{pair.name.lower()} {pair.value}") for pair in pages.headers),
    ]
    return _argument(lines)


def _share(share: Fraction | None) -> str:
    if share is None:
        return ""
    return f" if {{ rand({MILLION}) lt {min(MILLION, share.numerator * MILLION // max(share.denominator, 1))} }}"


def _argument(lines: Iterable[tuple[str, str]]) -> str:
    found = [f"{name} {value}" for name, value in lines]
    if any("\n" in line for line in found):
        raise Unspeakable("a line in a line")
    return word("".join(line + "\n" for line in found))
