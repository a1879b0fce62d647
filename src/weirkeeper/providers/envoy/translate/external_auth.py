"""A service that is asked before each request, by HTTP: one filter for all services, its settings per route.

The service is asked for its own path. What it needs to know of the request is in ``X-Original-*`` headers as ingress-nginx sends them; their
values are formatted by Envoy from the request, and no text of a tenant stands in a format.
"""

from typing import Any

from envoy.config.core.v3 import base_pb2, http_uri_pb2
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2
from envoy.type.matcher.v3 import string_pb2

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


def external_auth_config(wished: ExternalAuth) -> Any:
    """The filter's configuration for one route."""
    settings = ext_authz_pb2.CheckSettings(http_service=http_service(wished))
    if wished.body_bytes:
        settings.with_request_body.max_request_bytes = wished.body_bytes
        settings.with_request_body.allow_partial_message = True
    else:
        settings.disable_request_body_buffering = True
    return packed(ext_authz_pb2.ExtAuthzPerRoute(check_settings=settings))


def http_service(wished: ExternalAuth) -> Any:
    """How the service is asked."""
    uri = http_uri_pb2.HttpUri(uri="http://auth/", cluster=wished.backend, timeout=duration(wished.timeout))
    made = ext_authz_pb2.HttpService(server_uri=uri)
    asked_path(made, f"{wished.path}?{wished.query}" if wished.query else wished.path)
    told = {**dict(ORIGINAL), **{pair.name.lower(): literal(pair.value) for pair in wished.headers}}
    if wished.redirect is not None:
        told["x-auth-request-redirect"] = literal(wished.redirect)
    made.authorization_request.headers_to_add.extend(base_pb2.HeaderValue(key=k, value=v) for k, v in told.items())
    made.authorization_request.allowed_headers.CopyFrom(_named((*PASSED, *wished.request_headers)))
    answer = made.authorization_response
    if wished.response_headers:
        answer.allowed_upstream_headers.CopyFrom(_named(wished.response_headers))
    answer.allowed_client_headers_on_success.CopyFrom(_named(("set-cookie",)))
    return made


def _named(names: tuple[str, ...]) -> Any:
    patterns = [string_pb2.StringMatcher(exact=name.lower(), ignore_case=True) for name in dict.fromkeys(names)]
    return string_pb2.ListStringMatcher(patterns=patterns)
