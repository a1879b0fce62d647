"""Two programs of the same objects: one by its Ingresses, one by what they are migrated to; and whether both answer a request alike.

In: documents of manifests. Out: `differences`, in words. Nothing is served: both programs are asked by `weir explain`'s own function, which takes the decisions of an engine on paper.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from weirkeeper.app import plugins
from weirkeeper.compose.config import load_balancer_config
from weirkeeper.compose.explain import Answer, Request, answer, request_of
from weirkeeper.controllers.shared.hostnames import covers
from weirkeeper.feeds.base import Seen, Synced
from weirkeeper.feeds.decode import Decoder
from weirkeeper.migrate import Choices, Migration, migrated
from weirkeeper.model.config import LoadBalancerConfig
from weirkeeper.model.match import Exactly, RegexPath
from weirkeeper.model.text import Refused
from weirkeeper.reconcile import Reconciler
from weirkeeper.settings import Settings

Document = dict[str, Any]
UNSERVED = "unserved"


def program(controller: str, documents: Iterable[Document]) -> Reconciler:
    """A settled program of one controller."""
    parts = plugins(Settings(controllers=(controller,), providers=("memory",), state_directory=""))
    found = Reconciler(parts.controllers, parts.providers)
    decoder = Decoder(found.kinds)
    seen = [Seen(ref=one.ref, object=one.object) for document in documents for one in decoder.objects(document) if one.ref is not None and one.object is not None]
    found.receive([*seen, Synced(feed="test", kinds=tuple(kind.kind for kind in found.kinds.values()))])
    found.settle()
    return found


def configs(of: Reconciler) -> list[LoadBalancerConfig]:
    """What its load balancers do."""
    composed = of.program.composed["memory"]
    found = (load_balancer_config(of.graph, composed, name) for name in sorted(of.graph.rows(composed.load_balancers)))
    return [one for one in found if one is not None and (one.virtual_hosts or one.l4_routes)]


def migration(documents: Sequence[Document], choices: Choices = Choices()) -> Migration:
    """What they are migrated to."""
    return migrated(program("ingress", documents), choices)


def pairs(documents: Sequence[Document], choices: Choices = Choices()) -> list[tuple[LoadBalancerConfig, LoadBalancerConfig]]:
    """Each load balancer of the Ingresses with its Gateway, by their order."""
    old = program("ingress", documents)
    new = program("gateway", [*documents, *migrated(old, choices).manifests])
    return list(zip(configs(old), configs(new), strict=True))


def differences(documents: Sequence[Document], choices: Choices = Choices()) -> tuple[int, list[str]]:
    """How many requests were asked, and those that are answered otherwise."""
    asked, found = 0, list[str]()
    for old, new in pairs(documents, choices):
        for request in requests(old):
            asked += 1
            before, after = said(answer(old, request)), said(answer(new, request))
            if before != after:
                found.append(f"{request.scheme}://{request.host}{request.path} {request.headers}: {before}, then {after}")
    return asked, found


def said(one: Answer) -> object:
    """What a client and a backend see of an answer; what lets nobody in, or shows a certificate for other names, is `UNSERVED` in both worlds."""
    shown = one.certificate.names if one.certificate is not None else ()
    if one.listener is None or (one.request.scheme == "https" and not any(covers(name, one.request.host) for name in shown)):
        return UNSERVED
    guarded = {setting.field for setting in one.settings} & {"auth", "ip_rules"}
    if guarded or (one.status or 0) in {500, 503, 404, 421}:
        return UNSERVED
    if one.status is not None:
        return one.status, re.sub(r"(\w+)://([^/]+)(/.*)", r"\1, \2, \3", re.sub(r", port \d+", "", one.summary))
    return one.backend_path, tuple(sorted((backend.id.partition("~")[0], backend.share) for backend in one.backends if backend.share))


def requests(config: LoadBalancerConfig) -> Iterator[Request]:
    """Requests that lie in, at the edge of, and beside the conditions of every route."""
    for host in config.virtual_hosts:
        name = {"*": "elsewhere.example"}.get(host.hostname, host.hostname.replace("*.", "one."))
        paths = {path for route in host.routes for path in around(route.match.path)} | {"/", "/other"}
        headers = {(), *((f"{one.name}: {one.match.value}",) for route in host.routes for one in route.match.headers if isinstance(one.match, Exactly))}
        headers |= {(f"Cookie: a=b; {one.name}={one.value}",) for route in host.routes for one in route.match.cookies}
        headers |= {(*one, *other) for one, other in itertools.combinations(sorted(headers), 2) if len(headers) < 8}
        for scheme, path, lines in itertools.product(("http", "https"), sorted(paths), sorted(headers)):
            request = request_of(f"{scheme}://{name}{path}?q=1", "GET", lines, "")
            assert not isinstance(request, Refused), request
            yield request


def around(match: Any) -> list[str]:
    """Paths near a condition."""
    text = re.split(r"[(\[\\$.*+?]", match.value)[0].rstrip("/") if isinstance(match, RegexPath) else match.value.rstrip("/")
    return [path if path.startswith("/") else f"/{path}" for path in (text, f"{text}/", f"{text}/x", f"{text}/x/y", f"{text}q")]


def as_json(one: Migration) -> Any:
    """Everything of it as plain values."""
    return msgspec.json.decode(msgspec.json.encode(one))
