"""Time limits and second tries.

Without a wish a request has no time limit and is tried again only where it cannot have reached the backend.
"""

from typing import Any

from envoy.config.route.v3 import route_components_pb2 as rc

from weirkeeper.model.filters import Retry, Timeouts
from weirkeeper.providers.envoy.translate.matchers import method_matcher
from weirkeeper.providers.envoy.translate.values import duration, number

IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")
SAFE = "connect-failure,refused-stream"
CONDITIONS = {
    "connect": "connect-failure",
    "reset": "reset",
    "5xx": "5xx",
    "gateway-error": "gateway-error",
    "refused-stream": "refused-stream",
}


def default_retry() -> Any:
    """The policy of every host: once more where nothing was sent."""
    return rc.RetryPolicy(retry_on=SAFE, num_retries=number(2), host_selection_retry_max_attempts=3)


def limit_time(action: Any, timeouts: Timeouts, defaults: Timeouts) -> None:
    """Puts the time limits of one route into its action."""
    whole = timeouts.request if timeouts.request is not None else defaults.request
    action.timeout.CopyFrom(duration(whole or 0))
    idle = timeouts.idle if timeouts.idle is not None else defaults.idle
    if idle is not None:
        action.idle_timeout.CopyFrom(duration(idle))


def retry_policy(retry: Retry | None, per_try: int | None) -> Any | None:
    """The policy of one route; ``None`` leaves it to its host. ``per_try`` is the limit of one try at a backend."""
    if retry is None and not per_try:
        return None
    made = _policy(retry) if retry else default_retry()
    limit = retry.per_try if retry and retry.per_try is not None else per_try
    if limit:
        made.per_try_timeout.CopyFrom(duration(limit))
    return made


def _policy(retry: Retry) -> Any:
    conditions = [CONDITIONS.get(c, c) for c in retry.conditions] or ["connect-failure", "refused-stream"]
    if retry.statuses:
        conditions.append("retriable-status-codes")
    made = rc.RetryPolicy(
        retry_on=",".join(dict.fromkeys(conditions)),
        num_retries=number(max(retry.attempts, 0)),
        retriable_status_codes=retry.statuses,
        host_selection_retry_max_attempts=3,
    )
    if retry.backoff:
        made.retry_back_off.base_interval.CopyFrom(duration(retry.backoff))
    if not retry.non_idempotent and not set(conditions) <= {"connect-failure", "refused-stream"}:
        made.retriable_request_headers.append(method_matcher(IDEMPOTENT))
    return made
