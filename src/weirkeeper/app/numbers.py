"""The gauges of a cluster program: what each says is asked of the part that knows it, never of tables that a settle may be changing.

Comes in: the parts of the program, observations, findings. Goes out: answers for `/metrics`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from time import time

from weirkeeper.app.channel import Channel, Row
from weirkeeper.app.last_good import LastGood
from weirkeeper.feeds.kube.feed import KubeFeed
from weirkeeper.model.finding import Finding, Severity
from weirkeeper.model.ids import Ref
from weirkeeper.model.observation import InstanceObservation, ItemState
from weirkeeper.providers.base import Provider
from weirkeeper.runtime.dispatch import Dispatcher
from weirkeeper.runtime.health import Pulse
from weirkeeper.runtime.intake import Intake
from weirkeeper.runtime.leader import Leadership
from weirkeeper.runtime.metrics import Labels, Metrics

Answer = float | Mapping[Labels, float]


class Numbers:
    """Counts what passes by."""

    def __init__(self, replica: str, providers: Sequence[Provider]) -> None:
        self._replica, self._providers = replica, [provider.name for provider in providers]
        self._serving: dict[tuple[str, ...], str] = {}
        self._ailing: dict[tuple[str, ...], str] = {}
        self._rejected: set[tuple[str, ...]] = set()
        self._severities: dict[Ref, Counter[str]] = {}
        self._findings: Counter[str] = Counter()

    @property
    def rejected(self) -> int:
        """How many items engines refuse now."""
        return len(self._rejected)

    @property
    def ailing(self) -> int:
        """How many engines do not serve, by the word of agents that are connected here."""
        return len(self._ailing)

    def saw(self, row: Row) -> None:
        """An engine was observed."""
        if isinstance(row, InstanceObservation):
            key = (row.provider, row.load_balancer, row.instance, row.replica)
            here = row.replica == self._replica
            for counted, true in ((self._serving, row.serving and here), (self._ailing, bool(row.trouble) and here)):
                counted.pop(key, None)
                if true:
                    counted[key] = row.provider
            return
        item = (row.provider, row.load_balancer, row.kind, row.name)
        if row.state is ItemState.REJECTED:
            self._rejected.add(item)
        else:
            self._rejected.discard(item)

    def found(self, findings: Mapping[Ref, tuple[Finding, ...] | None]) -> None:
        """Findings changed."""
        for ref, many in findings.items():
            self._findings.subtract(self._severities.pop(ref, Counter()))
            if many:
                counted = self._severities[ref] = Counter(finding.severity.value for finding in many)
                self._findings.update(counted)

    def publish(  # noqa: PLR0917 - the parts of the program
        self, metrics: Metrics, intake: Intake, dispatcher: Dispatcher, leadership: Leadership, feed: KubeFeed, channel: Channel,
        pulse: Pulse, last_good: LastGood | None,
    ) -> None:  # fmt: skip
        """Publish all gauges."""
        gauges: dict[str, Callable[[], Answer]] = {
            "synced": lambda: float(intake.synced.is_set()),
            "leader": lambda: float(leadership.leading),
            "leader_hears": lambda: float(channel.hears()),
            "pending_events": lambda: intake.waiting,
            "loop_stall_seconds": lambda: pulse.longest,
            "items": lambda: {(("provider", name),): len(box) for name, box in dispatcher.mailboxes.items()},
            "instances": lambda: self._of("provider", Counter(self._serving.values()), self._providers),
            "engines_down": lambda: self._of("provider", Counter(self._ailing.values()), self._providers),
            "findings": lambda: self._of("severity", self._findings, [one.value for one in Severity]),
            "rejected_items": lambda: self.rejected,
            "snapshot_in_use": lambda: float(dispatcher.stand_in),
            "snapshot_age_seconds": lambda: -1 if last_good is None else last_good.age(),
            "held": lambda: {(("kind", kind),): count for kind, count in feed.held.items()},
            "feed_lost": lambda: len(feed.lost),
            "certificate_end_seconds": lambda: channel.certificate_end() - time() if channel.certificate_end() else -1,
        }
        for name, ask in gauges.items():
            metrics.gauge(name, ask)

    @staticmethod
    def _of(label: str, counted: Counter[str], names: Sequence[str]) -> Answer:
        return {((label, name),): counted[name] for name in names}
