"""Bodies of requests: limited in size, and read before the backend sees them, as far as they fit into HAProxy's buffer. In: a route. Out: rules."""

from collections.abc import Iterator

from weirkeeper.model.route import Route
from weirkeeper.providers.haproxy.translate.redirects import refused

TOO_LARGE = 413
BUFFERED = 12_288
"""What certainly fits into a buffer of 16 KiB beside the head of a request."""
_UNKNOWN = "!{ req.hdr(content-length) -m found }"
_MAY_HAVE = "!{ method GET HEAD OPTIONS }"


def bodies(route: Route) -> Iterator[str]:
    """The rules of a route. A body whose length nobody said is read first: what would not fit into a buffer is too large whatever the limit."""
    limit = route.body_limit
    if limit is not None:
        yield f"{refused(TOO_LARGE)} if {{ req.hdr_val(content-length) gt {limit} }}"
        yield f"http-request wait-for-body time 30s at-least {BUFFERED + 1} if {_UNKNOWN} {_MAY_HAVE}"
        yield f"{refused(TOO_LARGE)} if {_UNKNOWN} {{ req.body_len gt {min(limit, BUFFERED)} }}"
    if route.buffer_requests:
        yield f"http-request wait-for-body time 60s at-least {BUFFERED} if {_MAY_HAVE}"
