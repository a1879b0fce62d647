"""An event loop whose time passes only when nothing else is to be done: hours of waiting in milliseconds, and always the same."""

import asyncio


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop without real waiting."""

    def __init__(self):
        super().__init__()
        self._virtual = 0.0

    def time(self):
        return self._virtual

    def _run_once(self):
        due = min((timer.when() for timer in self._scheduled if not timer.cancelled()), default=None)
        if not self._ready and due is not None:
            self._virtual = max(self._virtual, due)
        super()._run_once()


def run_virtually(scenario):
    """The result of the coroutine, run in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scenario)
