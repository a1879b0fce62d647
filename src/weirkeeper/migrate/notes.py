"""What is said about a migration: of each aspect of an object what became of it.

Comes in: the words of whoever translates. Goes out: ``Note``, in the order of telling and each once.
"""

from collections.abc import Iterable
from enum import StrEnum

from weirkeeper.model.ids import Ref
from weirkeeper.model.value import Value


class Outcome(StrEnum):
    """What became of something, from best to worst: ``closed`` is a guard without equivalent, whose requests are answered 500 rather than let in unguarded."""

    TRANSLATED = "translated"
    NOTHING = "nothing to do"
    DIFFERS = "differs"
    BY_HAND = "by hand"
    LOST = "no equivalent"
    CLOSED = "closed"


UNDONE = frozenset({Outcome.BY_HAND, Outcome.LOST, Outcome.CLOSED})
"""What somebody has to look at before the Ingress can go."""


class Aspect(StrEnum):
    """What a note is about. Annotations are grouped by these (``annotations.py``)."""

    ACCESS_LOG = "access log"
    AFFINITY = "session affinity"
    ALIAS = "aliases of hosts"
    APP_ROOT = "app root"
    AUTH = "authentication"
    BACKEND_TLS = "TLS to backends"
    BACKENDS = "backends"
    BALANCING = "balancing"
    BODY_LIMIT = "limit of bodies"
    BUFFERING = "buffering"
    CANARY = "canary"
    CLIENT_CERTIFICATES = "client certificates"
    CONNECT_TIMEOUT = "connection timeout"
    COOKIES = "rewriting of cookies"
    CORS = "cross-origin policy"
    ERROR_PAGES = "error pages"
    EXPRESSIONS = "paths as expressions"
    FORWARDED_PREFIX = "X-Forwarded-Prefix"
    FRONT = "load balancer"
    HOST_REWRITE = "rewriting of hosts"
    HOSTS = "hosts"
    HTTPS_REDIRECT = "redirect to HTTPS"
    IDLE_TIMEOUT = "idle timeouts"
    IP_RULES = "address rules"
    LOCATIONS = "rewriting of Location"
    MIRRORS = "mirroring"
    ORDER = "order of routes"
    PASSTHROUGH = "TLS passthrough"
    PATHS = "paths"
    PROTOCOL = "protocol of backends"
    RATE_LIMITS = "rate limits"
    REDIRECT = "redirects"
    REQUEST_HEADERS = "headers of requests"
    RESPONSE_HEADERS = "headers of answers"
    RETRY = "retries"
    REWRITE = "rewriting of paths"
    SERVICE_ADDRESS = "Service addresses"
    STREAMS = "ports of bytes"
    TLS = "certificates"
    WORKLOADS = "workloads as backends"
    WWW = "redirect to or from www"


class Note(Value, frozen=True, kw_only=True):
    """What became of an aspect of an object: ``to`` is what it is now, ``why`` what differs or is missing, ``remedy`` what helps."""

    about: Ref
    aspect: Aspect
    outcome: Outcome
    to: str = ""
    why: str = ""
    remedy: str = ""


class Notes:
    """The notes of one migration; lives for one call."""

    def __init__(self) -> None:
        self._said: dict[Note, None] = {}

    def tell(  # noqa: PLR0917 - a sentence in its parts
        self, about: Iterable[Ref], aspect: Aspect, outcome: Outcome, to: str = "", why: str = "", remedy: str = ""
    ) -> None:
        """Say something of these objects."""
        for ref in about:
            self._said[Note(about=ref, aspect=aspect, outcome=outcome, to=to, why=why, remedy=remedy)] = None

    def all(self) -> tuple[Note, ...]:
        """Everything that was said."""
        return tuple(self._said)
