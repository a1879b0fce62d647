"""What all routes of one Ingress have in common, from its options: one route as a template, made once."""

import msgspec

from weirkeeper.controllers.ingress import access
from weirkeeper.controllers.ingress.annotations.options import Options
from weirkeeper.controllers.ingress.scope import Scope
from weirkeeper.controllers.shared.reach import NoBackend
from weirkeeper.controllers.shared.report import error, warning
from weirkeeper.controllers.shared.secrets import known_absent
from weirkeeper.controllers.shared.services import service_ref
from weirkeeper.kube.types import ConfigMap, IngressBackend, Service, ServiceBackendPort
from weirkeeper.model.filters import (
    Affinity,
    CookieAffinity,
    CookieRewrite,
    Cors,
    ErrorPages,
    HashOn,
    HeaderEdit,
    HeaderValuePair,
    LocationRewrite,
    Mirror,
    Retry,
    Timeouts,
)
from weirkeeper.model.finding import Effect, Reason
from weirkeeper.model.route import Redirect, Route
from weirkeeper.model.text import Authority, HeaderName, HeaderValue, Id, Method, PathText, Refused, WebOrigin, parse
from weirkeeper.model.value import Milliseconds
from weirkeeper.model.words import CookieAttribute, HashSource, RetryCondition, SameSite, Scheme, word

CORS_METHODS = tuple(Method(m) for m in ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"))
CORS_HEADERS = tuple(
    HeaderName(h)
    for h in (
        "DNT",
        "Keep-Alive",
        "User-Agent",
        "X-Requested-With",
        "If-Modified-Since",
        "Cache-Control",
        "Content-Type",
        "Range",
        "Authorization",
    )
)
CORS_MAX_AGE = Milliseconds(1_728_000_000)
STATUSES = {f"http_{code}": code for code in (403, 404, 429, 500, 502, 503, 504)}
CONDITIONS: dict[str, tuple[RetryCondition, ...]] = {
    "error": ("connect", "reset"),
    "timeout": ("connect",),
    "invalid_header": ("reset",),
}
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length", "host"}
)


def template(scope: Scope) -> Route:
    """A route with everything but its id, match and action."""
    options = scope.options
    return Route(
        id=Id("template"),
        action=_elsewhere(options) or Redirect(),
        request_headers=_request_headers(options),
        response_headers=_response_headers(scope),
        forwarded_prefix=options.forwarded_prefix,
        mirrors=_mirrors(scope),
        cors=cors(options),
        ip_rules=access.ip_rules(scope),
        rate_limits=access.rate_limits(scope),
        body_limit=options.body_size or None,
        buffer_requests=options.request_buffering,
        error_pages=_error_pages(scope),
        cookie_rewrites=_cookie_rewrites(options),
        location_rewrites=_location_rewrites(scope),
        timeouts=_timeouts(options),
        retry=_retry(options),
        access_log=options.access_log,
        created_at=scope.origin.created_at,
        auth=access.auth(scope),
        origin=scope.origin,
    )


def _elsewhere(options: Options) -> Redirect | None:
    """The redirect that takes the place of all backends; the temporal one goes first, as in ingress-nginx."""
    for url, status in (
        (options.temporal_redirect, options.temporal_redirect_code),
        (options.permanent_redirect, options.permanent_redirect_code),
    ):
        if url is not None:
            default = 443 if url.scheme == "https" else 80
            if url.keeps_request and url.path == "/" and url.query is None:
                port = url.port if url.port != default else None
                return Redirect(scheme=word(Scheme, url.scheme), host=Authority(url.host), port=port, status=status)
            return Redirect(to=_rooted(url.text), status=status)
    return None


def _rooted(url: HeaderValue) -> HeaderValue:
    """The URL with the path `/` where it has none: the same one (RFC 3986, 6.2.3), and every engine shows it alike."""
    scheme, mark, rest = url.partition("://")
    end = min((at for at in (rest.find("?"), rest.find("#")) if at >= 0), default=len(rest))
    return url if not mark or "/" in rest[:end] else HeaderValue(f"{scheme}://{rest[:end]}/{rest[end:]}")


def redirects_all(options: Options) -> bool:
    """Whether the Ingress only redirects."""
    return options.temporal_redirect is not None or options.permanent_redirect is not None


def _request_headers(options: Options) -> HeaderEdit | None:
    if options.connection_header is None:
        return None
    return HeaderEdit(set=(HeaderValuePair(name=HeaderName("Connection"), value=options.connection_header),))


def _response_headers(scope: Scope) -> HeaderEdit | None:
    wished, at = scope.options.custom_headers, scope.annotation("custom-headers")
    if wished is None:
        return None
    ref = scope.reference(wished, "ConfigMap")
    if isinstance(ref, Refused):
        text = f"custom-headers {ref.why}; it is ignored"
        scope.tell(error(Reason.CROSS_NAMESPACE, at, text, "name a ConfigMap of the same namespace", Effect.IGNORED))
        return None
    found = scope.read.get(scope.inputs.of(ConfigMap), ref)
    if found is None:
        if known_absent(scope.read, scope.inputs, ref):
            text = f"the ConfigMap {ref.key} is not there; its headers are not set"
            scope.tell(error(Reason.CONFIGMAP_NOT_FOUND, at, text, "create it", Effect.IGNORED))
        elif (refused := scope.read.get(scope.inputs.unread, ref)) is not None:
            text = f"{refused.for_user}; its headers are not set"
            scope.tell(error(Reason.NOT_LISTED, at, text, refused.remedy, Effect.IGNORED))
        return None
    pairs: list[HeaderValuePair] = []
    for name, value in sorted((found.data or {}).items()):
        header, content = parse(HeaderName, name), parse(HeaderValue, value.strip())
        if isinstance(header, Refused) or isinstance(content, Refused) or name.lower() in HOP_BY_HOP:
            text = f"the ConfigMap {ref.key} has the entry {name[:60]!r}, which is no header that may be set; it is left out"
            scope.tell(error(Reason.INVALID_ANNOTATION, at, text, "correct or remove the entry", Effect.IGNORED))
        else:
            pairs.append(HeaderValuePair(name=header, value=content))
    return HeaderEdit(set=tuple(pairs)) if pairs else None


def _mirrors(scope: Scope) -> tuple[Mirror, ...]:
    url = scope.options.mirror_target
    if url is None:
        return ()
    backend = scope.url_backend(url, external=scope.ours.spec.allow_external_name)
    if isinstance(backend, Refused):
        text = f"mirror-target: {backend.why}; nothing is copied"
        remedy = "name a Service as http://<service>.<namespace>.svc.cluster.local:<port>"
        scope.tell(error(Reason.INVALID_ANNOTATION, scope.annotation("mirror-target"), text, remedy, Effect.IGNORED))
        return ()
    return (Mirror(backend=backend.id, host=scope.options.mirror_host or Authority(url.host)),)


def cors(options: Options) -> Cors | None:
    """The policy for cross-origin requests; with the origin ``*`` no credentials, as browsers demand."""
    if not options.enable_cors:
        return None
    origins = options.cors_origins or (WebOrigin("*"),)
    return Cors(
        origins=origins,
        methods=options.cors_methods or CORS_METHODS,
        headers=options.cors_headers or CORS_HEADERS,
        exposed=options.cors_exposed,
        credentials=options.cors_credentials is not False and "*" not in origins,
        max_age=CORS_MAX_AGE if options.cors_max_age is None else options.cors_max_age,
    )


def _error_pages(scope: Scope) -> ErrorPages | None:
    options = scope.options
    if options.default_backend is None:
        if options.custom_errors:
            text = "custom-http-errors does nothing without default-backend"
            at = scope.annotation("custom-http-errors")
            scope.tell(warning(Reason.ANNOTATION_WITHOUT_EFFECT, at, text, "add default-backend with a Service"))
        return None
    at = scope.annotation("default-backend")
    ref = service_ref(scope.ref, options.default_backend)
    service = scope.read.get(scope.inputs.of(Service), ref)
    ports = service.spec.ports if service is not None else ()
    found = scope.service(ref, ServiceBackendPort(number=ports[0].port if ports else 0))
    if isinstance(found, NoBackend):
        scope.tell(
            error(found.reason, at, f"default-backend: {found.why.partition(';')[0]}", found.remedy, Effect.IGNORED)
        )
        return None
    backend = scope.keep(found.backend, found.wish)
    return ErrorPages(
        codes=tuple(sorted({*options.custom_errors})),
        own_codes=(503,),
        backend=backend.id,
        headers=_told({"X-Namespace": scope.ref.namespace, "X-Ingress-Name": scope.ref.name}),
    )


def with_service(pages: ErrorPages, backend: IngressBackend) -> ErrorPages:
    """The pages, told which Service and port of the Ingress the request was for."""
    wished = backend.service
    if wished is None:
        return pages
    port = wished.port.name or str(wished.port.number)
    more = _told({"X-Service-Name": wished.name, "X-Service-Port": port})
    return msgspec.structs.replace(pages, headers=(*pages.headers, *more))


def _told(headers: dict[str, str]) -> tuple[HeaderValuePair, ...]:
    pairs = [(name, parse(HeaderValue, value)) for name, value in headers.items()]
    return tuple(HeaderValuePair(name=HeaderName(n), value=v) for n, v in pairs if not isinstance(v, Refused))


def _cookie_rewrites(options: Options) -> tuple[CookieRewrite, ...]:
    wished: tuple[tuple[CookieAttribute, tuple[HeaderValue, HeaderValue] | None], ...] = (
        ("path", options.cookie_paths),
        ("domain", options.cookie_domains),
    )
    return tuple(CookieRewrite(attribute=a, old=pair[0], new=pair[1]) for a, pair in wished if pair is not None)


def _location_rewrites(scope: Scope) -> tuple[LocationRewrite, ...]:
    old, new = scope.options.location_from, scope.options.location_to
    if (old is None) != (new is None):
        text = "proxy-redirect-from and proxy-redirect-to need each other; neither is applied"
        at = scope.annotation("proxy-redirect-from" if new is None else "proxy-redirect-to")
        scope.tell(warning(Reason.ANNOTATION_WITHOUT_EFFECT, at, text, "give both"))
    return () if old is None or new is None else (LocationRewrite(old=old, new=new),)


def _timeouts(options: Options) -> Timeouts:
    limits = [limit for limit in (options.read_timeout, options.send_timeout) if limit is not None]
    return Timeouts(idle=max(limits)) if limits else Timeouts()


def _retry(options: Options) -> Retry | None:
    words = options.retry_on
    if words is None:
        return None
    if "off" in words:
        return Retry(attempts=0)
    conditions = {condition for word in words for condition in CONDITIONS.get(word, ())}
    return Retry(
        attempts=(options.retry_tries or 10) - 1,
        statuses=tuple(sorted(STATUSES[word] for word in words if word in STATUSES)),
        conditions=tuple(sorted(conditions)),
        non_idempotent="non_idempotent" in words,
    )


def affinity(options: Options, path: PathText) -> Affinity | None:
    """What keeps a client on an endpoint; the cookie goes before the hash, as in ingress-nginx."""
    if options.affinity is not None:
        return CookieAffinity(
            name=options.cookie_name,
            path=options.cookie_path or path,
            domain=options.cookie_domain,
            ttl=options.cookie_max_age or options.cookie_expires,
            secure=options.cookie_secure,
            same_site=word(SameSite, options.cookie_same_site),
            persistent=options.affinity_mode == "persistent",
        )
    return (
        None if options.hash_by is None else HashOn(on=word(HashSource, options.hash_by.on), name=options.hash_by.name)
    )


def unheard(route: Route) -> Route:
    """The template without what guards and changes requests, for redirects that go before everything."""
    return Route(
        id=route.id, action=route.action, access_log=route.access_log, created_at=route.created_at, origin=route.origin
    )
