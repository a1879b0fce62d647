"""Plots of the raw rows that lie in `bench/results`, as SVG. Comes in: the JSON files. Goes out: pictures; nothing is measured here."""

import json
import math

from bench.figures import RESULTS

NAMES = {"weir": "weir", "rds": "one route table (P1)", "traefik": "Traefik, throttle 0", "traefik-default": "Traefik, throttle 2 s"}


def _rows(name: str) -> list[dict]:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text())["rows"] if path.exists() else []


def draw() -> None:
    """Every plot whose rows are there."""
    try:
        import matplotlib as mpl  # noqa: PLC0415
    except ImportError:
        print("no plots: pip install -e '.[bench]' brings matplotlib")
        return
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "weirkeeper"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    if rows := [r for r in _rows("b1") if r["case"] == "hosts"]:
        figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
        for ax, change in zip(axes, ("changed", "new"), strict=True):
            for system, label in NAMES.items():
                sizes = sorted({r["size"] for r in rows if r["system"] == system})
                held = [[r["ms"] for r in rows if (r["system"], r["size"], r["change"]) == (system, n, change)] for n in sizes]
                for n, values in zip(sizes, held, strict=True):
                    ax.plot([n] * len(values), values, ".", alpha=0.15, color=f"C{list(NAMES).index(system)}")
                ax.plot(sizes, [sorted(v)[len(v) // 2] for v in held], "o-", color=f"C{list(NAMES).index(system)}", label=label)
            ax.set(xscale="log", yscale="log", xlabel="hosts", title=f"{change} host")
            ax.grid(alpha=0.3)
        axes[0].set_ylabel("ms to the right answer on every worker")
        axes[1].legend(fontsize=8)
        _save(plt, figure, "b1")
    if rows := _rows("b8"):
        figure, ax = plt.subplots(figsize=(6, 4))
        for key in sorted({(r["size"], r["change"]) for r in rows}):
            values = sorted(r["ms"] for r in rows if (r["size"], r["change"]) == key)
            ax.plot(values, [(n + 1) / len(values) for n in range(len(values))], label=f"{key[1]}, {key[0]} SNI hosts")
        ax.set(xlabel="ms to a good handshake on every worker", ylabel="share of changes", xscale="log")
        ax.legend(fontsize=8)
        ax.grid(alpha=0.3)
        _save(plt, figure, "b8")
    if rows := _rows("b7"):
        figure, ax = plt.subplots(figsize=(8, 4))
        keys = sorted({(r["shape"], r["size"], r["connections"], r.get("log", False)) for r in rows})
        for offset, system in ((-0.2, "weir"), (0.2, "by hand")):
            held = [[r["cpu_us"] for r in rows if (r["shape"], r["size"], r["connections"], r.get("log", False)) == key and r["system"] == system] for key in keys]
            ax.barh([n + offset for n in range(len(keys))], [sorted(v)[len(v) // 2] if v else math.nan for v in held], 0.4, label=system)
        ax.set_yticks(range(len(keys)), [f"{a} {b}, {c} conns, log {'on' if d else 'off'}" for a, b, c, d in keys], fontsize=7)
        ax.set(xlabel="CPU µs a request")
        ax.legend(fontsize=8)
        _save(plt, figure, "b7")


def _save(plt, figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(RESULTS / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)
