"""Something that a user or an operator should know. A value: never an exception, and never only a log line.

The code is stable and documented (``docs/findings.md`` is generated from ``REASONS``); every finding names the object, the field and the
remedy. ``for_user`` speaks to the owner of the object, ``for_operator`` to whoever runs the load balancer.
"""

from enum import StrEnum

from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Id, Sentence
from weirkeeper.model.value import Value


class Severity(StrEnum):
    """How much it matters."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Effect(StrEnum):
    """What became of the wish."""

    NONE = "none"
    DEGRADED = "degraded"
    IGNORED = "ignored"
    RULE_DROPPED = "rule dropped"
    FAILS_CLOSED = "fails closed"
    LISTENER_REJECTED = "listener rejected"
    OBJECT_REJECTED = "object rejected"


class Reason(StrEnum):
    """The stable codes."""

    INVALID_SYNTAX = "WK001"
    INVALID_OBJECT = "WK002"
    OLD_FORM = "WK003"
    DUPLICATE_OBJECT = "WK004"
    UNKNOWN_KIND = "WK005"
    UNREADABLE_FILE = "WK006"
    NOT_LISTED = "WK007"
    KIND_NOT_SERVED = "WK008"
    UNKNOWN_FIELD = "WK009"

    INVALID_HOST = "WK101"
    INVALID_PATH = "WK102"
    INVALID_REGEX = "WK103"
    DUPLICATE_ROUTE = "WK104"
    NO_RULES = "WK105"
    UNKNOWN_CLASS = "WK106"
    INVALID_CLASS = "WK107"
    SEVERAL_DEFAULT_CLASSES = "WK108"
    TOO_LARGE = "WK109"
    INVALID_NAME = "WK110"
    HOST_OF_ANOTHER = "WK111"

    SERVICE_NOT_FOUND = "WK201"
    PORT_NOT_FOUND = "WK202"
    NO_ENDPOINTS = "WK203"
    EXTERNAL_NAME_REFUSED = "WK204"
    ADDRESS_REFUSED = "WK205"
    UNSUPPORTED_BACKEND = "WK206"
    UNKNOWN_APP_PROTOCOL = "WK207"
    WORKLOAD_NOT_FOUND = "WK208"
    MODE_CANNOT_SERVE = "WK209"
    BACKENDS_NOT_READ = "WK210"

    SECRET_NOT_FOUND = "WK301"
    INVALID_CERTIFICATE = "WK302"
    CERTIFICATE_EXPIRED = "WK303"
    CERTIFICATE_HOST_MISMATCH = "WK304"
    CERTIFICATE_NEAR_END = "WK305"
    CONFIGMAP_NOT_FOUND = "WK306"
    INVALID_SECRET = "WK307"

    UNKNOWN_ANNOTATION = "WK401"
    INVALID_ANNOTATION = "WK402"
    REFUSED_ANNOTATION = "WK403"
    ANNOTATION_WITHOUT_EFFECT = "WK404"
    CANARY_WITHOUT_MAIN = "WK405"
    ANNOTATION_CONFLICT = "WK406"
    CROSS_NAMESPACE = "WK407"

    UNSUPPORTED = "WK501"
    DEGRADED = "WK502"
    OVER_LIMIT = "WK503"
    LISTENER_CONFLICT = "WK504"
    ENGINE_REJECTED = "WK505"
    VERIFY_OFF = "WK506"
    HELD_CHANGE = "WK507"
    TOO_FEW_HOSTS = "WK508"
    NO_FLEET = "WK509"
    INSTANCES_MISSING = "WK510"
    ENGINE_DOWN = "WK511"


class Finding(Value, frozen=True, kw_only=True):
    """One thing to know, with its cause and its remedy."""

    severity: Severity
    reason: Reason
    for_user: Sentence
    remedy: Sentence = Sentence("")
    for_operator: Sentence = Sentence("")
    origin: Origin
    about: Ref | None = None
    section: Id | None = None
    feature: str | None = None
    effect: Effect = Effect.NONE
    affected: tuple[Id, ...] = ()

    @property
    def sort_key(self) -> tuple[str, str, str, str]:
        """A total order for printing."""
        return (self.origin.ref.key, self.origin.ref.kind, self.origin.path, self.reason)
