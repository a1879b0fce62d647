"""What the API server answers when it says no: a `Status` object and its code, as an exception of the request.

In: facts of the request. Out: `Refused` with the JSON body that the real server sends (reason, message, details).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from weirkeeper.testing.apiserver.kinds import ServedKind

Json = dict[str, Any]
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class Refused(Exception):
    """A request that is answered with a failure."""

    def __init__(self, code: int, reason: str, message: str, *, details: Json | None = None,
                 headers: Mapping[str, str] = {}, proceed: str = "") -> None:  # fmt: skip
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details
        self.headers, self.proceed = headers, proceed

    @property
    def status(self) -> Json:
        """The Status object; a 410 of a list carries the token with which an inconsistent list could go on."""
        body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.proceed} if self.proceed else {},
        }
        body |= {"status": "Failure", "message": self.message, "reason": self.reason}
        if self.details is not None:
            body["details"] = self.details
        return body | {"code": self.code}

    @property
    def body(self) -> bytes:
        """The Status object as sent."""
        return msgspec.json.encode(self.status)


def details(kind: ServedKind, name: str = "") -> Json:
    """What a Status says about the object that it is about."""
    found = {"name": name, "group": kind.group, "kind": kind.plural}
    return {key: value for key, value in found.items() if value}


def not_found(kind: ServedKind, name: str) -> Refused:
    """404: no such object."""
    return Refused(404, "NotFound", f'{kind.qualified} "{name}" not found', details=details(kind, name))


def no_such_resource() -> Refused:
    """404: no such kind."""
    return Refused(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(kind: ServedKind, name: str) -> Refused:
    """409 of a create."""
    return Refused(409, "AlreadyExists", f'{kind.qualified} "{name}" already exists', details=details(kind, name))


def conflict(kind: ServedKind, name: str, why: str = MODIFIED) -> Refused:
    """409 of a change whose precondition does not hold."""
    message = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}'
    return Refused(409, "Conflict", message, details=details(kind, name))


def bad_request(message: str) -> Refused:
    """400."""
    return Refused(400, "BadRequest", message)


def invalid(what: str, group: str, kind: str, name: str, causes: Sequence[tuple[str, str, str]]) -> Refused:
    """422 with its causes: (field, reason, message)."""
    told = [f"{field}: {message}" for field, _, message in causes]
    listed = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    found: Json = {"name": name} if name else {}
    found |= {"group": group} if group else {}
    found |= {"kind": kind, "causes": [{"reason": r, "message": m, "field": f} for f, r, m in causes]}
    return Refused(422, "Invalid", f'{what} "{name}" is invalid: {listed}', details=found)


def invalid_options(field: str, message: str, reason: str = "FieldValueForbidden") -> Refused:
    """422 of a list or watch whose parameters contradict each other."""
    return invalid("ListOptions.meta.k8s.io", "meta.k8s.io", "ListOptions", "", [(field, reason, message)])


def expired(message: str, *, proceed: str = "") -> Refused:
    """410: the revision asked for is no longer known."""
    return Refused(410, "Expired", message, proceed=proceed)


def too_large(asked: int, current: int) -> Refused:
    """504: the revision asked for lies in the future."""
    cause = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return Refused(504, "Timeout", message, details={"causes": cause, "retryAfterSeconds": 1})


def too_many(seconds: int) -> Refused:
    """429 with Retry-After."""
    message = "the server has received too many requests and has asked us to try again later"
    found: Json = {"retryAfterSeconds": seconds}
    return Refused(429, "TooManyRequests", message, details=found, headers={"Retry-After": str(seconds)})


def internal(code: int = 500) -> Refused:
    """5xx."""
    return Refused(code, "InternalError", "Internal error occurred: injected fault")


def unauthorized() -> Refused:
    """401."""
    return Refused(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> Refused:
    """405."""
    message = "the server does not allow this method on the requested resource"
    return Refused(405, "MethodNotAllowed", message, details={})


def unsupported_media() -> Refused:
    """415."""
    return Refused(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})
