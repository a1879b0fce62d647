"""The feed of a cluster: every object of the kinds that are read; Secrets, ConfigMaps and workloads by name, pods by the labels of workloads.

Comes in: a client, the kinds, and what is wished for by name or labels. Goes out: `Seen` and `Synced`, by way of `offer`. It keeps no objects.

One reflector for each kind, or for each kind and namespace where namespaces are named. A kind that no Kubernetes is sure to serve (ours are CRDs) is looked for by
discovery, again and again: one that the server says it does not serve has no objects; one that nobody can say anything of is unknown, and holds the start.

*The start.* `Synced` is offered once every kind has been listed in every namespace. Names become known only when that has been settled: the intake
calls `wish` after each settle and holds its first output while `pending` (see `runtime/wishing.py`). A name that is refused (401, 403, 404) holds it for
`REFUSED_HOLD` at most: whoever may write an Ingress must not be able to keep the whole program from starting.

*A restart of this worker* goes on with the reflectors that there are: what they have told stands, and what has gone meanwhile is told by them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple, NoReturn

from weirkeeper.controllers.base import Kind
from weirkeeper.feeds.base import Cause, Offer, Seen, Synced
from weirkeeper.feeds.brake import Brake
from weirkeeper.feeds.kube import problems
from weirkeeper.feeds.kube.selections import Selections
from weirkeeper.feeds.kube.wishes import Scope, Wishes
from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import ApiFailure, Unreachable
from weirkeeper.kube.mirror import Absent, Applied, Back, Deleted, Listed, Lost, News, Pace, Unreadable
from weirkeeper.kube.resources import KNOWN, GroupKind, Resource, discovered
from weirkeeper.kube.watch import Gate, Reflector
from weirkeeper.kube.workloads import PodSelection
from weirkeeper.model.ids import LOCAL, Ref

NAME = "kube"
EXCUSES = "kube excuses"
BY_NAME: tuple[GroupKind, ...] = (
    ("", "Secret"), ("", "ConfigMap"), ("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet"),
)  # fmt: skip
PODS: GroupKind = ("", "Pod")
"""What is watched by labels."""
TICK = 1.0
STEP = 0.02
"""The first change is followed at once, those of the next moments together."""
DISCOVERY = 30.0
"""Seconds between looks for kinds that the cluster does not serve."""
DISCOVERY_RETRY = 4.0
REFUSED_HOLD = 90.0
MANY = 64
PACE = Pace()
WIDE = Pace(watch=(85, 110), grace=10.0, peek=300.0)
"""For names and selections beyond the first `MANY`: a thousand watches that begin anew twice a minute would cost more than what they watch."""


class Part(NamedTuple):
    """One reflector's share: a kind, in one namespace or in all; with labels only what has them."""

    kind: GroupKind
    namespace: str = ""
    labels: str = ""


class State:
    """What is known of a part."""

    __slots__ = ("error", "listed", "refused_since")

    def __init__(self) -> None:
        self.listed = False
        self.error: ApiFailure | None = None
        self.refused_since: float | None = None


class KubeFeed:
    """Follows a cluster for as long as it runs. `wish` may be called at any time on the loop."""

    name = NAME

    def __init__(
        self,
        client: Client,
        kinds: Mapping[GroupKind, Kind],
        offer: Offer,
        *,
        cluster: str = LOCAL,
        namespaces: Sequence[str] = (),
        labels: Mapping[GroupKind, str] | None = None,
        known: Mapping[GroupKind, Resource] = KNOWN,
        pace: Pace = PACE,
        discovery: float = DISCOVERY,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`labels`: label selectors by kind, for sharding. `namespaces`: where to look; everywhere when empty. `discovery`: seconds between looks for
        kinds that the cluster does not serve.
        """
        self._client, self._offer, self._cluster = client, offer, cluster
        self._kinds = kinds
        self._namespaces, self._labels, self._known = tuple(namespaces) or ("",), labels or {}, known
        self._pace, self._discovery, self._clock, self._sleep = pace, discovery, clock, sleep
        self.gate = Gate()
        """For all reflectors of this client."""
        self._changed = asyncio.Event()
        self._reflectors: dict[Part | Scope, Reflector[Any]] = {}
        self._tasks: dict[Part | Scope, asyncio.Task[NoReturn]] = {}
        self._parts: dict[Part, State] = {}
        self._brakes = {key: Brake() for key in kinds if key not in BY_NAME}
        self._wishes = Wishes(everywhere=not namespaces)
        self._selected: frozenset[Part] = frozenset()
        self._selections = Selections()
        self._absent_kinds: set[GroupKind] = set()
        self._blind: ApiFailure | None = None  # why nobody knows what the cluster serves
        self._said: dict[Ref, object] = {}  # problems that are standing, and what was said
        self._synced = False
        self._refused_since: dict[Ref, float] = {}
        self._excuses: frozenset[Ref | Part] = frozenset()

    async def run(self) -> NoReturn:
        """Follow until cancelled."""
        self._tasks = {}
        self._changed.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._discover(), name="kube discovery")
            group.create_task(self._tick(), name="kube tick")
            while True:
                await self._changed.wait()
                self._changed.clear()
                self._start_and_end(group)
                self._look()
                await asyncio.sleep(STEP)

    # What others ask and say

    def wish(self, kind: GroupKind, refs: frozenset[Ref]) -> None:
        """These objects of a kind are read now, found or not, and no others."""
        ours = frozenset(ref for ref in refs if ref.cluster == self._cluster)
        self._say(self._wishes.wish(kind, ours, self._clock()))
        self._changed.set()

    def select(self, wanted: frozenset[PodSelection]) -> None:
        """The pods that these select are read now, and no others."""
        ours = (one for one in wanted if one.cluster == self._cluster)
        self._selected = frozenset(Part(PODS, one.namespace, one.selector) for one in ours)
        for part in [part for part in self._parts if part.kind == PODS and part not in self._selected]:
            del self._parts[part]
            self._brakes[PODS].forget(part)
            self._say(self._selections.ended(part))
        for part in self._selected:
            self._parts.setdefault(part, State())
        self._changed.set()

    @property
    def pending(self) -> bool:
        """Whether the first output must wait for something that is read by name or by labels."""
        return any(not self._excused(one) for one in self._awaited())

    def _awaited(self) -> Iterator[Ref | Part]:
        yield from self._wishes.pending
        yield from (part for part in self._selected if not self._parts[part].listed)

    def unready(self, most: int | None = None) -> tuple[str, ...]:
        """Why the start is held, one sentence for each reason, so many at most; nothing when it is not."""
        parts = (
            f"{_named(part)} is not listed yet{_because(state.error)}"
            for part, state in self._parts.items()
            if not state.listed
        )
        unknown = (f"nothing is known yet of {kind}.{group}" for group, kind in self._unknown())
        names = (
            f"{ref} is not known yet{_because(error)}"
            for ref, error in self._wishes.waiting()
            if not self._excused(ref)
        )
        return tuple(islice(chain(parts, unknown, names), most))

    @property
    def held(self) -> Mapping[str, int]:
        """How many objects of a kind the brake holds."""
        return {kind: brake.held for (_, kind), brake in self._brakes.items() if brake.held}

    @property
    def lost(self) -> tuple[str, ...]:
        """What cannot be read now."""
        return tuple(_named(part) for part, state in self._parts.items() if state.error is not None)

    @property
    def lists(self) -> int:
        """How many lists the present reflectors have begun."""
        return sum(reflector.mirror.lists for reflector in self._reflectors.values())

    def confirm(self, kind: GroupKind) -> None:
        """What the brake holds of this kind is meant."""
        brake = self._brakes.get(kind)
        if brake is not None:
            self._say(_seen(brake.confirm()))
            self._changed.set()

    # Reflectors

    def _wanted(self) -> dict[Part | Scope, Resource]:
        wanted: dict[Part | Scope, Resource] = {
            part: resource for part in self._parts if (resource := self._known.get(part.kind)) is not None
        }
        for scope in self._wishes.scopes():
            if scope.kind in self._kinds:
                wanted[scope] = self._known[scope.kind]
        return wanted

    def _start_and_end(self, group: asyncio.TaskGroup) -> None:
        for key, kind in self._kinds.items():
            if key in self._known and key not in BY_NAME and key != PODS and kind.only_with in (None, *self._known):
                for namespace in self._namespaces if kind.namespaced else ("",):
                    self._parts.setdefault(Part(key, namespace), State())
        wanted = self._wanted()
        for at in self._reflectors.keys() - wanted.keys():
            del self._reflectors[at]
            if at in self._tasks:
                self._tasks.pop(at).cancel()
        for at, resource in wanted.items():
            if at not in self._reflectors:
                self._reflectors[at] = self._reflector(at, resource)
            if at not in self._tasks:
                self._tasks[at] = group.create_task(self._reflectors[at].run(), name=f"watch {_named(at)}")

    def _reflector(self, at: Part | Scope, resource: Resource) -> Reflector[Any]:
        narrow = isinstance(at, Scope) or at.labels != ""
        return Reflector(
            self._client,
            resource,
            type=self._kinds[at.kind].type,
            tell=self._teller(at),
            cluster=self._cluster,
            namespace=at.namespace,
            label_selector="" if isinstance(at, Scope) else at.labels or self._labels.get(at.kind, ""),
            field_selector=at.field_selector if isinstance(at, Scope) else "",
            pace=WIDE if narrow and len(self._reflectors) > MANY else self._pace,
            gate=self.gate,
            clock=self._clock,
            sleep=self._sleep,
        )

    def _teller(self, at: Part | Scope) -> Callable[[Sequence[News]], None]:
        if isinstance(at, Scope):
            return lambda news: self._told_by_name(at, news)
        return lambda news: self._told(at, news)

    def _told(self, part: Part, news: Sequence[News]) -> None:
        state, brake = self._parts.get(part), self._brakes[part.kind]
        if state is None:
            return  # it is over, and has not noticed yet
        absent = sum(isinstance(one, Absent) for one in news)
        total = absent + sum(self._held_by(one) for one in self._parts if one.kind == part.kind) if absent else 0
        passing = brake.take(part, news, total=total, now=self._clock())
        for one in passing:
            match one:
                case Listed():
                    state.listed, state.error = True, None
                    self._changed.set()
                case Lost():
                    state.error = one.error
                    self._changed.set()
                case Back():
                    state.error = None
                    self._changed.set()
        if part.kind == PODS:
            self._told_of_pods(part, passing)
        else:
            self._say(_seen(passing))

    def _told_of_pods(self, part: Part, news: Sequence[News]) -> None:
        self._say(_seen(self._selections.told(part, news)))
        if any(
            isinstance(one, Listed) for one in news
        ):  # there may be none: whoever waits for `pending` should look again
            self._offer((Synced(feed=EXCUSES),))

    def _held_by(self, part: Part) -> int:
        reflector = self._reflectors.get(part)
        return 0 if reflector is None else reflector.mirror.held

    def _told_by_name(self, scope: Scope, news: Sequence[News]) -> None:
        self._say(self._wishes.told(scope, news, self._clock()))
        if any(isinstance(one, Listed | Lost | Back | Deleted | Absent) for one in news):
            self._changed.set()

    # What time brings

    async def _tick(self) -> NoReturn:
        while True:
            await self._sleep(TICK)
            now = self._clock()
            doubted: list[Hashable] = [*self._wishes.doubted(now)]
            doubted += [source for brake in self._brakes.values() for source in brake.doubted(now)]
            for at in doubted:
                if isinstance(at, Part | Scope) and at in self._reflectors:
                    self._reflectors[at].relist()
            forgotten = self._wishes.forget(now)
            self._say(forgotten)
            if forgotten or self._refused_since or doubted or any(self._parts[one].error for one in self._selected):
                self._changed.set()

    async def _discover(self) -> None:
        """Look for the kinds that are not sure to be there, until all of them are."""
        versions = {key: kind.version for key, kind in self._kinds.items()}
        while sought := [key for key in self._kinds if key not in self._known]:
            try:
                found = await discovered(self._client, versions)
            except ApiFailure as error:
                self._blind = error
                self._changed.set()
                await self._sleep(DISCOVERY_RETRY)
                continue
            self._blind = None
            self._known = {**self._known, **{key: found[key] for key in sought if key in found}}
            self._absent_kinds = {key for key in sought if key not in found}
            self._changed.set()
            await self._sleep(self._discovery)

    # What is said

    def _look(self) -> None:
        """Say what stands between us and the whole picture, and whether it is whole for the first time."""
        now = self._clock()
        refused = self._wishes.refused
        self._refused_since = {ref: self._refused_since.get(ref, now) for ref in refused}
        for part in self._selected:
            state = self._parts[part]
            is_refused = state.error is not None and not isinstance(state.error, Unreachable)
            state.refused_since = (state.refused_since or now) if is_refused else None
        standing = {seen.ref: seen for seen in self._problems(refused)}
        for at in [at for at in self._said if at not in standing]:
            self._end(at)
        for seen in standing.values():
            self._stand(seen)
        self._sync()

    def _problems(self, refused: Mapping[Ref, ApiFailure]) -> Iterator[Seen]:
        for part, state in self._parts.items():
            if state.error is not None:
                yield problems.not_listed(self._part(_named(part)), _named(part), state.error)
        if self._blind is not None:
            yield problems.not_listed(self._part("discovery"), "what the cluster serves", self._blind)
        for group, kind in (key for key in self._absent_kinds if self._kinds[key].only_with is None):
            yield problems.not_served(self._part(f"{kind}.{group}"), f"{kind} of {group}")
        for kind, count in self.held.items():
            yield problems.holding(self._part(f"held {kind}"), kind, count)
        for ref, error in refused.items():
            yield problems.not_listed(self._part(f"{ref.kind} {ref.name}", ref.namespace), f"the {ref}", error, ref)

    def _sync(self) -> None:
        if not self._synced:
            if self._unknown() or not all(state.listed for state in self._parts.values()):
                return
            self._synced = True
            self._offer((Synced(feed=NAME, kinds=tuple(kind for _, kind in self._brakes)),))
        excused = frozenset(one for one in self._awaited() if self._excused(one))
        if excused - self._excuses:  # nothing was seen, but whoever waits for `pending` should look again
            self._offer((Synced(feed=EXCUSES),))
        self._excuses = excused

    def _unknown(self) -> list[GroupKind]:
        """Kinds of which it is not known whether the cluster has them."""
        seen = {*self._known, *self._absent_kinds}
        return [key for key in self._brakes if not seen.issuperset({key, self._kinds[key].only_with or key})]

    def _excused(self, one: Ref | Part) -> bool:
        since = self._parts[one].refused_since if isinstance(one, Part) else self._refused_since.get(one)
        return since is not None and self._clock() - since >= REFUSED_HOLD

    def _part(self, name: str, namespace: str = "") -> Ref:
        return problems.part(name, self._cluster, namespace)

    def _stand(self, seen: Seen) -> None:
        if self._said.get(seen.ref) != seen.problem:
            self._said[seen.ref] = seen.problem
            self._say([seen])

    def _end(self, at: Ref) -> None:
        if self._said.pop(at, None) is not None:
            self._say([problems.over(at)])

    def _say(self, seen: Sequence[Seen]) -> None:
        if seen:
            self._offer(seen)


def _seen(news: Iterable[News]) -> list[Seen]:
    found: list[Seen] = []
    for one in news:
        match one:
            case Applied():
                found.append(Seen(ref=one.ref, object=one.object))
            case Unreadable():
                found.append(problems.unreadable(one))
            case Deleted():
                found.append(Seen(ref=one.ref, cause=Cause.DELETED))
            case Absent():
                found.append(Seen(ref=one.ref, cause=Cause.RELIST_ABSENT))
    return found


def _named(at: Part | Scope) -> str:
    """For people: `Ingress.networking.k8s.io in shop`."""
    group, kind = at.kind
    what = f"{kind}.{group}" if group else kind
    one = f" {at.name}" if isinstance(at, Scope) and at.name else ""
    one = f" ({at.labels})" if isinstance(at, Part) and at.labels else one
    return f"{what}{one} in {at.namespace}" if at.namespace else f"{what}{one}"


def _because(error: ApiFailure | None) -> str:
    return "" if error is None else f": {error.message}"
