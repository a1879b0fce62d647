"""`python -m bench.clocked FILE COMMAND...`: a `weir` command that says when things reached it.

Comes in: `weir run`, or `weir agent`, with all its options. Goes out: lines of JSON in the file (nanoseconds of the monotonic clock, which all processes share, and names):
when the intake was handed watch events, when a round of items was received beside the engine, and when the engine had all of it. All else is the product's own.
"""

import os
import sys
import time

import msgspec

from weirkeeper.app.cluster import ClusterApplication
from weirkeeper.cli.main import app
from weirkeeper.feeds.base import Seen
from weirkeeper.providers.agent import Agent

NAMED = 64


def main() -> None:
    file = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(what: str, names: list[str], at: int) -> None:
        os.write(file, msgspec.json.encode({"at": at, "what": what, "names": names[:NAMED]}) + b"\n")

    offer, take, settled = ClusterApplication._offer, Agent._take, Agent.settled

    def offered(self, events):
        at, held = time.monotonic_ns(), tuple(events)
        offer(self, held)
        say("event", [f"{one.ref.kind}/{one.ref.name}" for one in held[:NAMED] if isinstance(one, Seen)], at)

    def taken(self, found, stream):
        at = time.monotonic_ns()
        take(self, found, stream)
        say("round", [f"{kind.rpartition('.')[2]}/{name}" for kind, name in found.changes], at)

    def done(self):
        settled(self)
        say("settled", [], time.monotonic_ns())

    ClusterApplication._offer, Agent._take, Agent.settled = offered, taken, done
    app(prog_name="weir")


if __name__ == "__main__":
    main()
