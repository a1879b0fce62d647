"""What a row of the table of annotations is.

``applied`` acts as in ingress-nginx; ``degraded`` acts with the difference that the note states; ``idle`` is about NGINX's own memory or files and
needs nothing here; ``unsupported`` does nothing yet, and its owner is told; ``refused`` never will, for the reason given. ``security`` rows fail
closed: a value that cannot be read, or a wish that cannot be fulfilled, lets nobody through.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from weirkeeper.controllers.ingress.annotations.parsers import any_text
from weirkeeper.model.text import Refused


class Answer(StrEnum):
    """What becomes of an annotation."""

    APPLIED = "applied"
    DEGRADED = "degraded"
    IDLE = "idle"
    UNSUPPORTED = "unsupported"
    REFUSED = "refused"


class Risk(StrEnum):
    """How dangerous its value is in the hands of a stranger (ingress-nginx's own classes)."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    CRITICAL = "Critical"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One annotation. ``target`` is the field of ``Options`` that it fills; ``note`` is the reason or the difference."""

    name: str
    read: Callable[[str], object | Refused] = any_text
    target: str = ""
    risk: Risk
    about: str
    answer: Answer = Answer.APPLIED
    note: str = ""
    security: bool = False
