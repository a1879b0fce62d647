"""`python -m bench [b1 b3 b6 b7 b8 settle] [--quick]`: runs benchmarks, writes raw rows and plots to bench/results, prints a table of each."""

import argparse
import importlib
import sys
import time

ALL = ("settle", "b1", "b3", "b8", "b7", "b6")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}; all of them by default")
    parser.add_argument("--quick", action="store_true", help="small sizes, a few minutes in all; figures go to *.quick.json")
    options = parser.parse_args()
    if wrong := set(options.names) - set(ALL):
        parser.error(f"unknown: {', '.join(sorted(wrong))}")
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
