"""What `/readyz` notes besides its answer: what is amiss, though this replica can serve engines. No names of objects: events say on which.

Comes in: the parts of a cluster program. Goes out: questions, each answered with a reason or with nothing.
"""

from collections.abc import Callable
from time import time

from weirkeeper.runtime.health import Question, settle_question
from weirkeeper.runtime.intake import Intake

SLOW_SETTLE = 10.0
SHARE = 4
"""A certificate is renewed at two thirds of its life: in the last quarter, that has failed."""


def notices(
    intake: Intake,
    *,
    rejected: Callable[[], int],
    down: Callable[[], int],
    lost: Callable[[], int],
    certificate_end: Callable[[], float],
    certificate_seconds: float,
    leader: Callable[[], bool],
    instances: Question,
) -> dict[str, Question]:
    """The questions. `certificate_end` is in seconds since 1970, 0 without one."""

    def ending() -> str:
        left = certificate_end() - time()
        near = certificate_end() > 0 and left < certificate_seconds / SHARE
        return (
            f"the certificate of this replica ends in {max(left, 0) / 60:.0f} minutes and is not renewed"
            if near
            else ""
        )

    return {
        "controller": settle_question(intake, SLOW_SETTLE),
        "leadership": lambda: "" if leader() else "no replica leads: statuses and events are not written",
        "watches": lambda: f"{lost()} kinds cannot be watched" if lost() else "",
        "instances": instances,
        "engines": lambda: f"{down()} engines do not serve" if down() else "",
        "items": lambda: f"engines refuse {rejected()} items" if rejected() else "",
        "certificates": ending,
    }
