"""One spelling for each path and each host, before anything is matched: a guard of a path holds for all ways to write it (decision 0016, RFC 3986, 6.2.2).

Comes in: how a listener wishes paths to be read. Goes out: rules at the head of its frontend. Nearly every request is plain, and passes one expression; the others are marked and looked at closely.
"""

from collections.abc import Iterator, Mapping

from weirkeeper.model.listener import HttpOptions
from weirkeeper.providers.haproxy.translate.quoting import argument, word

_PLAIN = r"[A-Za-z0-9_~!$&'()*+,:=@-]"
PLAIN = rf"^(?:/{_PLAIN}(?:{_PLAIN}|\.)*+)*+/?(?:\?[!\"$-~]*+)?\z"
"""Paths that are written in one way only: no dot segments, no empty ones, no percent sign, no parameters; then any query."""
ODD = "{ var(txn.odd) -m found }"
REFUSED = "http-request return status 400 if"
ENCODED = {"\\": "/", '"': "%22", "<": "%3C", ">": "%3E", "^": "%5E", "`": "%60", "{": "%7B", "|": "%7C", "}": "%7D"}
"""What no path may hold as it is (RFC 3986, 3.3) and clients send all the same. A backslash is a slash, as in browsers."""
PARAMETERS = "/([.][.]?);[^/]*"
"""A dot segment with parameters: there are backends that do not look at these."""


def path_rules(http: HttpOptions, *, secure: bool) -> Iterator[str]:
    """The rules of one frontend."""
    yield "http-request return status 405 if METH_CONNECT"
    yield from _absolute(secure=secure)
    yield f"http-request set-var(txn.odd) bool(true) unless {{ pathq -m reg -- {word(PLAIN)} }}"
    yield f"{REFUSED} {ODD} !{{ path -m beg / }}"
    yield f"{REFUSED} {ODD} {{ pathq -m reg -- '[^!-~]|#' }}"
    if http.escaped_slashes == "reject":
        yield f"{REFUSED} {ODD} {{ path -m sub -i %2f %5c }}"
    if http.normalise_path:
        yield from _normalised()
    if http.merge_slashes:
        yield f"http-request normalize-uri path-merge-slashes if {ODD}"


def host_rules() -> Iterator[str]:
    """The host as rows of a map are written: in lower case, without a port and without the dot of the root. ``txn.host`` is the host."""
    yield "http-request set-var(txn.host) req.fhdr(host),host_only,lower"
    rooted = "{ var(txn.host) -m end . }"
    yield f"http-request replace-header host '^([^:]*[^.:])\\.(:.*)?$' '\\1\\2' if {rooted}"
    yield f"http-request set-var(txn.host) req.fhdr(host),host_only,lower if {rooted}"
    yield "http-request return status 400 if { var(txn.host) -m sub / ? * , }"


def _absolute(*, secure: bool) -> Iterator[str]:
    """A target with a scheme and a host is read as one without (RFC 9112, 3.2.2). HTTP/2 requests look like that to HAProxy, and are right already."""
    whole = "!{ url -m beg / } { req.ver 1.0 1.1 }"
    yield f"{REFUSED} {whole} !{{ url -m beg -i http://{' https://' * secure} }}"
    yield f"{REFUSED} {whole} {{ url,field(3,/) -m len 0 }}"
    yield f"http-request set-header host {word('%[url,field(3,/),field(-1,@)]')} if {whole}"
    yield f"http-request set-uri %[pathq] if {whole} {{ path -m found }}"
    yield f"http-request set-uri / if {whole}"


def _normalised() -> Iterator[str]:
    yield f"{REFUSED} {ODD} {{ path -m sub -i %00 }}"
    yield f"{REFUSED} {ODD} {{ path -m reg -- '%(?![0-9A-Fa-f]{{2}})' }}"
    yield _replaced({PARAMETERS: r"/\1"})
    yield _replaced({f"[\\{raw}]": encoded for raw, encoded in ENCODED.items()})
    yield "http-request set-var(txn.asked) query if { query -m sub % }"
    yield "http-request normalize-uri percent-decode-unreserved"  # HAProxy 2.6 takes it for another one where a condition follows
    yield "http-request set-query '%[var(txn.asked)]' if { var(txn.asked) -m found }"
    yield f"{REFUSED} {ODD} {{ path -m reg -- '/[.][.]?;' }}"
    yield f"http-request normalize-uri path-strip-dot if {ODD}"
    yield f"http-request normalize-uri path-strip-dotdot full if {ODD}"


def _replaced(texts: Mapping[str, str]) -> str:
    """The rule that puts other texts in the place of what these expressions find in a path."""
    steps = ",".join(f"regsub({argument(found)},{argument(text)},g)" for found, text in texts.items())
    found = "|".join(texts)
    return f"http-request set-path {word(f'%[path,{steps}]')} if {ODD} {{ path -m reg -- {word(found)} }}"
