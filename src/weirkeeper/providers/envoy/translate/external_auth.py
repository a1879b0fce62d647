"""A service that is asked before each request, by HTTP or gRPC: one filter for all services of a kind, its settings per route.

The service is asked for its own path. What it needs to know of the request is in ``X-Original-*`` headers as ingress-nginx sends them; their
values are formatted by Envoy from the request. Which of a request's headers go along is a setting of the filter, which routes cannot change; so they are
formatted too. No text of a tenant stands in a format but names of headers, between parentheses: they can hold none, and ``%`` means nothing there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from envoy.config.core.v3 import base_pb2, grpc_service_pb2, http_uri_pb2
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2

from weirkeeper.model.filters import ExternalAuth
from weirkeeper.providers.envoy.translate.newer import asked_path
from weirkeeper.providers.envoy.translate.values import duration, literal, packed

ORIGINAL = (
    ("x-original-url", "%REQ(X-FORWARDED-PROTO)%://%REQ(:AUTHORITY)%%REQ(:PATH)%"),
    ("x-original-method", "%REQ(:METHOD)%"),
    ("x-auth-request-redirect", "%REQ(:PATH)%"),
    ("x-sent-from", "weirkeeper"),
)
PASSED = (
    "cookie",
    "accept",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-request-id",
    "origin",
    "referer",
)
OF_THE_ANSWER = (
    ":",
    "connect",
    "content-",
    "date",
    "host",
    "keep-alive",
    "server",
    "set-cookie",
    "te ",
    "trailer",
    "transfer-",
    "upgrade",
    "x-envoy-",
)
"""Beginnings of headers that speak of the service's answer itself, and never of the request that it lets pass; a space is the end of a name."""


def claimable(wished: ExternalAuth) -> list[str]:
    """The headers that backends get from the service alone: a client's own must go before it is asked, for Envoy leaves them where the service says nothing. Those that the service is told stay."""
    told = {"authorization", *PASSED, *(name.lower() for name in wished.request_headers)}
    return [name for name in dict.fromkeys(one.lower() for one in wished.response_headers) if name not in told]


def external_auth_config(wished: ExternalAuth) -> Any:
    """The filter's configuration for one route."""
    if wished.grpc:
        settings = ext_authz_pb2.CheckSettings(grpc_service=_grpc_service(wished))
    else:
        settings = ext_authz_pb2.CheckSettings(
            http_service=_as_it_came(wished) if wished.original else http_service(wished)
        )
    if wished.body_bytes:
        settings.with_request_body.max_request_bytes = wished.body_bytes
        settings.with_request_body.allow_partial_message = not wished.original
        settings.with_request_body.pack_as_bytes = wished.grpc
    else:
        settings.disable_request_body_buffering = True
    return packed(ext_authz_pb2.ExtAuthzPerRoute(check_settings=settings))


def http_service(wished: ExternalAuth) -> Any:
    """How the service is asked."""
    made = ext_authz_pb2.HttpService(server_uri=_uri(wished))
    asked_path(made, f"{wished.path}?{wished.query}" if wished.query else wished.path)
    told = {
        **_passed(PASSED),
        **_passed(wished.request_headers),
        **dict(ORIGINAL),
        **{pair.name.lower(): literal(pair.value) for pair in wished.headers},
    }
    if wished.redirect is not None:
        told["x-auth-request-redirect"] = literal(wished.redirect)
    _tell(made, told)
    answer = made.authorization_response
    if wished.response_headers:
        answer.allowed_upstream_headers.CopyFrom(_named(wished.response_headers))
    answer.allowed_client_headers_on_success.CopyFrom(_named(("set-cookie",)))
    return made


def _as_it_came(wished: ExternalAuth) -> Any:
    """How the service is asked with the request's own method and path; Envoy adds host, method, path, length and authorization."""
    made = ext_authz_pb2.HttpService(server_uri=_uri(wished), path_prefix=wished.path.rstrip("/"))
    _tell(made, _passed(wished.request_headers))
    told = made.authorization_response.allowed_upstream_headers
    if wished.any_response_header:
        told.CopyFrom(ALL_OTHERS)
    elif wished.response_headers:
        told.CopyFrom(_named(wished.response_headers))
    return made


def _grpc_service(wished: ExternalAuth) -> Any:
    to = grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=wished.backend)
    return grpc_service_pb2.GrpcService(envoy_grpc=to, timeout=duration(wished.timeout))


def _uri(wished: ExternalAuth) -> Any:
    return http_uri_pb2.HttpUri(uri="http://auth/", cluster=wished.backend, timeout=duration(wished.timeout))


def _passed(names: Iterable[str]) -> dict[str, str]:
    """Headers of the request, formatted; Envoy leaves out those that it does not have."""
    return {name.lower(): f"%REQ({name})%" for name in names}


def _tell(made: Any, headers: Mapping[str, str]) -> None:
    made.authorization_request.headers_to_add.extend(base_pb2.HeaderValue(key=k, value=v) for k, v in headers.items())


def _named(names: tuple[str, ...]) -> Any:
    patterns = [string_pb2.StringMatcher(exact=name.lower(), ignore_case=True) for name in dict.fromkeys(names)]
    return string_pb2.ListStringMatcher(patterns=patterns)


def all_others(stems: Iterable[str]) -> Iterator[str]:
    """Expressions for all names but those that begin so: one for each first character, for RE2 has no negation and Envoy takes only short programs."""
    by_first = dict[str, list[str]]()
    for one in stems:
        by_first.setdefault(one[0], []).append(one[1:])
    yield f"[^{''.join(by_first)}].*"
    yield from (f"{first}{_other_ends(ends)}" for first, ends in by_first.items() if "" not in ends)


def _other_ends(stems: Sequence[str]) -> str:
    """All ends of a name but these; each step says what may differ."""
    if stems == [" "]:
        return ".+"
    steps = dict[str, list[str]]()
    for one in stems:
        steps.setdefault(one[0], []).append(one[1:])
    further = [f"{first}{_other_ends(ends)}" for first, ends in steps.items() if "" not in ends]
    return f"(?:{'|'.join([*further, f'[^{_set(steps)}].*'])})?"


def _set(characters: Iterable[str]) -> str:
    return "".join(sorted(characters, key=lambda one: one == "-"))


def _by_expression(pattern: str) -> Any:
    return string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=pattern))


ALL_OTHERS = string_pb2.ListStringMatcher(patterns=[_by_expression(one) for one in all_others(OF_THE_ANSWER)])
