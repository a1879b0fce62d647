"""The shortest limit of time is the one that engines with one limit have; where it is a try's, the request is tried again."""

import pytest

from weirkeeper.model.filters import Retry, Timeouts
from weirkeeper.model.value import Milliseconds
from weirkeeper.providers.waits import ends_tries, shortest

DEFAULTS = Timeouts(idle=Milliseconds(9))
AGAIN = Retry(attempts=1, conditions=("connect", "reset"))


def limits(request: int | None, each: int | None) -> Timeouts:
    return Timeouts(
        request=None if request is None else Milliseconds(request),
        backend_request=None if each is None else Milliseconds(each),
    )


@pytest.mark.parametrize(
    ("request_limit", "try_limit", "wait", "ends"),
    [
        (None, None, 9, False),
        (5, None, 5, False),
        (None, 5, 5, True),
        (3, 5, 3, False),
        (5, 3, 3, True),
        (0, 0, 9, False),
        (0, 12, 9, False),
    ],
)
def test_the_shortest(request_limit: int | None, try_limit: int | None, wait: int, ends: bool) -> None:
    wished = limits(request_limit, try_limit)
    assert shortest(wished, DEFAULTS) == wait
    assert ends_tries(wished, DEFAULTS, AGAIN) == ends
    assert not ends_tries(wished, DEFAULTS, None)
    assert not ends_tries(wished, DEFAULTS, Retry(attempts=1, statuses=(503,)))


def test_no_limit_at_all() -> None:
    assert shortest(Timeouts(), Timeouts(idle=Milliseconds(0))) is None
    assert not ends_tries(Timeouts(), Timeouts(), AGAIN)
