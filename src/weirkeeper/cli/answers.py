"""The answers to "why" of a whole program: one for each load balancer that listens for the request, with findings and the engine's words.

Comes in: a reconciler and a request. Goes out: an `Explanation`. The same function answers offline, and inside the running program for the read API
(`explained_live` has the shape that it asks for).
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from weirkeeper.cli.offline import configs
from weirkeeper.cli.standing import object_words
from weirkeeper.compose.explain import Answer, Request, answer, request_of
from weirkeeper.compose.explain.answer import EngineWord
from weirkeeper.model.config import LoadBalancerConfig
from weirkeeper.model.finding import Finding
from weirkeeper.model.ids import Ref
from weirkeeper.model.observation import ItemState
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Refused, Sentence
from weirkeeper.model.value import Value
from weirkeeper.providers.base import ItemKey
from weirkeeper.reconcile import Reconciler
from weirkeeper.tables import RejectedItem

CLASS = "IngressClass"


class Explanation(Value, frozen=True, kw_only=True):
    """What was asked and what every load balancer answers; ``refused`` where the question is none."""

    answers: tuple[Answer, ...] = ()
    refused: str = ""
    live: bool = False


def explained(reconciler: Reconciler, request: Request, *, live: bool = False) -> Explanation:
    """The answer of each load balancer that listens for the request; of all where none does."""
    every = [_told(reconciler, answer(config, request), live=live) for config in _serving(configs(reconciler))]
    listening = [one for one in every if one.listener is not None]
    return Explanation(answers=tuple(listening or every), live=live)


def _serving(found: Sequence[LoadBalancerConfig]) -> Sequence[LoadBalancerConfig]:
    """All but classes of Ingresses that nobody uses; these too where there is nothing else."""
    used = [one for one in found if one.virtual_hosts or one.l4_routes or one.load_balancer.origin.ref.kind != CLASS]
    return used or found


def explained_live(reconciler: Reconciler, query: Mapping[str, str], headers: tuple[str, ...]) -> Explanation:
    """The same for the read API: `url`, `method` and `source` come as query parameters."""
    request = request_of(query.get("url", ""), query.get("method", "GET"), headers, query.get("source", ""))
    if isinstance(request, Refused):
        return Explanation(refused=request.why, live=True)
    return explained(reconciler, request, live=True)


def _told(reconciler: Reconciler, one: Answer, *, live: bool) -> Answer:
    return msgspec.structs.replace(
        one,
        findings=tuple(_findings(reconciler, one)),
        engine=tuple(_engine_words(reconciler, one)) if live else (),
        objects=tuple(object_words(reconciler, one, live=live)),
    )


def _findings(reconciler: Reconciler, one: Answer) -> Iterator[Finding]:
    """The findings of every object that had a part in the answer."""
    rows = reconciler.graph.rows(reconciler.program.findings)
    for ref in dict.fromkeys(origin.ref for origin in _origins(reconciler, one)):
        yield from rows.get(ref, ())


def _origins(reconciler: Reconciler, one: Answer) -> Iterator[Origin]:
    if one.decided_by is not None:
        yield one.decided_by
    if one.certificate is not None:
        yield one.certificate.origin
    for verdict in one.considered:
        yield verdict.origin
    backends = {backend.id for backend in one.backends}
    for key, backend in reconciler.graph.rows(reconciler.program.backends).items():
        if key.id in backends and key.load_balancer == one.load_balancer:
            yield from backend.origins


def _engine_words(reconciler: Reconciler, one: Answer) -> Iterator[EngineWord]:
    """The items that the deciding object became, and whether an engine refused one of them."""
    if one.decided_by is None:
        return
    program, graph = reconciler.program, reconciler.graph
    seen = graph.get(program.observations, one.load_balancer)
    rejected = graph.rows(program.rejections)
    for provider, table in program.items.items():
        for key, item in sorted(graph.rows(table).items(), key=lambda row: row[0]):
            if key.load_balancer != one.load_balancer or not _concerns(key, item.origins, one, one.decided_by.ref):
                continue
            refusal = rejected.get(RejectedItem(provider, key))
            if refusal is not None and refusal.version == item.version:
                yield EngineWord(kind=key.kind, name=key.name, state=ItemState.REJECTED, message=refusal.message)
            else:
                engines = seen.instances if seen else 0
                yield EngineWord(kind=key.kind, name=key.name, state="not refused", message=_taken(engines))


def _taken(engines: int) -> Sentence:
    if not engines:
        return Sentence("no engine has taken its configuration yet")
    return Sentence(f"{engines} {'engine has' if engines == 1 else 'engines have'} taken the configuration")


def _concerns(key: ItemKey, origins: tuple[Origin, ...], one: Answer, decided: Ref) -> bool:
    """Whether an item belongs to this answer: made from the deciding object, for its host, or one of its backends."""
    if any(origin.ref == decided for origin in origins) or any(key.name == backend.id for backend in one.backends):
        return True
    return one.hostname is not None and key.name.endswith((f"/{one.hostname}", f"|{one.hostname}"))
