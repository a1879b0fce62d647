"""Tells feeds what is read by name or by labels, and whether the first output has to wait for an answer.

Comes in: the graph, after each settle. Goes out: the refs that somebody reads, found or not, whenever they are others than before. It is the `ready` of the intake.
"""

from typing import Protocol

from weirkeeper.kube.workloads import PodSelection
from weirkeeper.model.ids import Ref
from weirkeeper.reconcile import Reconciler


class FetchesByName(Protocol):
    """A feed that brings some kinds only by name."""

    def wish(self, kind: tuple[str, str], refs: frozenset[Ref]) -> None:
        """These are read now, and no others of the kind (API group, name)."""
        ...

    def select(self, wanted: frozenset[PodSelection]) -> None:
        """The pods that these select are read now, and no others."""
        ...

    @property
    def pending(self) -> bool:
        """Whether something that is read has not been answered yet."""
        ...


class Wishing:
    """Called after every settle, on the loop; costs nothing unless other names are read than before."""

    def __init__(self, reconciler: Reconciler, feed: FetchesByName, kinds: tuple[tuple[str, str], ...]) -> None:
        """`kinds`: those that the feed brings by name; the ones that nobody can read here are left out."""
        self._graph, self._feed = reconciler.graph, feed
        self._tables = {
            key: reconciler.program.inputs.of(reconciler.kinds[key].type) for key in kinds if key in reconciler.kinds
        }
        self._versions = dict.fromkeys(self._tables, -1)
        self._selections = reconciler.program.pod_selections
        self._selected: frozenset[PodSelection] = frozenset()
        self._known = False

    def __call__(self) -> bool:
        """Pass on what is read now; answers whether everything that was asked for has been known once: that is what the first output waits for."""
        for key, table in self._tables.items():
            version = self._graph.wanted_version(table)
            if version != self._versions[key]:
                self._versions[key] = version
                self._feed.wish(key, self._graph.wanted(table))
        self._select()
        if not self._known:  # to ask goes through all names: no change after the first output should pay for it
            self._known = not self._feed.pending
        return self._known

    def _select(self) -> None:
        wanted = frozenset() if self._selections is None else frozenset(self._graph.rows(self._selections))
        if wanted != self._selected:
            self._selected = wanted
            self._feed.select(wanted)
