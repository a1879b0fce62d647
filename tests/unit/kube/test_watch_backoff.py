"""Waiting after failures: longer, bounded, never in step, and forgotten after good times."""

from weirkeeper.kube.backoff import Backoff


def waits(backoff, count, now=0.0):
    return [backoff.failed(now) for _ in range(count)]


def test_waits_double_up_to_the_ceiling():
    assert waits(Backoff(first=1.0, most=12.0, forget=5.0, chance=lambda: 1.0), 6) == [1.0, 2.0, 4.0, 8.0, 12.0, 12.0]


def test_half_of_each_wait_is_chance():
    assert waits(Backoff(first=1.0, most=12.0, forget=5.0, chance=lambda: 0.0), 3) == [0.5, 1.0, 2.0]


def test_failures_are_forgotten_after_good_times_and_not_before():
    backoff = Backoff(first=1.0, most=12.0, forget=5.0, chance=lambda: 1.0)
    waits(backoff, 3)
    backoff.worked(10.0)
    backoff.worked(14.0)
    assert backoff.failed(14.9) == 8.0
    backoff.worked(20.0)
    assert backoff.failed(25.0) == 1.0


def test_a_thousand_failures_do_not_overflow():
    assert waits(Backoff(first=0.25, most=12.0, forget=5.0, chance=lambda: 1.0), 5000)[-1] == 12.0


def test_a_reset_forgets_at_once():
    backoff = Backoff(first=1.0, most=12.0, forget=5.0, chance=lambda: 1.0)
    waits(backoff, 3)
    backoff.reset()
    assert backoff.failed(0.0) == 1.0
