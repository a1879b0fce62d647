"""Cross-origin requests by Envoy's own filter."""

from typing import Any

from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.type.matcher.v3 import string_pb2

from weirkeeper.model.filters import Cors
from weirkeeper.providers.envoy.translate.matchers import by_regex, exactly
from weirkeeper.providers.envoy.translate.values import packed, quoted

ANY = "*"
"""Envoy puts in its place what the preflight asks for."""


def cors_config(wished: Cors) -> Any:
    """The filter's configuration for one route."""
    made = cors_pb2.CorsPolicy(
        allow_origin_string_match=[_origin(origin) for origin in wished.origins],
        allow_methods=ANY if wished.any_method else ", ".join(wished.methods),
        allow_headers=ANY if wished.any_header else ", ".join(wished.headers),
        expose_headers=", ".join(wished.exposed),
        forward_not_matching_preflights={"value": False},
    )
    made.allow_credentials.value = wished.credentials
    if wished.max_age is not None:
        made.max_age = str(wished.max_age // 1000)
    return packed(made)


def _origin(origin: str) -> Any:
    if origin == ANY:
        return string_pb2.StringMatcher(safe_regex={"regex": ".*"})
    if "*" in origin:
        return by_regex("[^/]*".join(quoted(part) for part in origin.split("*")))
    return exactly(origin)
