"""`python -m weirkeeper.testing.load`: the process that sends. The plan comes as a line of JSON on standard input.

Writes one line when it is warm, then, when the run has ended, the result as MessagePack. A second line on standard input,
or its end, stops the run.
"""

import asyncio
import os
import sys

import msgspec

from weirkeeper.testing.load.drive import Run
from weirkeeper.testing.load.plan import Plan, Result


async def serve(plan: Plan) -> Result:
    """Drives the plan, stopping when standard input says so."""
    run = Run(plan)
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), told, run)
    driving = asyncio.create_task(run.drive(), name="load")
    await run.warm.wait()
    sys.stdout.buffer.write(b"warm\n")
    sys.stdout.buffer.flush()
    try:
        return await driving
    finally:
        loop.remove_reader(sys.stdin.fileno())


def told(run: Run) -> None:
    """Stops the run: whatever is said after the plan, or that nothing can be said any more, means that."""
    os.read(sys.stdin.fileno(), 4096)
    run.stopped.set()


def main() -> None:
    """Reads the plan, drives it, writes the result."""
    line = b""
    while not line.endswith(b"\n"):  # unbuffered, so that nothing after the plan is swallowed
        byte = os.read(sys.stdin.fileno(), 1)
        if not byte:
            return
        line += byte
    result = asyncio.run(serve(msgspec.json.decode(line, type=Plan)))
    sys.stdout.buffer.write(msgspec.msgpack.encode(result))


if __name__ == "__main__":
    main()
