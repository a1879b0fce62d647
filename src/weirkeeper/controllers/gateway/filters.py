"""Filters of routes as fields of the model's route.

Comes in: the filters of a rule, in their order. Goes out: ``Filtered``, or a ``WrongMatch``: a filter that cannot be used is never skipped, its requests are answered 500
(Gateway API, HTTPRouteRule.filters).
"""

from collections.abc import Sequence

import msgspec

from weirkeeper.controllers.gateway.external_auth import external_auth
from weirkeeper.controllers.gateway.matches import WrongMatch, typed
from weirkeeper.controllers.gateway.references import Gathered
from weirkeeper.kube.gateway_routes import (
    CorsSpec,
    HeaderModifier,
    HeaderPair,
    HttpBackendReference,
    PathModifier,
    RequestMirror,
    RouteFilter,
    UrlRewriteSpec,
)
from weirkeeper.kube.gateway_routes import RequestRedirect as RedirectSpec
from weirkeeper.model.filters import (
    Auth,
    Cors,
    FullPath,
    HeaderEdit,
    HeaderValuePair,
    Mirror,
    PathRewrite,
    PrefixPath,
    UrlRewrite,
)
from weirkeeper.model.route import Redirect
from weirkeeper.model.text import Authority, HeaderName, HeaderValue, Method, PathText, WebOrigin, shown
from weirkeeper.model.value import Fraction, Value, seconds
from weirkeeper.model.words import Scheme, word

REDIRECTING = (301, 302, 303, 307, 308)


class Filtered(Value, frozen=True, kw_only=True):
    """What filters do to requests and answers."""

    request_headers: HeaderEdit | None = None
    response_headers: HeaderEdit | None = None
    redirect: Redirect | None = None
    rewrite: UrlRewrite | None = None
    mirrors: tuple[Mirror, ...] = ()
    cors: Cors | None = None
    auth: tuple[Auth, ...] = ()


def filtered(filters: Sequence[RouteFilter], gathered: Gathered, *, grpc: bool = False) -> Filtered:
    """The filters of a rule."""
    found, seen = Filtered(), set[str]()
    for one in filters:
        if one.type in seen and one.type != "RequestMirror":
            raise WrongMatch(f"the filter {shown(one.type)} stands there twice")
        seen.add(one.type)
        found = _with(found, one, gathered, grpc=grpc)
    if found.redirect is not None and found.rewrite is not None:
        raise WrongMatch("RequestRedirect and URLRewrite exclude each other")
    return found


def _with(found: Filtered, one: RouteFilter, gathered: Gathered, *, grpc: bool) -> Filtered:
    match one.type:
        case "RequestHeaderModifier" if one.request_header_modifier is not None:
            return msgspec.structs.replace(found, request_headers=_edit(one.request_header_modifier))
        case "ResponseHeaderModifier" if one.response_header_modifier is not None:
            return msgspec.structs.replace(found, response_headers=_edit(one.response_header_modifier))
        case "RequestMirror" if one.request_mirror is not None:
            mirror = _mirror(one.request_mirror, gathered, grpc=grpc)
            return msgspec.structs.replace(found, mirrors=(*found.mirrors, mirror)) if mirror is not None else found
        case "RequestRedirect" if one.request_redirect is not None and not grpc:
            return msgspec.structs.replace(found, redirect=_redirect(one.request_redirect))
        case "URLRewrite" if one.url_rewrite is not None and not grpc:
            return msgspec.structs.replace(found, rewrite=_rewrite(one.url_rewrite))
        case "CORS" if one.cors is not None and not grpc:
            return msgspec.structs.replace(found, cors=_cors(one.cors))
        case "ExternalAuth" if one.external_auth is not None and not grpc:
            return msgspec.structs.replace(found, auth=(*found.auth, external_auth(one.external_auth, gathered)))
        case _:
            raise WrongMatch(f"the filter {shown(one.type)} is not known here")


def backend_rewrite(backends: Sequence[HttpBackendReference]) -> UrlRewrite | None:
    """The rewrite that stands at the backends of a rule: the same at each, since engines rewrite for a rule and not for a share of it."""
    found = [
        [one.url_rewrite for one in ref.filters or () if one.type == "URLRewrite" and one.url_rewrite is not None]
        for ref in backends
    ]
    if not any(found):
        return None
    if any(one != found[0] for one in found) or len(found[0]) > 1:
        raise WrongMatch("URLRewrite at a backend has to be the same at all backends of its rule here")
    return _rewrite(found[0][0])


def header_edit(filters: Sequence[RouteFilter]) -> tuple[HeaderEdit | None, HeaderEdit | None]:
    """The edits of requests and answers of one backend alone; a rewrite there is its rule's (``backend_rewrite``), and another filter cannot be there."""
    request = response = None
    for one in filters:
        if one.type == "RequestHeaderModifier" and one.request_header_modifier is not None:
            request = _edit(one.request_header_modifier)
        elif one.type == "ResponseHeaderModifier" and one.response_header_modifier is not None:
            response = _edit(one.response_header_modifier)
        elif one.type != "URLRewrite" or one.url_rewrite is None:
            raise WrongMatch(f"the filter {shown(one.type)} cannot stand at a backend here")
    return request, response


def _edit(one: HeaderModifier) -> HeaderEdit:
    return HeaderEdit(
        set=tuple(_pair(pair) for pair in one.set or ()),
        add=tuple(_pair(pair) for pair in one.add or ()),
        remove=tuple(typed(HeaderName, name, "the header's name") for name in one.remove or ()),
    )


def _pair(pair: HeaderPair) -> HeaderValuePair:
    return HeaderValuePair(
        name=typed(HeaderName, pair.name, "the header's name"),
        value=typed(HeaderValue, pair.value.strip(), "the header's value"),
    )


def _mirror(one: RequestMirror, gathered: Gathered, *, grpc: bool) -> Mirror | None:
    backend = gathered.backend(one.backend_ref, grpc=grpc)
    if backend is None:
        return None
    return Mirror(backend=backend, share=_share(one), calls=grpc)


def _share(one: RequestMirror) -> Fraction | None:
    if one.fraction is not None:
        share = Fraction(numerator=one.fraction.numerator, denominator=one.fraction.denominator or 100)
    elif one.percent is not None:
        share = Fraction(numerator=one.percent)
    else:
        return None
    if not 0 <= share.numerator <= share.denominator:
        raise WrongMatch("a share of copies lies between nothing and all")
    return share


def _redirect(one: RedirectSpec) -> Redirect:
    if one.scheme not in (None, "http", "https"):
        raise WrongMatch(f"the scheme {shown(one.scheme)} is neither http nor https")
    if one.status_code not in (None, *REDIRECTING) or (one.port is not None and not 0 < one.port <= 65535):
        raise WrongMatch("a redirect has a status of 301, 302, 303, 307 or 308, and a port from 1 to 65535")
    return Redirect(
        scheme=word(Scheme, one.scheme),
        host=None if one.hostname is None else typed(Authority, one.hostname, "the host name"),
        port=one.port,
        path=_path(one.path),
        status=one.status_code or 302,
    )


def _rewrite(one: UrlRewriteSpec) -> UrlRewrite:
    host = None if one.hostname is None else typed(Authority, one.hostname, "the host name")
    return UrlRewrite(host=host, path=_path(one.path))


def _path(one: PathModifier | None) -> PathRewrite | None:
    if one is None:
        return None
    if one.type == "ReplaceFullPath":
        return FullPath(value=_text(one.replace_full_path or "/"))
    if one.type == "ReplacePrefixMatch":
        return PrefixPath(value=_text(one.replace_prefix_match or "/"))
    raise WrongMatch(f"the path modifier {shown(one.type)} is not known here")


def _text(text: str) -> PathText:
    return typed(PathText, text if text.startswith("/") else f"/{text}", "the path")


def _cors(one: CorsSpec) -> Cors:
    methods, headers = one.allow_methods or (), one.allow_headers or ()
    return Cors(
        origins=tuple(typed(WebOrigin, text, "the origin") for text in one.allow_origins or ()),
        methods=tuple(typed(Method, text, "the method") for text in methods if text != "*"),
        headers=_names([text for text in headers if text != "*"]),
        any_method="*" in methods,
        any_header="*" in headers,
        exposed=_names(one.expose_headers or ()),
        credentials=bool(one.allow_credentials),
        max_age=seconds(one.max_age if one.max_age is not None else 5),
    )


def _names(texts: Sequence[str]) -> tuple[HeaderName, ...]:
    return tuple(typed(HeaderName, text, "the header's name") for text in texts)
