"""Services that decide on each request (GEP-1494, HTTPExternalAuthFilter): the filter as the model's guard.

Comes in: the filter. Goes out: an ``ExternalAuth``, or a ``Deny`` where the service cannot be asked: nobody passes because a reference is wrong.
"""

import re
from collections.abc import Sequence

from weirkeeper.controllers.gateway.matches import WrongMatch, typed
from weirkeeper.controllers.gateway.references import Gathered
from weirkeeper.kube.gateway_experimental import HttpAuthConfig
from weirkeeper.kube.gateway_routes import ExternalAuthSpec
from weirkeeper.model.filters import Deny, ExternalAuth
from weirkeeper.model.text import HeaderName, Id, PathText, shown
from weirkeeper.model.value import ByteCount

PLAIN_PATH = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+", re.ASCII)
"""Of what a path consists (RFC 3986, pchar)."""
MOST_BYTES = 4 * 1024 * 1024
"""A body is held while it is asked about."""


def external_auth(one: ExternalAuthSpec, gathered: Gathered) -> ExternalAuth | Deny:
    """The guard of a rule with this filter."""
    if one.protocol not in ("HTTP", "GRPC"):
        raise WrongMatch(f"the protocol {shown(one.protocol)} of the authorization is neither HTTP nor GRPC")
    grpc = one.protocol == "GRPC"
    if grpc and one.grpc is not None and one.grpc.allowed_headers:
        raise WrongMatch("a service that is asked by gRPC gets all headers here: they cannot be chosen")
    body = _body(one)
    backend = gathered.backend(one.backend_ref, grpc=grpc)
    if backend is None:
        return Deny(status=500)
    if grpc:
        return ExternalAuth(backend=backend, grpc=True, original=True, body_bytes=body)
    return _by_http(one.http or HttpAuthConfig(), backend, body)


def _by_http(wished: HttpAuthConfig, backend: Id, body: ByteCount | None) -> ExternalAuth:
    told = _names(wished.allowed_response_headers or ())
    return ExternalAuth(
        backend=backend,
        original=True,
        path=_prefix(wished.path or ""),
        request_headers=_names(wished.allowed_headers or ()),
        response_headers=told,
        any_response_header=not told,
        body_bytes=body,
    )


def _prefix(text: str) -> PathText:
    path = typed(PathText, f"/{text.lstrip('/')}", "the path of the authorization")
    if PLAIN_PATH.fullmatch(path) is None or {".", ".."} & set(path.split("/")):
        raise WrongMatch(f"the path {shown(text)} of the authorization cannot stand before another one")
    return path


def _body(one: ExternalAuthSpec) -> ByteCount | None:
    most = one.forward_body.max_size if one.forward_body is not None else None
    if not most or most < 0:
        return None
    if most > MOST_BYTES:
        raise WrongMatch(f"a body of at most {MOST_BYTES} bytes can be shown to the authorization, not of {most}")
    return ByteCount(most)


def _names(texts: Sequence[str]) -> tuple[HeaderName, ...]:
    return tuple(typed(HeaderName, text, "the header's name") for text in texts)
