"""`python -m bench [NAME ...] [--quick]`: runs benchmarks, writes raw rows and plots to bench/results, prints a table of each.

Those of `CLUSTER` need an API server: etcd and kube-apiserver from `KUBEBUILDER_ASSETS`, or the fake one of the test kit. As root they run in a network namespace of their own.
"""

import argparse
import importlib
import sys
import time

RING = ("settle", "b1", "b3", "b3_haproxy", "b3_nginx", "b8", "b7", "b7_haproxy", "b7_nginx", "b6", "b6_haproxy", "b6_nginx")
CLUSTER = ("propagation", "propagation_gateway", "attached", "listenersets", "b1_haproxy", "b1_nginx", "b2", "b4", "b5", "b9")
ALL = (*RING, *CLUSTER)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}; all of them by default")
    parser.add_argument("--quick", action="store_true", help="small sizes, a few minutes in all; figures go to *.quick.json")
    options = parser.parse_args()
    if wrong := set(options.names) - set(ALL):
        parser.error(f"unknown: {', '.join(sorted(wrong))}")
    if set(options.names or ALL) & set(CLUSTER):
        from bench import kube  # noqa: PLC0415 - for these alone

        kube.isolate()
    for name in options.names or ALL:
        began = time.monotonic()
        print(f"== {name}", flush=True)
        print(importlib.import_module(f"bench.{name}").run(quick=options.quick))
        print(f"-- {name} took {time.monotonic() - began:.0f} s\n", flush=True)
    from bench import plots  # noqa: PLC0415 - matplotlib takes a second

    plots.draw()
    return 0


if __name__ == "__main__":
    sys.exit(main())
