"""One engine's delta stream: what this engine lacks, in make-before-break order, gated by nothing but its own answers. Sans-IO.

Theory of operation. Comes in: requests (``receive``) and the shelf of wished items; goes out: events and, from ``next``, responses as bytes, one at
a time, until there is nothing to say. Time is an argument. Nothing is queued: a response is computed from the newest items when it leaves.

Each kind has a ``Lane``. A name is *dirty* when the shelf, an answer or a request says that it must be looked at; looking at it sends it, finds it
equal, or *blocks* it on the first thing it needs, whose arrival makes it dirty again. So a change costs what changed, and a blocked scope holds up
no other.

- A cluster is ready when its response was ACKed. Envoy mutes that ACK while any cluster warms, so the ACKs of its assignment and secrets after it
  serve as well, unless it has a health check (docs/decisions/0006). Scopes ask for nothing before the clusters of the start have warmed.
- A changed cluster is followed by its assignment; a new one as well, which saves a round trip.
- A cluster goes only when nothing that the engine holds, or may hold, needs it, and the drain time has passed since.
- Nothing of a refused response counts as held and all of it as possibly held; its rows are tried again in smaller groups. A row refused alone is
  quarantined; the last accepted bytes take its place, or its removal (docs/decisions/0007).
- Neutral items, which agents ask for, wait for nothing and no answer is waited for: what is to be said at one time is a round, and its last response
  says so, with the number of kinds that were asked for by then. The agent makes one change of it.
- No scope is sent twice with the same bytes: Envoy keeps those of a refused response without telling its workers, and would skip them.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator

from weirkeeper.distribute import silence, wire
from weirkeeper.distribute.clusters import assignments, checked, companions
from weirkeeper.distribute.events import Acked, Event, Refused, Rejected, Subscribed
from weirkeeper.distribute.kinds import (
    BY_NAME,
    CDS,
    ECDS,
    EDS,
    LDS,
    NEUTRAL,
    PORTS,
    RDS,
    ROUTES,
    SDS,
    SERVER_NAME,
    SRDS,
    rank,
)
from weirkeeper.distribute.lane import Lane, Row, Sent
from weirkeeper.distribute.secrets import Aliases
from weirkeeper.distribute.store import Key, Shelf
from weirkeeper.providers.base import EngineItem

CHUNK = 2 << 20
WINDOW = 4
CLUSTER_WINDOW = 64
LISTENER_RETRY = 5.0


Doubts = dict[str, set[str]]
"""Names by kind that an engine may hold although it does not claim them: sent on a stream that was lost before a good answer."""


class DeltaStream:
    """The state of one connection."""

    def __init__(
        self, shelf: Shelf, drain_seconds: float, engine: str = "", doubts: Doubts | None = None, mark: str = ""
    ) -> None:
        """``mark`` is this stream's own: no other stream of the engine may have had it."""
        self.shelf = shelf
        self.engine = engine
        self.lanes: dict[str, Lane] = {}
        self._drain = drain_seconds
        self._cursor = shelf.number
        self._order = 0
        self._heard = 0
        self._waiting: dict[Key, dict[Key, None]] = {}
        self._users: Counter[Key] = Counter()
        self._unknown: set[Key] = set()
        self._late: dict[str, float] = {}
        self._companions: dict[Key, dict[Key, None]] = {}
        self._now = 0.0
        self._aliases = Aliases()
        self._doubts = doubts or {}
        self._retries: dict[Key, float] = {}
        self._unmarked: Lane | None = None
        self._mark = mark

    # ---------------------------------------------------------------- in

    def receive(self, request: wire.Request, now: float) -> list[Event]:
        """What this request says. An answer to a response that we do not know is of an earlier time and ignored."""
        if request.node is not None and request.node.engine:
            self.engine = request.node.engine
        self._now = now
        events: list[Event] = []
        first = request.kind not in self.lanes
        lane = self._lane(request)
        if first:
            held = self._held(lane, request)
            if held:
                events.append(self._claims(lane, held))
        if request.nonce:
            events.extend(self._answered(lane, request))
        for name in request.unsubscribe:
            self._unsubscribe(lane, name)
        for name in request.subscribe:
            if name != "*":
                self._subscribe(lane, name)
        if first or request.subscribe:
            events.append(Subscribed(request.kind, request.subscribe))
        return events

    def _lane(self, request: wire.Request) -> Lane:
        kind = request.kind
        if kind in self.lanes:
            return self.lanes[kind]
        wildcard = kind not in BY_NAME and (not request.subscribe or "*" in request.subscribe)
        lane = self.lanes[kind] = Lane(kind, wildcard)
        lane.greet = wildcard and not request.held
        if kind in NEUTRAL:
            self._unmarked = lane
        if wildcard:
            lane.dirty.update(dict.fromkeys((*self.shelf.names.get(kind, ()), *self._held(lane, request))))
        self._wake_kind(kind)
        return lane

    def _held(self, lane: Lane, request: wire.Request) -> dict[str, str]:
        """What the engine claims, and what it may hold besides, which has no version."""
        unclaimed = self._doubts.get(lane.kind, set()) if lane.wildcard else set()
        return {**dict.fromkeys(sorted(unclaimed - request.held.keys()), ""), **request.held}

    def _claims(self, lane: Lane, held: dict[str, str]) -> Acked:
        """What the engine held before it connected. What those need is known where the version is one of ours."""
        known = []
        for name, version in held.items():
            source = self._source(lane, name) or name
            item = self.shelf.wished((lane.kind, source), self.engine)
            lane.latest[name] = version
            if item is not None and item.version == version:
                lane.have[name] = item
                self._users.update(item.needs)
                self.shelf.accept((lane.kind, source), version)
                known.append((source, version))
            else:
                lane.have[name] = version
                if not version:
                    lane.doubtful.add(name)
                if lane.kind in ROUTES or lane.kind == LDS:
                    self._unknown.add((lane.kind, name))
            if lane.kind == CDS:
                self._expire(name)
        return Acked(lane.kind, tuple(known))

    def _subscribe(self, lane: Lane, name: str) -> None:
        fresh = name not in lane.names
        lane.names[name] = None
        claimed = fresh and name in lane.have and not lane.settled.get(name)
        if not lane.wildcard and not claimed:
            lane.forced.add(name)
        lane.dirty[name] = None
        self._wake((CDS, name) if lane.kind == EDS else (lane.kind, name))

    def _unsubscribe(self, lane: Lane, name: str) -> None:
        if lane.wildcard:
            return
        have = lane.have.get(name)
        if isinstance(have, EngineItem):
            self._release(have)
        for _, item in lane.unsure.pop(name, ()):
            self._release(item)
        self._unknown.discard((lane.kind, name))
        lane.forget(name)
        if lane.kind == SDS:
            self._aliases.drop(name)

    def _answered(self, lane: Lane, request: wire.Request) -> list[Event]:
        sent = lane.outstanding.pop(request.nonce, None)
        if sent is None:
            return []
        self._heard = max(self._heard, sent.order)
        if request.error is None:
            return self._acknowledged(lane, sent)
        message = "the engine refused the certificate or its key" if lane.kind == SDS else request.error
        culprit = lane.refuse(sent, request.error)
        if culprit is None:
            return [Refused(lane.kind, len(sent.rows), message)]
        return self._condemn(lane, culprit, message)

    def _acknowledged(self, lane: Lane, sent: Sent) -> list[Event]:
        before = [lane.have.get(row.name) for row in sent.rows]
        lane.acknowledge(sent)
        for row, held in zip(sent.rows, before, strict=True):
            self._unknown.discard((lane.kind, row.name))
            if isinstance(held, EngineItem):
                self._release(held)
            self._settle(lane, row, sent.order)
            if row.item is not None:
                self.shelf.accept((lane.kind, row.source), row.item.version)
        for row in sent.rows:
            self._wake((lane.kind, row.name))
            for cluster in self._companions.get((lane.kind, row.name), ()):
                self._wake(cluster)
        events: list[Event] = [Acked(lane.kind, tuple((row.source, row.version) for row in sent.rows))]
        if lane.kind == SDS:
            events.append(Acked(SERVER_NAME, tuple(_server_names(sent.rows))))
        return events

    def _settle(self, lane: Lane, row: Row, order: int) -> None:
        """What the engine may have held before this answer it no longer does; count again who needs what."""
        if lane.kind == CDS:
            for companion in companions(row.name, row.item):
                self._companions.get(companion, {}).pop((CDS, row.name), None)
        unsure = lane.unsure.pop(row.name, [])
        for sent, item in unsure:
            if sent < order or (sent == order and row.item is None):
                self._release(item)
        later = [pair for pair in unsure if pair[0] > order]
        if later:
            lane.unsure[row.name] = later

    def _condemn(self, lane: Lane, row: Row, message: str) -> list[Event]:
        """Refused alone: this version is not sent again; what the engine had, or nothing, takes its place."""
        lane.suspected.pop(row.name, None)
        lane.dirty[row.name] = None
        if row.item is None:
            lane.have.pop(row.name, None)
            lane.latest.pop(row.name, None)
            return []
        self.shelf.refuse((lane.kind, row.source), row.item.version, self.engine, message)
        lane.forced.add(row.name)
        self._wake((lane.kind, row.name))
        if lane.kind in PORTS:  # its port may be held by another program, which ends
            self._retries[lane.kind, row.source] = self._now + LISTENER_RETRY
        return [Rejected(lane.kind, row.source, row.item.version, message)]

    # ---------------------------------------------------------------- out

    def next(self, now: float) -> bytes | None:
        """The next response that this engine should get, or None when there is nothing to say now."""
        self._now = now
        for key in [key for key, due in self._retries.items() if due <= now]:
            del self._retries[key]
            self.shelf.forgive(key, self.engine)
        self._read_log()
        broken = self._break_silence()
        if broken is not None:
            return broken
        for lane in sorted(self.lanes.values(), key=_rank):
            if len(lane.outstanding) < _window(lane):
                rows = self._rows(lane)
                if rows or lane.greet:
                    return self._respond(lane, rows)
        return None if self._unmarked is None else self._respond(self._unmarked, ())

    def wake_at(self) -> float | None:
        """When ``next`` may have something to say although nothing happened: the end of a drain time, or of a long silence, or a listener's next try."""
        late = [*self._retries.values(), *(self._late.values() if self._may_remove_clusters() else ())]
        silent = silence.look_at(self.lanes.get(CDS), self._now)
        return min(late if silent is None else [*late, silent], default=None)

    def has(self, key: Key, version: str) -> bool:
        """Whether this engine has this version, or does not want to know."""
        lane = self.lanes.get(key[0])
        if key[0] == SERVER_NAME:
            return all(self._shows(wire_name) for wire_name in list(self._aliases.asked(key[1])))
        if lane is None:
            return key[0] in BY_NAME
        if key[0] == SDS:
            return all(_version(lane.have.get(wire_name)) == version for wire_name in self._aliases.wires(key[1]))
        if not lane.wildcard and key[1] not in lane.names:
            return True
        return _version(lane.have.get(key[1])) == version

    def doubts(self) -> Doubts:
        """What this engine may hold and will not claim, should the stream end now."""
        return {lane.kind: set(lane.doubtful) for lane in self.lanes.values() if lane.wildcard and lane.doubtful}

    def current(self) -> bool:
        """Whether every change of the wished items has been looked at."""
        return self._cursor == self.shelf.number

    def converged(self) -> bool:
        """Whether the engine serves and has all that it can have: an item is blocked with nothing on its way only for what will not come."""
        if self.lanes.keys().isdisjoint(PORTS) or not self.current():
            return False
        return not any(lane.busy() for lane in self.lanes.values())

    def _read_log(self) -> None:
        if self._cursor == self.shelf.number:
            return
        changed = self.shelf.changed_since(self._cursor)
        self._cursor = self.shelf.number
        for key in self._everything() if changed is None else changed:
            lane = self.lanes.get(SDS if key[0] == SERVER_NAME else key[0])
            if lane is not None and key[0] == SERVER_NAME:
                lane.dirty.update(self._aliases.asked(key[1]))
            elif lane is not None and key[0] == SDS:
                lane.dirty.update(dict.fromkeys(self._aliases.touched(self.shelf, key[1])))
            elif lane is not None and (lane.wildcard or key[1] in lane.names):
                lane.dirty[key[1]] = None
            if key[0] == CDS:
                self._expire(key[1])
            self._wake(key)

    def _everything(self) -> Iterable[Key]:
        """All keys of the shelf and all that the engine holds: the log is too short for this stream."""
        held = ((kind, name) for kind, lane in self.lanes.items() for name in (*lane.latest, *lane.names))
        return dict.fromkeys((*self.shelf.entries, *held))

    def _break_silence(self) -> bytes | None:
        """Takes back the clusters that mute all answers; then each is tried alone, where its refusal is heard."""
        lane = self.lanes.get(CDS)
        rows = tuple(silence.suspects(lane, self.lanes.get(EDS), self._heard, self._now)) if lane is not None else ()
        if lane is None or not rows:
            return None
        lane.accuse(rows)
        return self._respond(lane, tuple(Row(row.name, row.source, None) for row in rows))

    def _rows(self, lane: Lane) -> tuple[Row, ...]:
        """What is to be sent of this kind: a group of suspects alone, else everything dirty that is not blocked, up to a chunk."""
        while lane.groups:
            group = tuple(self._again(lane, lane.groups.popleft()))
            if group:
                return group
        if lane.kind == CDS:
            self._remove_late(lane)
        if lane.kind == SDS:
            self._take_back(lane, self._aliases.surplus())
        rows, size = [], 0
        for name in list(lane.dirty):
            row = self._look(lane, name)
            if row is not None:
                rows.append(row)
                size += 256 if row.item is None else len(row.item.body) + len(row.item.tail) + 256
                if size > CHUNK:
                    break
        return tuple(rows)

    def _again(self, lane: Lane, group: tuple[Row, ...]) -> Iterator[Row]:
        """The suspects that are still wished as they were; others have recovered and go the usual way."""
        for row in group:
            lane.suspected.pop(row.name, None)
            wished = self._wished(lane, row.name)
            same = (None if wished is None else wished.version) == row.version
            if (
                same
                and lane.latest.get(row.name) != row.version
                and (row.item is None or lane.wildcard or row.name in lane.names)
            ):
                lane.dirty.pop(row.name, None)
                yield row
            else:
                lane.dirty[row.name] = None

    def _look(self, lane: Lane, name: str) -> Row | None:
        """The row to send for this name, or None where it is as it should be, blocked, suspected or gone already."""
        wished = self._wished(lane, name)
        del lane.dirty[name]
        if lane.suspected.get(name, "") == (None if wished is None else wished.version):
            return None
        lane.blocked.discard(name)
        source = self._source(lane, name) or name
        entry, have = self.shelf.entries.get((lane.kind, source)), _version(lane.have.get(name))
        if entry is not None and entry.item is not wished and have == entry.item.version == lane.latest.get(name):
            return None  # others refuse what this engine has taken
        if wished is None:
            if lane.kind in ROUTES and self._users[lane.kind, name]:
                return None  # another route still sends requests to it; its release makes this dirty again
            return Row(name, source, None) if self._to_remove(lane, name) else None
        if lane.latest.get(name) == wished.version and name not in lane.forced:
            return None
        need = self._missing(lane.kind, wished)
        if need is not None:
            lane.blocked.add(name)
            self._waiting.setdefault(need, {})[lane.kind, name] = None
            self._wake((lane.kind, name))
            return None
        return None if wished.withheld else Row(name, source, wished)

    def _to_remove(self, lane: Lane, name: str) -> bool:
        """Whether the absence of an item is to be told. The engine's own unsubscription ends assignments and filters."""
        forced = name in lane.forced
        lane.forced.discard(name)
        if lane.kind == CDS and (CDS, name) not in self.shelf.entries:
            return forced and name in lane.latest
        refused = (lane.kind, self._source(lane, name) or name) in self.shelf.entries
        if lane.kind == ECDS:
            return False
        if not lane.wildcard:
            return name in lane.names and (forced or (lane.kind == SDS and name in lane.latest))
        if refused:
            return forced and name not in lane.have
        return name in lane.latest

    def _remove_late(self, lane: Lane) -> None:
        if not self._late or not self._may_remove_clusters():
            return
        for name in [name for name, due in self._late.items() if due <= self._now]:
            del self._late[name]
            if (CDS, name) not in self.shelf.entries and not self._users[CDS, name] and name in lane.latest:
                lane.forced.add(name)
                lane.dirty[name] = None

    def _respond(self, lane: Lane, rows: tuple[Row, ...]) -> bytes:
        self._order += 1
        nonce = str(self._order)
        if lane.kind == CDS:
            for row in rows:
                self._follow(row)
        for row in rows:
            if row.item is not None and row.item.needs:
                lane.unsure.setdefault(row.name, []).append((self._order, row.item))
                self._users.update(row.item.needs)
        if lane.kind == LDS and not lane.have and any(row.item is not None for row in rows):
            self._follow_first_listener()
        lane.greet = False
        lane.send(nonce, Sent(self._order, rows, self._now))
        mark = f"{self._mark}.{nonce}"
        resources = [_resource(lane.kind, row, mark) for row in rows if row.item is not None]
        gone = [row.name for row in rows if row.item is None]
        return wire.response(lane.kind, nonce, resources, gone, self._round(lane))

    def _round(self, lane: Lane) -> str:
        """The mark of a round's last response. What looked like more may turn out to be nothing: then an empty response carries it."""
        if lane.kind not in NEUTRAL:
            return ""
        more = any(one.dirty or one.groups or one.greet for one in self.lanes.values())
        self._unmarked = lane if more else None
        return "" if more else str(len(self.lanes))

    def _follow(self, row: Row) -> None:
        """The assignment of a cluster follows it, asked for or not."""
        for companion in companions(row.name, row.item):
            self._companions.setdefault(companion, {})[CDS, row.name] = None
        lane = self.lanes.get(EDS)
        for name in assignments(row.name, row.item) if row.item is not None and lane is not None else ():
            if lane is not None and (EDS, name) in self.shelf.entries:
                lane.forced.add(name)
                lane.dirty[name] = None

    def _follow_first_listener(self) -> None:
        """Scopes follow it, held or not: Envoy does not ask again when a listener takes the place of one that it had refused."""
        lane = self.lanes.get(SRDS)
        if lane is not None:
            lane.forced.update(lane.latest)
            lane.dirty.update(dict.fromkeys(lane.latest))

    def _take_back(self, lane: Lane, names: list[str]) -> None:
        for name in names:
            lane.names.pop(name, None)
            self._aliases.drop(name)
        if names:
            lane.groups.append(tuple(Row(name, name, None) for name in names))

    # ---------------------------------------------------------------- questions

    def _wished(self, lane: Lane, name: str) -> EngineItem | None:
        if lane.kind == SDS:
            source = self._aliases.resolve(self.shelf, name) if name in lane.names else None
            return None if source is None else self.shelf.wished((SDS, source), self.engine)
        return self.shelf.wished((lane.kind, name), self.engine)

    def _shows(self, name: str) -> bool:
        """Whether the engine has the certificate that should stand behind a name that it asked for."""
        lane = self.lanes[SDS]
        wished = self._wished(lane, name)
        return wished is None or _version(lane.have.get(name)) == wished.version

    def _source(self, lane: Lane, name: str) -> str | None:
        if lane.kind != SDS:
            return name
        return self._aliases.source.get(name) or self._aliases.resolve(self.shelf, name)

    def _missing(self, kind: str, item: EngineItem) -> Key | None:
        """The first thing that must be there before this item may go, and is not."""
        return next((need for need in item.needs if not self._ready(need, hard=kind in ROUTES)), None)

    def _ready(self, need: Key, *, hard: bool) -> bool:
        kind, name = need
        lane = self.lanes.get(kind)
        if kind in BY_NAME or kind in NEUTRAL:
            return True
        if lane is None:
            return kind != CDS
        if not hard and name in lane.blocked:
            return True  # a listener does not wait for a route that waits for its cluster, perhaps for ever
        wished, have = self.shelf.wished(need, self.engine), _version(lane.have.get(name))
        if name not in lane.latest or wished is None:
            return (have is not None and name in lane.latest) or (wished is None and not hard)
        if lane.latest[name] != wished.version:
            return False
        held = have == wished.version and name not in lane.leaving  # else it was taken away, and comes anew
        return held or (kind == CDS and self._warm(lane, name, wished))

    def _warm(self, lane: Lane, name: str, item: EngineItem) -> bool:
        """The ACK of this cluster may be muted by another; its assignment and secrets were taken after it was sent, which proves it too."""
        sent, eds, sds = lane.sent_at.get(name), self.lanes.get(EDS), self.lanes.get(SDS)
        if sent is None or eds is None or checked(item):
            return False
        there = all(n in eds.names and eds.settled.get(n, 0) > sent for n in assignments(name, item))
        secrets = [n for kind, n in item.needs if kind == SDS]
        return there and (not secrets or (sds is not None and all(n in sds.have for n in secrets)))

    def _may_remove_clusters(self) -> bool:
        """Only when all that the engine holds is known: after a reconnect the clusters are claimed before the scopes."""
        lds = self.lanes.get(LDS)
        if lds is None or self._unknown:
            return False
        return not lds.have or SRDS in self.lanes or RDS in self.lanes

    # ---------------------------------------------------------------- bookkeeping

    def _wake(self, key: Key) -> None:
        for kind, name in self._waiting.pop(key, ()):
            self.lanes[kind].dirty[name] = None

    def _wake_kind(self, kind: str) -> None:
        for key in [key for key in self._waiting if key[0] == kind]:
            self._wake(key)

    def _release(self, item: EngineItem) -> None:
        for need in item.needs:
            self._users[need] -= 1
            if self._users[need] <= 0:
                del self._users[need]
                if need[0] == CDS:
                    self._expire(need[1])
                elif need[0] in ROUTES and need[0] in self.lanes:
                    self.lanes[need[0]].dirty[need[1]] = None

    def _expire(self, name: str) -> None:
        """Start the drain time of a cluster that is no longer wished and that nothing needs."""
        lane = self.lanes.get(CDS)
        gone = (CDS, name) not in self.shelf.entries
        if gone and lane is not None and name in lane.latest and not self._users[CDS, name]:
            self._late.setdefault(name, self._now + self._drain)
        else:
            self._late.pop(name, None)


def _resource(kind: str, row: Row, mark: str) -> bytes:
    assert row.item is not None
    body = row.item.whole if row.name == row.source else wire.renamed(row.item.whole, row.name)
    if kind == SRDS:
        body = wire.marked(body, mark)
    return wire.resource(kind, row.name, row.item.version, body)


def _server_names(rows: Iterable[Row]) -> Iterator[tuple[str, str | None]]:
    """The hosts, exact and one label up, that these secrets were sent for."""
    for row in rows:
        if row.name != row.source:
            host = row.name.lower()
            yield from ((host, row.version), ("*." + host.partition(".")[2], row.version))


def _version(have: EngineItem | str | None) -> str | None:
    return have.version if isinstance(have, EngineItem) else have


def _window(lane: Lane) -> float:
    """How many responses may be without an answer."""
    if lane.kind in NEUTRAL:
        return math.inf
    return CLUSTER_WINDOW if lane.kind == CDS else WINDOW


def _rank(lane: Lane) -> int:
    return rank(lane.kind)
