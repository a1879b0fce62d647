"""Who may pass: passwords, a service that is asked, addresses, limits, and TLS to backends. What cannot be fulfilled closes the hosts."""

from collections.abc import Iterator

from weirkeeper.controllers.base import CertificateWish
from weirkeeper.controllers.ingress.scope import Scope
from weirkeeper.controllers.shared.ids import id_of
from weirkeeper.controllers.shared.report import warning
from weirkeeper.controllers.shared.secrets import entries, secret_text
from weirkeeper.kube.types import ConfigMap
from weirkeeper.kube.types import Secret as SecretObject
from weirkeeper.model.backend import BackendTls, RequestAs
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.filters import (
    Auth,
    BasicAuth,
    ConnectionLimit,
    Credentials,
    Deny,
    ExternalAuth,
    HeaderValuePair,
    IpRules,
    LocalRateLimit,
    RateLimit,
)
from weirkeeper.model.finding import Effect, Reason
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import (
    Authority,
    HeaderName,
    HeaderValue,
    Hostname,
    Id,
    Method,
    PasswordHash,
    PemText,
    Refused,
    UserName,
    parse,
)
from weirkeeper.model.value import Milliseconds
from weirkeeper.model.words import TlsVersion, word

MOST_USERS = 5000
GET = Method("GET")
"""The method of nginx's own questions."""
UNTOUCHED = frozenset(
    {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that belong to the connection or to the request line."""


def auth(scope: Scope) -> tuple[Auth, ...]:
    """What is asked before a request passes."""
    found: list[Auth] = []
    options = scope.options
    if options.auth_type is not None or options.auth_secret is not None:
        found += _basic(scope)
    if options.auth_url is not None:
        found += _external(scope)
    elif options.auth_signin is not None:
        text = "auth-signin does nothing without auth-url"
        scope.tell(warning(Reason.ANNOTATION_WITHOUT_EFFECT, scope.annotation("auth-signin"), text, "add auth-url"))
    return (Deny(),) if scope.closed else tuple(found)


def _basic(scope: Scope) -> Iterator[Auth]:
    options, at = scope.options, scope.annotation("auth-secret")
    if options.auth_secret is None or options.auth_type is None:
        scope.close(
            Reason.INVALID_ANNOTATION,
            scope.annotation("auth-type"),
            "auth-type and auth-secret need each other",
            "give both",
        )
        return
    ref = scope.reference(options.auth_secret, "Secret")
    if isinstance(ref, Refused):
        scope.close(Reason.CROSS_NAMESPACE, at, f"auth-secret {ref.why}", "name a Secret of the same namespace")
        return
    secret = scope.read.get(scope.inputs.of(SecretObject), ref)
    if secret is None:
        scope.close_without(ref, at, Reason.SECRET_NOT_FOUND)
        return
    users = _users(secret, as_map=options.auth_secret_type == "auth-map")
    if isinstance(users, Refused):
        scope.close(
            Reason.INVALID_SECRET, at, f"the Secret {ref.key} {users.why}", 'put htpasswd lines under the key "auth"'
        )
        return
    yield BasicAuth(users=users, realm=options.auth_realm)


def _users(secret: SecretObject, *, as_map: bool) -> tuple[Credentials, ...] | Refused:
    lines: list[tuple[str, str]] = []
    for key in entries(secret) if as_map else ("auth",):
        text = secret_text(secret, key)
        if isinstance(text, Refused):
            return text
        rows = [(key, text.strip())] if as_map else [_split(line) for line in text.splitlines()]
        lines += [row for row in rows if row[0] and not row[0].startswith("#")]
    if not lines or len(lines) > MOST_USERS:
        return Refused(f"lists no user, or more than {MOST_USERS}")
    found: dict[str, Credentials] = {}
    for name, text in lines:
        user, kept = parse(UserName, name), parse(PasswordHash, text)
        if isinstance(user, Refused) or isinstance(kept, Refused) or not text:
            return Refused("has a line that is not user:hash")
        found.setdefault(user, Credentials(user=user, hash=Secret(kept)))
    return tuple(found.values())


def _split(line: str) -> tuple[str, str]:
    name, _, text = line.strip().partition(":")
    return name, text


def _external(scope: Scope) -> Iterator[Auth]:
    options, url = scope.options, scope.options.auth_url
    if url is None:
        return
    host = Authority(url.host if url.port == (443 if url.scheme == "https" else 80) else f"{url.host}:{url.port}")
    asked = RequestAs(host=host, method=options.auth_method or GET)
    backend = scope.url_backend(url, external=scope.ours.spec.allow_external_auth, requests_as=asked)
    if isinstance(backend, Refused):
        remedy = "name a Service that is there, as http://<service>.<namespace>.svc.cluster.local:<port>/<path>"
        scope.close(Reason.INVALID_ANNOTATION, scope.annotation("auth-url"), f"auth-url: {backend.why}", remedy)
        return
    headers = _question_headers(scope)
    yield ExternalAuth(
        backend=backend.id,
        path=url.path,
        query=url.query,
        method=options.auth_method,
        host=host,
        response_headers=options.auth_response_headers,
        sign_in=options.auth_signin,
        sign_in_parameter=options.auth_signin_parameter,
        always_set_cookie=options.auth_always_set_cookie,
        redirect=options.auth_redirect,
        headers=headers,
    )


def _question_headers(scope: Scope) -> tuple[HeaderValuePair, ...]:
    """The headers of auth-proxy-set-headers; the service may decide by them, so nobody passes without."""
    wished, at = scope.options.auth_headers, scope.annotation("auth-proxy-set-headers")
    if wished is None:
        return ()
    ref = scope.reference(wished, "ConfigMap")
    if isinstance(ref, Refused):
        why = f"auth-proxy-set-headers {ref.why}"
        scope.close(Reason.CROSS_NAMESPACE, at, why, "name a ConfigMap of the same namespace")
        return ()
    found = scope.read.get(scope.inputs.of(ConfigMap), ref)
    if found is None:
        scope.close_without(ref, at, Reason.CONFIGMAP_NOT_FOUND)
        return ()
    pairs: list[HeaderValuePair] = []
    for name, text in sorted((found.data or {}).items()):
        header, value = parse(HeaderName, name), parse(HeaderValue, text.strip())
        if isinstance(header, Refused) or isinstance(value, Refused) or "$" in text or name.lower() in UNTOUCHED:
            why = f"the ConfigMap {ref.key} has the entry {name[:60]!r}, which is no header with a literal value"
            scope.close(Reason.INVALID_ANNOTATION, at, why, "correct or remove the entry")
        else:
            pairs.append(HeaderValuePair(name=header, value=value))
    return tuple(pairs)


def ip_rules(scope: Scope) -> IpRules | None:
    """Who may come by address."""
    options = scope.options
    return IpRules(allow=options.allow, deny=options.deny) if options.allow or options.deny else None


def rate_limits(scope: Scope) -> tuple[RateLimit, ...]:
    """How much may come."""
    options, found = scope.options, list[RateLimit]()
    for amount, per in ((options.limit_rps, 1000), (options.limit_rpm, 60_000)):
        if amount is not None:
            found.append(
                LocalRateLimit(
                    amount=amount,
                    per=Milliseconds(per),
                    burst=amount * options.limit_burst,
                    except_from=options.limit_except,
                )
            )
    if options.limit_connections is not None:
        found.append(ConnectionLimit(amount=options.limit_connections, except_from=options.limit_except))
    return tuple(found)


def backend_tls(scope: Scope) -> BackendTls | None:
    """TLS to backends as the proxy-ssl annotations wish it."""
    options = scope.options
    given = options.ssl_secret or options.ssl_verify or options.ssl_name or options.ssl_protocols or options.ssl_ciphers
    over_tls = options.backend_protocol in {"HTTPS", "GRPCS"}
    if not given and not options.ssl_server_name:
        return BackendTls() if over_tls else None
    trust, client = _trust(scope)
    if options.ssl_verify and trust is None and not scope.closed:
        scope.close(
            Reason.INVALID_ANNOTATION,
            scope.annotation("proxy-ssl-verify"),
            "there is no authority to verify with",
            "put ca.crt into the Secret of proxy-ssl-secret",
        )
    named = options.ssl_name or options.upstream_vhost
    server = options.ssl_name
    if server is None and options.ssl_server_name and named is not None:
        typed = parse(Hostname, named.partition(":")[0].lower())
        server = None if isinstance(typed, Refused) else typed
    if options.ssl_verify and server is None:
        _tell_any_name(scope)
    return BackendTls(
        server_name=server,
        trust=trust,
        verify=options.ssl_verify,
        san_dns=(server,) if options.ssl_verify and server else (),
        client_certificate=client,
        depth=options.ssl_verify_depth,
        min_version=word(TlsVersion, options.ssl_protocols[0]) if options.ssl_protocols else None,
        max_version=word(TlsVersion, options.ssl_protocols[-1]) if options.ssl_protocols else None,
        ciphers=options.ssl_ciphers,
    )


def _trust(scope: Scope) -> tuple[Id | None, Id | None]:
    """The ids of the authorities and of our certificate in the Secret of proxy-ssl-secret."""
    wished, at = scope.options.ssl_secret, scope.annotation("proxy-ssl-secret")
    if wished is None:
        return None, None
    ref = scope.reference(wished, "Secret")
    if isinstance(ref, Refused):
        scope.close(Reason.CROSS_NAMESPACE, at, f"proxy-ssl-secret {ref.why}", "name a Secret of the same namespace")
        return None, None
    secret = scope.read.get(scope.inputs.of(SecretObject), ref)
    if secret is None:
        scope.close_without(ref, at, Reason.SECRET_NOT_FOUND)
        return None, None
    trust, client, held = None, None, entries(secret)
    text = secret_text(secret, "ca.crt")
    pem = text if isinstance(text, Refused) else parse(PemText, text)
    if not isinstance(pem, Refused) and "-----BEGIN CERTIFICATE-----" in pem:
        trust = id_of(scope.place, scope.name, ref.name, "ca")
        scope.bundles.append(TrustBundle(id=trust, certificates=pem, origin=at))
    elif "ca.crt" in held:
        scope.close(
            Reason.INVALID_SECRET, at, f"ca.crt of the Secret {ref.key} is not PEM", "put PEM certificates there"
        )
    if "tls.crt" in held:
        client = id_of(ref.namespace, ref.name)
        scope.certificates.append(CertificateWish(id=client, secret=ref, client=True, origin=at))
    return trust, client


def _tell_any_name(scope: Scope) -> None:
    """Says that a certificate of the authority for any name is good enough, as in ingress-nginx."""
    at = scope.annotation("proxy-ssl-verify")
    text = "the certificates of backends are verified by their authority alone: one for any name is accepted"
    scope.tell(warning(Reason.VERIFY_OFF, at, text, "name the backend in proxy-ssl-name", Effect.NONE))


def tell_unverified(scope: Scope) -> None:
    """Says that nothing is checked where backends are spoken to by TLS without verification."""
    at = scope.annotation("backend-protocol")
    text = "the certificates of backends are not verified"
    remedy = "set proxy-ssl-verify: on with proxy-ssl-secret and proxy-ssl-name"
    scope.tell(warning(Reason.VERIFY_OFF, at, text, remedy, Effect.NONE))
