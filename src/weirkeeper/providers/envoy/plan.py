"""A plan in Envoy's terms: which hosts the items serve. Everything else is ``providers.plan``. Pure.

Comes in: items before and after. Goes out: a ``Plan``. A scope is named ``<group>|<host>``; other resources serve many hosts and count as none.
"""

from weirkeeper.providers.base import ItemKey
from weirkeeper.providers.envoy import names
from weirkeeper.providers.plan import Items, Limits, Plan
from weirkeeper.providers.plan import plan as plan_of

NO_LIMITS = Limits()


def plan(before: Items, after: Items, limits: Limits = NO_LIMITS) -> Plan:
    """What leads from one set of resources to the other."""
    return plan_of(before, after, limits, host_of)


def host_of(key: ItemKey) -> str | None:
    """The host of a scope; other resources serve many."""
    return key.name.split("|")[1] if key.kind == names.SCOPE else None
