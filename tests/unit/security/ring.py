"""The whole program without an engine: objects in, and all that anybody outside would see of them."""

import functools

import msgspec
import yaml

from weirkeeper.cli.answers import explained
from weirkeeper.compose.explain import request_of
from weirkeeper.controllers.gateway import CONTROLLER as GATEWAY
from weirkeeper.controllers.ingress import CONTROLLER as INGRESS
from weirkeeper.feeds.base import Cause, Seen, Synced
from weirkeeper.providers.base import Provider
from weirkeeper.providers.envoy import PROVIDER as ENVOY
from weirkeeper.reconcile import Reconciler


@functools.cache
def read(text: str) -> tuple[dict, ...]:
    """The objects in a text."""
    return tuple(one for one in yaml.load_all(text, yaml.CSafeLoader) if one)


class Ring:
    """A program that knows of everything there is; the provider is Envoy's where no other is named."""

    def __init__(self, *texts: str, provider: Provider = ENVOY) -> None:
        self.provider = provider
        self.heart = Reconciler((GATEWAY, INGRESS), (provider,))
        self.kinds = {kind.kind: kind for kind in self.heart.kinds.values()}
        self.heart.receive([Synced(feed="test", kinds=tuple(self.kinds))])
        self.put(*texts)

    def put(self, *texts: str) -> None:
        self._receive(texts, gone=False)

    def drop(self, *texts: str) -> None:
        self._receive(texts, gone=True)

    def _receive(self, texts, *, gone: bool) -> None:
        documents = [one for text in texts for one in read(text)]
        self.heart.receive([self._seen(one, gone=gone) for one in documents])
        self.heart.settle()

    def _seen(self, document, *, gone: bool) -> Seen:
        kind = self.kinds[document["kind"]]
        version = f"{kind.group}/{kind.version}" if kind.group else kind.version
        made = msgspec.convert({**document, "apiVersion": version}, kind.type, strict=False)
        return Seen(ref=made.ref, cause=Cause.DELETED) if gone else Seen(ref=made.ref, object=made)

    def items(self) -> bytes:
        """Every byte that the engine gets, and the names under which it gets them."""
        rows = self.heart.graph.rows(self.heart.program.items[self.provider.name])
        return b"\n".join(str(key).encode() + item.whole for key, item in rows.items())

    def asked(self, url: str):
        """What `weir explain` answers."""
        return explained(self.heart, request_of(url, "GET", ()))

    def statuses(self, url: str) -> set[int | None]:
        return {one.status for one in self.asked(url).answers}

    def told(self) -> bytes:
        """All words about objects: findings, conditions, addresses."""
        program = self.heart.program
        tables = (program.findings, program.statuses, program.conditions)
        return b"\n".join(repr(self.heart.graph.rows(table)).encode() for table in tables)

    def seen(self, url: str) -> bytes:
        """All that leaves the program."""
        return b"\n".join((self.items(), self.told(), msgspec.json.encode(self.asked(url))))

    def findings(self, kind: str, name: str, namespace: str = "d"):
        rows = self.heart.graph.rows(self.heart.program.findings)
        return [
            one
            for ref, found in rows.items()
            if (ref.kind, ref.namespace, ref.name) == (kind, namespace, name)
            for one in found
        ]

    def conditions(self, kind: str, name: str, namespace: str = "d") -> set[tuple[str, str, str]]:
        """Type, status and reason of everything that is said of an object, its listeners and its parents."""
        rows = self.heart.graph.rows(self.heart.program.conditions)
        reports = [
            wish.report for ref, wish in rows.items() if (ref.kind, ref.namespace, ref.name) == (kind, namespace, name)
        ]
        every = [
            one
            for report in reports
            for many in (report.conditions, *(part.conditions for part in (*(report.listeners or ()), *(report.parents or ()))))
            for one in many
        ]  # fmt: skip
        return {(one.type, one.status, one.reason) for one in every}

    def reads(self, kind: str) -> set[str]:
        """The namespaces of which objects of a kind are read by name."""
        wanted = self.heart.graph.wanted(self.heart.program.inputs.of(self.kinds[kind].type))
        return {ref.namespace for ref in wanted}
