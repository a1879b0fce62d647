"""What can go wrong between us and an API server, as one small tree; drawn here, raised by `kube`, caught at the rim.

Comes in: an HTTP status and the server's `Status` object, or no answer at all. Goes out: exactly one of these. No IO lives here.

ApiFailure               every one has .status (0 without an answer), .reason (the server's CamelCase word, or ours), .message, .retry_after
├── Unreachable          no answer: refused, reset, timeout, DNS, TLS; a write may have happened all the same
├── Unauthorized         401, or no credentials could be had
├── Forbidden            403
├── NotFound             404: the object (reason `NotFound`) or the whole kind (any other reason)
├── Conflict             409: the resourceVersion is stale
│   └── AlreadyExists    409 on create
├── Gone                 410: this resourceVersion or continue token is too old
├── Invalid              422, and every 4xx without a class of its own: the same request will never be taken
│   └── BadRequest       400
├── TooManyRequests      429; wait `retry_after` seconds where it is not None
├── ServerFailure        5xx
└── BadAnswer            an answer that is not what an API server says
"""

from weirkeeper.errors import StartRefused, WeirkeeperError


class ApiFailure(WeirkeeperError):
    """A request to an API server failed. `retry_after` is in seconds, and None where the server named no time."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.retry_after = retry_after

    def __str__(self) -> str:
        said = " ".join(part for part in (str(self.status or ""), self.reason) if part)
        return f"{said}: {self.message}" if said else self.message


class Unreachable(ApiFailure):
    """No answer came. `reason` is one of Refused, Reset, Timeout, Stalled, Name, Tls, Proxy, Network."""


class Unauthorized(ApiFailure):
    """401: the credentials are wrong or have expired; or, with reason `NoCredentials`, none could be had."""


class Forbidden(ApiFailure):
    """403."""


class NotFound(ApiFailure):
    """404. An object is missing when `of_object`; otherwise the server does not know the kind."""

    @property
    def of_object(self) -> bool:
        """Whether the server knows the kind and says that this object is not there."""
        return self.reason == "NotFound"


class Conflict(ApiFailure):
    """409: somebody else wrote in between."""


class AlreadyExists(Conflict):
    """409: an object of that name is there already."""


class Gone(ApiFailure):
    """410: the resourceVersion or the continue token is too old."""


class Invalid(ApiFailure):
    """422 and its like: the same request will never be taken."""


class BadRequest(Invalid):
    """400."""


class TooManyRequests(ApiFailure):
    """429."""


class ServerFailure(ApiFailure):
    """5xx."""


class BadAnswer(ApiFailure):
    """An answer that no API server gives: not JSON, not a list, a redirect, cut off."""


class AccessRefused(StartRefused):
    """What says how to reach a cluster can't be used. `field` is where it says so, `remedy` what to change."""

    def __init__(self, field: str, why: str, remedy: str) -> None:
        super().__init__(f"{field}: {why}; {remedy}")
        self.field = field
        self.why = why
        self.remedy = remedy


_BY_STATUS: dict[int, type[ApiFailure]] = {
    400: BadRequest, 401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict, 410: Gone, 422: Invalid, 429: TooManyRequests,
}  # fmt: skip


def api_failure(status: int, reason: str, message: str, retry_after: float | None = None) -> ApiFailure:
    """The failure that an HTTP status and a reason (`Status.reason`) stand for."""
    kind = _BY_STATUS.get(status)
    if kind is None:
        kind = ServerFailure if status >= 500 else Invalid if 400 <= status < 500 else BadAnswer
    if kind is Conflict and reason == "AlreadyExists":
        kind = AlreadyExists
    return kind(message, status=status, reason=reason, retry_after=retry_after)
