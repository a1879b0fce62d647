"""B3 on NGINX: the changes, the load and the judgement of B3, on NGINX as the program drives it; and in the same run, turn by turn, a hand-written NGINX that reads its file again for each change.

A failure is what B3 says. Of the peer no answer that was right at any time of the run is a failure: what is counted is what reloads break, not how long they take. The changes follow one another at the same pace.
"""

import contextlib
import time
from pathlib import Path

from bench import b3, objects
from bench.b3 import HOSTS, Run, files, host
from bench.clients import until_live
from bench.figures import machine, rounds, save, summary, table
from bench.nginx_by_hand import ByHand, Site, running
from bench.stand import Plane, backends, plane, scratch
from weirkeeper.testing.certificates import Authority, PemPair


class Reloads(Run):
    """The same run over the peer. What `Run` writes as manifests is written as the file of NGINX here."""

    def __init__(self, made: ByHand, ports: dict[str, int], authority: Authority) -> None:
        super().__init__(made, ports, authority)  # type: ignore[arg-type]  # it is asked for its ports alone
        self.hand, self.ever = made, {name: set[str]() for name in HOSTS}

    def change(self, name: str, site: Site | None, kind: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        """One change and the reload for it."""
        began = time.monotonic_ns()
        if site is None:
            self.hand.sites.pop(host(name))
        else:
            self.hand.sites[host(name)] = site
        self.hand.reload()
        self.ever[name] |= {*before, *after}
        self.line.hold(name, began, *self.ever[name])
        self.changes.append({"change": kind, "host": name, "at": began})
        time.sleep(b3.GAP)

    def to(self, *names: str, share: int = 100) -> Site:
        held = tuple((f"127.0.0.1:{self.ports[name]}", share) for name in names)
        return Site(to=held)

    def backend(self, now: str, then: str) -> None:
        self.change("backend", self.to(then), "new backend", (f"200 {now}",), (f"200 {then}",))

    def header(self, now: int, then: int) -> None:
        self.change("header", headed(self, then), "header edit", (f"200 {objects.rev(now)}",), (f"200 {objects.rev(then)}",))

    def weight(self, weight: int, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        site = self.to("a") if weight == 0 else self.to("b") if weight == 100 else self.to("b", "a", share=weight)
        self.change("weight", site, f"weight {weight}", before, after)

    def scale(self, up: bool) -> None:
        answers = (("503",), ("200 a",)) if up else (("200 a",), ("503",))
        self.change("scale", self.to("a") if up else Site(to=()), "scaled to 1" if up else "scaled to 0", *answers)

    def gone(self, there: bool) -> None:
        answers = (("404",), ("200 a",)) if there else (("200 a",), ("404",))
        self.change("gone", self.to("a") if there else None, "host re-added" if there else "host removed", *answers)

    def rotate(self) -> None:
        site = secured(self.hand.place, self.authority.issue(host("secure")), self.to("a"), f"{time.monotonic_ns()}")
        self.change("secure", site, "certificate rotated", ("200 a",), ("200 a",))


def headed(one: Reloads, revision: int) -> Site:
    return Site(to=one.to("a").to, answer=(("x-answer", objects.rev(revision)),))


def secured(place: Path, pair: PemPair, site: Site, name: str) -> Site:
    file = place / f"{name}.pem"
    file.write_bytes(pair.certificate + pair.key)
    return Site(to=site.to, secured=str(file))


def furnished(made: ByHand, ports: dict[str, int], authority: Authority) -> ByHand:
    """As it is before the first change."""
    one = Reloads(made, ports, authority)
    made.sites |= {host(name): one.to("a") for name in ("backend", "weight", "scale", "gone")}
    made.sites[host("header")] = headed(one, 0)
    made.sites[host("secure")] = secured(made.place, authority.issue(host("secure")), one.to("a"), "first")
    return made


def one_run(name: str, number: int, made: Run) -> dict:
    records, reconnects = made.go()
    wrong = made.judged(records)
    lost = sum(one["said"].startswith("lost") for one in wrong)
    return {
        "system": name, "run": number, "requests": len(records), "changes": len(made.changes), "failures": len(wrong), "broken_reads": lost, "reconnects": reconnects,
        "worst_window_ms": round(max(made.windows(records)), 2), "first": wrong[:5],
    }  # fmt: skip


def run(*, quick: bool) -> str:
    about, rows = machine(), []
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        ports, authority = stack.enter_context(backends(place, "abc")), Authority()
        made: Plane = stack.enter_context(plane(place, files(place / "f", ports, authority), provider="nginx"))
        hand = stack.enter_context(running(furnished(ByHand(place / "hand"), ports, authority)))
        for port in (made.http, hand.http):
            for name in HOSTS[:-1]:
                until_live(port, host(name), "/", "200")
        until_live(made.http, host("secure"), "/", "308")
        for number in range(2 if quick else rounds(10)):
            for name, one in (("weir", Run(made, ports, authority)), ("reload", Reloads(hand, ports, authority))):
                rows.append(one_run(name, number, one))
                print(f"  {rows[-1]}", flush=True)
    total = {}
    for name in ("weir", "reload"):
        mine = [row for row in rows if row["system"] == name]
        sums = {key: sum(row[key] for row in mine) for key in ("requests", "changes", "failures", "broken_reads", "reconnects")}
        total[name] = {**sums, "runs": len(mine), "worst_window_ms": summary([row["worst_window_ms"] for row in mine])["max"]}
    save("b3_nginx", rows, total, about, quick=quick)
    columns = ("runs", "changes", "requests", "failures", "broken_reads", "reconnects", "worst_window_ms")
    return table(("B3 on NGINX", *columns), [(name, *(found[c] for c in columns)) for name, found in total.items()])
