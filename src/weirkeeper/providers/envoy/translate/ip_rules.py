"""Who may come, by address: Envoy's RBAC per route. ``remote_ip`` is the client behind trusted hops.

A range that is none lets nobody in: the rule fails closed.
"""

from collections.abc import Iterable
from typing import Any

from envoy.config.rbac.v3 import rbac_pb2 as rules
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2

from weirkeeper.model.filters import IpRules
from weirkeeper.providers.envoy.translate.values import cidr, packed


def ip_rules_config(wished: IpRules) -> Any:
    """The filter's configuration for one route."""
    allowed, denied = _ranges(wished.allow), _ranges(wished.deny)
    policies = {}
    if None not in denied:
        sources = [_any_of(r for r in allowed if r is not None)] if allowed else [rules.Principal(any=True)]
        if denied:
            sources.append(rules.Principal(not_id=_any_of(denied)))
        principal = rules.Principal(and_ids=rules.Principal.Set(ids=sources))
        policies["ip"] = rules.Policy(permissions=[rules.Permission(any=True)], principals=[principal])
    made = rules.RBAC(action=rules.RBAC.ALLOW, policies=policies)
    return packed(rbac_pb2.RBACPerRoute(rbac=rbac_pb2.RBAC(rules=made)))


def _ranges(texts: Iterable[str]) -> list[Any]:
    """The ranges, those of IPv4 as they are written in IPv6 too (RFC 4291, 2.5.5.2)."""
    found = [cidr(text) for text in texts]
    old = [one for one in found if one is not None and ":" not in one.address_prefix]
    return [*found, *(cidr(f"::ffff:{one.address_prefix}/{96 + one.prefix_len.value}") for one in old)]


def _any_of(ranges: Iterable[Any]) -> Any:
    ids = [rules.Principal(remote_ip=r) for r in ranges]
    return (
        rules.Principal(or_ids=rules.Principal.Set(ids=ids))
        if ids
        else rules.Principal(not_id=rules.Principal(any=True))
    )
