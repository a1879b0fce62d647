"""The numbers of the program itself: counters, which only rise, and gauges, which are asked when somebody reads them.

Comes in: names with labels. Goes out: all of them as values, and as the text that Prometheus reads (text format 0.0.4). Every name stands in `NAMES` with
its sentence; docs/metrics.md is made of it. Labels come from fixed, small sets (worker names, providers, kinds that are watched): never a host, never an
object; a name takes at most `MOST` label sets, what goes beyond is counted as one.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

MOST = 100
BEYOND = (("beyond", "true"),)

Labels = tuple[tuple[str, str], ...]
Ask = Callable[[], float | Mapping[Labels, float]]
"""Answers a gauge: one number, or one for each set of labels."""


class Name(NamedTuple):
    """A number that is published: counter or gauge, what it says, and what to do about it where it can tell of trouble."""

    kind: str
    sentence: str
    remedy: str = ""


NAMES: Mapping[str, Name] = {
    "settles": Name("counter", "Batches that were settled."),
    "events": Name("counter", "Events that came in by the front door."),
    "observations": Name("counter", "What engines reported."),
    "settle_seconds": Name("counter", "Time spent in settles, in seconds."),
    "derivation_runs": Name(
        "counter", "Derivations that ran; for one change it does not depend on how many objects there are."
    ),
    "changes": Name(
        "counter",
        "Changes by how they ended (`state`: live or rejected).",
        "Rejected ones name the object in the log and in its events.",
    ),
    "worker_failures": Name(
        "counter",
        "Workers that failed and were started again (`worker`).",
        "The log has the trace; please report it: it is a bug of ours.",
    ),
    "provider_failures": Name(
        "counter",
        "Settles in which a provider failed (`provider`): what it said before stands, and other providers go on.",
        "The log has the trace; please report it: it is a bug of ours, or of the provider's.",
    ),
    "synced": Name(
        "gauge", "1 once everything was seen and the first settle is delivered.", "/readyz says what is waited for."
    ),
    "leader": Name(
        "gauge",
        "1 on the replica that writes statuses.",
        "None for over 15 s: look at the Lease and at the API server.",
    ),
    "leader_hears": Name(
        "gauge",
        "1 while the leader hears over a connection what this replica sees of engines (and on the leader itself); 0: it is told by way of the API server.",
        "Replicas must reach each other at `podAddress` on the port of the exchange (18001): look at NetworkPolicies.",
    ),
    "instances": Name(
        "gauge", "Engine instances connected to this replica that have a full configuration (`provider`)."
    ),
    "instances_missing": Name(
        "gauge",
        "Instances that fleets should have more, on the replica that leads.",
        "For over a minute: the object that wishes for them has an event (WK510); look at the events of the pods.",
    ),
    "engines_down": Name(
        "gauge",
        "Engines that are gone, hang or do not start, by the word of agents that are connected to this replica (`provider`).",
        "The object that wishes for the load balancer has an event (WK511) that names the instance; look at the log of its engine.",
    ),
    "items": Name("gauge", "Engine items that are wished (`provider`)."),
    "findings": Name("gauge", "Findings by `severity`.", "`weir check` and the events of the objects say which."),
    "rejected_items": Name(
        "gauge",
        "Engine items that an engine refuses now.",
        "The objects that they come from have an event; the last accepted version serves.",
    ),
    "snapshot_in_use": Name(
        "gauge",
        "1 while the last good configuration is served because the API server has not answered.",
        "Look at the API server.",
    ),
    "snapshot_age_seconds": Name("gauge", "Age of the last good configuration on disk; -1 without one."),
    "held": Name(
        "gauge",
        "Kinds whose mass disappearance in a relist is held (`kind`).",
        "Confirm it or look at what the API server lists.",
    ),
    "feed_lost": Name(
        "gauge",
        "Watches that have lost the API server (`kind`).",
        "What was seen last is served; look at the API server.",
    ),
    "loop_stall_seconds": Name("gauge", "Longest stall of the event loop in the last minute."),
    "pending_events": Name("gauge", "Events that wait for the running settle."),
    "certificate_end_seconds": Name(
        "gauge",
        "Seconds until a certificate of the distribution channel ends (`of`).",
        "Under a third of its life: renewal fails; see the log.",
    ),
    "status_writes": Name("counter", "Statuses written, by `result`."),
    "public_endpoint_writes": Name("counter", "Public endpoints written on Services and workloads."),
    "public_endpoint_write_failures": Name("counter", "Public endpoints that could not be written."),
    "fleet_writes": Name("counter", "Objects of fleets written, by `step`."),
    "fleet_write_failures": Name(
        "counter",
        "Writes of objects of fleets that failed; they are tried again.",
        "The log quotes the API server; look at the rights of the component `fleet`.",
    ),
    "event_writes": Name("counter", "Events written, by `result`."),
    "leaderships": Name("counter", "Times this replica began or ceased to lead (`change`: gained, lost, given back)."),
    "lease_failures": Name(
        "counter", "Looks at the Lease that failed.", "Look at the API server and at our rights to Leases."
    ),
    "certificates_asked": Name(
        "counter",
        "Instances that asked for a certificate, by `result`.",
        "`refused`: the log says which account asked for which load balancer.",
    ),
    "connections_cut_off": Name(
        "counter",
        "HTTP connections that were cut off, by `address` (health, exchange) and `why`: crowd (too many of one peer, or of all), silence.",
        "Many: somebody floods the address. The probes are answered all the same; find the peer and keep it away with a NetworkPolicy.",
    ),
}


class Sample(NamedTuple):
    """One number."""

    name: str
    labels: Labels
    value: float


class Metrics:
    """All numbers of one program."""

    def __init__(self) -> None:
        self._counters: dict[str, dict[Labels, float]] = {}
        self._gauges: dict[str, Ask] = {}

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Raise a counter."""
        values = self._counters.setdefault(name, {})
        key = tuple(sorted(labels.items()))
        if key not in values and len(values) >= MOST:
            key = BEYOND
        values[key] = values.get(key, 0) + by

    def gauge(self, name: str, ask: Ask) -> None:
        """Publish a number that is asked for when it is read; a later one of the same name takes its place."""
        self._gauges[name] = ask

    def samples(self) -> Iterator[Sample]:
        """Every number, in a fixed order."""
        for name in sorted(self._counters):
            for labels in sorted(self._counters[name]):
                yield Sample(f"{name}_total", labels, self._counters[name][labels])
        for name in sorted(self._gauges):
            told = self._gauges[name]()
            values: Mapping[Labels, float] = told if isinstance(told, Mapping) else {(): told}
            for labels in sorted(values)[:MOST]:
                yield Sample(name, labels, values[labels])

    def text(self) -> str:
        """The numbers in Prometheus' text format."""
        lines, before = [], ""
        for sample in self.samples():
            if sample.name != before:
                before = sample.name
                lines += _header(sample.name)
            lines.append(f"weirkeeper_{sample.name}{_labels(sample.labels)} {sample.value:g}\n")
        return "".join(lines)


def _header(name: str) -> list[str]:
    known = NAMES.get(name.removesuffix("_total"))
    if known is None:
        return []
    return [f"# HELP weirkeeper_{name} {known.sentence}\n", f"# TYPE weirkeeper_{name} {known.kind}\n"]


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{key}="{value}"' for key, value in labels) + "}" if labels else ""
