"""Refusals of clusters that are never heard (docs/decisions/0007, rule 4): whom to suspect, and when to look. Pure.

Comes in: the lane of clusters, the names of assignments that the engine asked for, how far it has answered, the time. Goes out: rows to take back and
to try again alone. A new cluster that its balancer refuses is counted as warming for ever, so Envoy says nothing more about clusters. It never asks
for its assignment either, while it asks for those of all others at once: that tells the two apart.
"""

from collections.abc import Iterator

from weirkeeper.distribute.kinds import EDS
from weirkeeper.distribute.lane import Lane, Row

SILENCE = 2.0


def suspects(clusters: Lane, assignments: Lane | None, heard: int, now: float) -> Iterator[Row]:
    """New clusters of unanswered responses that the engine has read: it has answered a later one of another kind."""
    if assignments is None:
        return
    for sent in clusters.outstanding.values():
        if sent.order > heard or sent.at + SILENCE > now:
            return
        for row in sent.rows:
            asked = [name for kind, name in row.item.needs if kind == EDS] if row.item is not None else []
            newest = clusters.latest.get(row.name) == row.version and clusters.sent_at.get(row.name) == sent.order
            if (
                newest
                and asked
                and row.name not in clusters.have
                and not any(name in assignments.names for name in asked)
            ):
                yield row


def look_at(clusters: Lane | None, now: float) -> float | None:
    """When the next unanswered response will have been silent for long."""
    due = [sent.at + SILENCE for sent in clusters.outstanding.values()] if clusters is not None else []
    return min((moment for moment in due if moment > now), default=None)
