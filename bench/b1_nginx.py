"""B1 on NGINX: B1 of HAProxy's agent, with an NGINX and its agent. `reload`, the peer: a hand-written NGINX with the same hosts is told of one more by a reload, in the same run, turn by turn.

For the peer `ms` begins when its file is about to be written, and ends with the right answer on a new connection: connections of before are kept by workers that end.
"""

import contextlib
import time
from pathlib import Path

from bench import kube
from bench.b1_haproxy import Row, changes, figures, frame, printed, started
from bench.clients import until_live
from bench.cluster import real_api
from bench.figures import machine, rounds, save
from bench.nginx_by_hand import ByHand, Site
from bench.nginx_by_hand import running as by_hand
from bench.propagation import objects as many
from bench.stand import backends, scratch
from weirkeeper.testing.nginx_instance import NginxInstance


def peer(place: Path, size: int, port: int) -> ByHand:
    """The same hosts by hand."""
    made = ByHand(place)
    for n in range(size):
        made.sites[f"h{n}.apps.example"] = Site(to=((f"{kube.address(n)}:{port}", 100),))
    return made


def reloaded(hand: ByHand, size: int, number: int) -> Row:
    """One host more."""
    name, began = f"r{number}.apps.example", time.monotonic()
    hand.sites[name] = hand.sites["h0.apps.example"]
    hand.reload()
    until_live(hand.http, name, "/", "200")
    took = (time.monotonic() - began) * 1e3
    return Row(size=size, change="reload", ms=took, event_ms=took, engine_ms=took)


def measured(sizes: tuple[int, ...], share: int, reloads: int) -> tuple[list[Row], dict[str, dict]]:
    rows: list[Row] = []
    about: dict[str, dict] = {}
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        ports = stack.enter_context(backends(place, "ab", ("0.0.0.0",)))
        kubeconfig = stack.enter_context(real_api()).kubeconfig()
        kube.bulk(kubeconfig, frame(ports))
        there = 0
        for size in sizes:
            kube.bulk(kubeconfig, many(there, size, ports["a"]))
            there = size
            with started(NginxInstance, place, kubeconfig, size) as (stand, up), by_hand(peer(place / f"hand{size}", size, ports["a"])) as hand:
                until_live(hand.http, f"h{size - 1}.apps.example", "/", "200")
                for number in range(share - share % 2):
                    rows += changes(stand, ports, number + 1000 * size)
                    if number % max(share // reloads, 1) == 0:
                        rows.append(reloaded(hand, size, number))
                        time.sleep(1.0)
            about[str(size)] = up
            print(f"  {size}: {up}", flush=True)
    return rows, about


def run(*, quick: bool) -> str:
    about = machine()
    rows, up = measured((10, 100), 6, 2) if quick else measured((10, 1_000, 10_000), 20 * rounds(5), 10)
    found = figures(rows)
    save("b1_nginx", rows, {**found, "up": up}, about, quick=quick)
    return printed(found)
