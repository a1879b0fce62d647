"""Load from a process of its own, judged afterwards by whoever knows what was right when.

    plan = Plan(target=Target(port=port), asks=(Ask(name="shop", host="shop.example"),), connections=32, mix=Mix.KEEP_ALIVE)
    with load(plan) as running:        # every connection has had its first answer, or its first failure
        ...                            # change things, note time.monotonic_ns()
        result = running.stop()
    assert result.failures(is_right) == []

A failure is: an answer that `is_right` refuses, a refused connection, or a connection that ends after the first byte of a
request was written and before the whole answer came (a time-out counts as that). A keep-alive connection that is seen to be
closed before the next request is written is a reconnect, counted apart. `Mix` names the kinds of client.
"""

from weirkeeper.testing.load.plan import Ask, Lost, Mix, Plan, Record, Result
from weirkeeper.testing.load.run import LoadBroke, Running, load

__all__ = ["Ask", "LoadBroke", "Lost", "Mix", "Plan", "Record", "Result", "Running", "load"]
