"""B3 on HAProxy: the changes, the load and the judgement of B3, on HAProxy as the program drives it.

A header edit stands in a section of HAProxy's file, so it waits for a reload, at most one in two seconds (docs/haproxy.md): before and after are both right for `RELOADED` from when the intake had
the change, and the next change comes after that. Its window says how long the answer of before was really given. All other changes are judged as with Envoy, 50 ms after the intake.
"""

import time

from bench import b3, objects
from bench.b3 import Run, host, measured

RELOADED = 3.0


class WithReloads(Run):
    """Header edits have the time of a reload."""

    def header(self, now: int, then: int) -> None:
        began, before, after = time.monotonic_ns(), f"200 {objects.rev(now)}", f"200 {objects.rev(then)}"
        self.plane.folder.put("header.yaml", objects.ingress("header", host("header"), "a", revision=then))
        at = self.plane.seen("Ingress/header", began)
        self.line.hold("header", began, before, after)
        self.line.hold("header", at, before, after)
        self.line.hold("header", at + round(RELOADED * 1e9), after)
        self.changes.append({"change": "header edit (reload)", "host": "header", "at": at, "old": [before]})
        time.sleep(RELOADED + b3.GAP)


def run(*, quick: bool) -> str:
    return measured("b3_haproxy", WithReloads, "haproxy", quick=quick)
