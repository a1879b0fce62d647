"""The one limit of engines that limit each wait for a backend alone: the shortest of those that are wished. Pure.

Comes in: a route's limits of time, those of its load balancer, when it is tried again. Goes out: the limit, and whether what it ends is a try.
"""

from weirkeeper.model.filters import Retry, Timeouts
from weirkeeper.model.value import Milliseconds


def shortest(wished: Timeouts, defaults: Timeouts) -> Milliseconds | None:
    """The limit on each wait (ms); None where there is none."""
    limits = (_one(wished.idle, defaults.idle), _one(wished.request, defaults.request), _each(wished, defaults))
    return min((limit for limit in limits if limit), default=None)


def ends_tries(wished: Timeouts, defaults: Timeouts, retry: Retry | None) -> bool:
    """Whether a wait that takes too long is a try that failed, to be followed by another (Gateway API, GEP-1731): where tries are limited, and nothing ends the request before."""
    each = _each(wished, defaults)
    return bool(retry and "reset" in retry.conditions and each and each == shortest(wished, defaults))


def _each(wished: Timeouts, defaults: Timeouts) -> Milliseconds | None:
    return _one(wished.backend_request, defaults.backend_request)


def _one(mine: Milliseconds | None, other: Milliseconds | None) -> Milliseconds | None:
    return mine if mine is not None else other
