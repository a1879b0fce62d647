"""Starting the load's process, and fetching its result. In: a plan. Out: `Running`, then a `Result`."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import msgspec

from weirkeeper.testing.load.plan import Plan, Result

GRACE = 30.0


class LoadBroke(RuntimeError):
    """The load's process ended without a result; what it said is on standard error."""


class Running:
    """A load that is under way. Its calls block: in an event loop, use `asyncio.to_thread(running.stop)`."""

    def __init__(self, plan: Plan, process: subprocess.Popen[bytes]) -> None:
        self.plan, self.process = plan, process
        self._result: Result | None = None

    def stop(self) -> Result:
        """The result up to now; requests under way are ended first."""
        return self._collect(b"stop\n")

    def wait(self) -> Result:
        """The result once the plan's bounds are reached."""
        return self._collect(b"")

    def _collect(self, word: bytes) -> Result:
        if self._result is not None:
            return self._result
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has reached its bounds already
            self.process.stdin.write(word)
            self.process.stdin.flush()
        encoded = self.process.stdout.read()
        try:
            self._result = msgspec.msgpack.decode(encoded, type=Result)
        except msgspec.DecodeError as error:
            raise LoadBroke(f"the load ended with {self.process.wait(GRACE)} and no result") from error
        return self._result


@contextlib.contextmanager
def load(plan: Plan) -> Iterator[Running]:
    """A running load whose every connection has ended its first request; it ends with the block, or with us."""
    command = [sys.executable, "-m", "weirkeeper.testing.load"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(plan) + b"\n")
            process.stdin.flush()
            if process.stdout.readline() != b"warm\n":
                raise LoadBroke(f"the load did not start; it ended with {process.wait(GRACE)}")
            yield Running(plan, process)
        finally:
            process.kill()
