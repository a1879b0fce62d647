"""Requests per time and client, counted in each Envoy by a bucket for each address."""

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.type.v3 import http_status_pb2, token_bucket_pb2

from weirkeeper.model.filters import LocalRateLimit
from weirkeeper.providers.envoy.translate.newer import address_outside
from weirkeeper.providers.envoy.translate.values import cidr, duration, number, packed

UNLIMITED = 4_000_000_000
CLIENTS = 20_000
"""How many clients are counted at once; the least recent one is forgotten."""


def rate_limit_config(limits: list[LocalRateLimit]) -> Any:
    """The filter's configuration for one route: every limit must let the request pass."""
    made = local_rate_limit_pb2.LocalRateLimit(
        stat_prefix="rate",
        status=http_status_pb2.HttpStatus(code=limits[0].status if limits[0].status >= 400 else 429),
        token_bucket=_bucket(UNLIMITED, UNLIMITED, 1000),
        filter_enabled=_always(),
        filter_enforced=_always(),
        max_dynamic_descriptors=number(CLIENTS),
    )
    made.always_consume_default_token_bucket.value = False
    for position, limit in enumerate(limits):
        _add(made, limit, str(position))
    return packed(made)


def _add(made: Any, limit: LocalRateLimit, position: str) -> None:
    actions = [
        rc.RateLimit.Action(
            generic_key=rc.RateLimit.Action.GenericKey(descriptor_key="limit", descriptor_value=position)
        )
    ]
    entries = [ratelimit_pb2.RateLimitDescriptor.Entry(key="limit", value=position)]
    if limit.key == "ip":
        actions.append(rc.RateLimit.Action(remote_address=rc.RateLimit.Action.RemoteAddress()))
        entries.append(ratelimit_pb2.RateLimitDescriptor.Entry(key="remote_address"))
    elif limit.key != "all":
        by_header = rc.RateLimit.Action.RequestHeaders(header_name=limit.key, descriptor_key="header")
        actions.append(rc.RateLimit.Action(request_headers=by_header))
        entries.append(ratelimit_pb2.RateLimitDescriptor.Entry(key="header"))
    if limit.except_from:
        ranges = [found for found in map(cidr, limit.except_from) if found is not None]
        actions.append(address_outside("limited", "1", ranges))
        entries.append(ratelimit_pb2.RateLimitDescriptor.Entry(key="limited", value="1"))
    bucket = _bucket(limit.amount + limit.burst, limit.amount, limit.per)
    made.rate_limits.append(rc.RateLimit(actions=actions))
    made.descriptors.append(ratelimit_pb2.LocalRateLimitDescriptor(entries=entries, token_bucket=bucket))


def _bucket(most: int, fill: int, per: int) -> Any:
    return token_bucket_pb2.TokenBucket(
        max_tokens=max(most, 1), tokens_per_fill=number(max(fill, 1)), fill_interval=duration(max(per, 50))
    )


def _always() -> Any:
    return base_pb2.RuntimeFractionalPercent(default_value={"numerator": 100})
