"""Copies of requests for a second backend."""

from typing import Any

from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.type.v3 import percent_pb2

from weirkeeper.model.filters import Mirror
from weirkeeper.model.value import Fraction

MILLION = 1_000_000


def mirror_policy(mirror: Mirror) -> Any:
    """The policy for one mirror; the copy keeps its Host unless another is wished."""
    made = rc.RouteAction.RequestMirrorPolicy(cluster=mirror.backend, disable_shadow_host_suffix_append=True)
    if mirror.share is not None:
        made.runtime_fraction.default_value.CopyFrom(_share(mirror.share))
    if mirror.host:
        made.host_rewrite_literal = mirror.host
    return made


def _share(share: Fraction) -> Any:
    parts = min(MILLION, share.numerator * MILLION // max(share.denominator, 1))
    return percent_pb2.FractionalPercent(numerator=parts, denominator=percent_pb2.FractionalPercent.MILLION)
