"""The feed with intake and reconciler before an API server, fake or real: what a control plane is made of, without engines."""

import asyncio
import base64
import contextlib
import json
import secrets
import time
from pathlib import Path
from typing import Any

from weirkeeper.controllers.ingress import CONTROLLER
from weirkeeper.feeds.kube import BY_NAME, NAME, KubeFeed
from weirkeeper.kube.access import Access, StaticToken, Trust
from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import AlreadyExists
from weirkeeper.kube.mirror import Pace
from weirkeeper.kube.resources import KNOWN
from weirkeeper.model.ids import Ref
from weirkeeper.providers.memory import PROVIDER
from weirkeeper.reconcile import Reconciler
from weirkeeper.runtime.intake import Intake
from weirkeeper.runtime.wishing import Wishing
from weirkeeper.testing.apiserver import ApiServer, Denial
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.fault_proxy import FaultProxy

QUICK = Pace(watch=(2, 3), grace=1.0, silence=3.0, page=5.0, list_gap=0.3, first=0.05, most=0.5, forget=1.0, peek=5.0)
KINDS = {"Ingress": ("networking.k8s.io", "Ingress"), "Service": ("", "Service"), "Secret": ("", "Secret"),
         "EndpointSlice": ("discovery.k8s.io", "EndpointSlice"), "IngressClass": ("networking.k8s.io", "IngressClass"),
         "Deployment": ("apps", "Deployment"), "Pod": ("", "Pod"), "ServiceAccount": ("", "ServiceAccount")}  # fmt: skip
AUTHORITY = Authority()
CRDS = Path(__file__).parents[2] / "deploy" / "crds"
PLURALS = (
    "loadbalancerclassparameters",
    "ingresses",
    "ingressclasses",
    "services",
    "endpointslices",
    "secrets",
    "configmaps",
    "nodes",
    "pods",
    "deployments",
    "statefulsets",
    "daemonsets",
)


def ingress(name: str, host: str, secret: str = "", labels: dict[str, str] | None = None) -> dict[str, Any]:
    tls = [{"hosts": [host], "secretName": secret}] if secret else []
    backend = {"service": {"name": "shop", "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return {"kind": "Ingress", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": name, "labels": labels or {}},
            "spec": {"ingressClassName": "weirkeeper", "tls": tls, "rules": [rule]}}  # fmt: skip


def service(name: str) -> dict[str, Any]:
    return {"kind": "Service", "apiVersion": "v1", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [_container()]}}
    return {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": labels}, "template": template}}  # fmt: skip


def pod(name: str, of: str) -> dict[str, Any]:
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "labels": {"app": of}},
            "spec": {"containers": [_container()]}}  # fmt: skip


def _container() -> dict[str, Any]:
    return {"name": "web", "image": "web", "ports": [{"containerPort": 8080}]}


def certificate(name: str, *hosts: str) -> dict[str, Any]:
    pair = AUTHORITY.issue(*hosts)
    data = {"tls.crt": pair.certificate, "tls.key": pair.key}
    return {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name}, "type": "kubernetes.io/tls",
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()}}  # fmt: skip


class FakeCluster:
    """Rights and troubles of the fake server."""

    def __init__(self, api: ApiServer) -> None:
        self.api = api
        self.denials: dict[str, Denial] = {}

    @property
    def port(self) -> int:
        return self.api.port

    def access(self, user: str, port: int) -> Access:
        return Access(f"http://127.0.0.1:{port}", credentials=StaticToken(f"token-of-{user}"))

    async def forbid(self, plural: str) -> None:
        self.denials[plural] = self.api.access.deny(Denial(user="user", plural=plural))
        self.api.cut_watches(plural)

    async def allow(self, plural: str) -> None:
        self.api.access.allow(self.denials.pop(plural))

    async def withdraw(self, *, wait: bool = True) -> None:
        self.parameters = self.api.kind("loadbalancerclassparameters")
        self.api.withdraw(self.parameters.plural, self.parameters.group)

    async def serve(self) -> None:
        self.api.serve(self.parameters)

    async def restart(self) -> None:
        await self.api.stop()
        await self.api.start()


class RealCluster:
    """Rights on the real server, as RBAC has them. A right that goes does not end a watch; its end comes within seconds by `QUICK`."""

    def __init__(self, server: Any, namespace: str) -> None:
        self.server, self.namespace = server, namespace
        self.plurals = set(PLURALS)

    @property
    def port(self) -> int:
        return int(self.server.port)

    def access(self, user: str, port: int) -> Access:
        token, trust = StaticToken(self.server.tokens[user]), Trust(authority=self.server.authority.pem())
        return Access(f"https://127.0.0.1:{port}", credentials=token, trust=trust)

    async def grant(self) -> None:
        groups = ["", "apps", "networking.k8s.io", "discovery.k8s.io", "weirkeeper.io"]
        rule = {"apiGroups": groups, "resources": sorted(self.plurals), "verbs": ["get", "list", "watch"]}
        name = f"feed-{self.namespace}"
        role = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": [rule],
        }
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "User", "name": "user", "apiGroup": "rbac.authorization.k8s.io"}],
        }  # fmt: skip
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": [role, binding]})
        await asyncio.to_thread(self.server.kubectl, "apply", "-f", "-", stdin=listed)

    async def revoke(self) -> None:
        await asyncio.to_thread(
            self.server.kubectl, "delete", "clusterrole,clusterrolebinding", f"feed-{self.namespace}"
        )

    async def withdraw(self, *, wait: bool = True) -> None:
        """The API server may take minutes to let a kind go that was served just before."""
        how = f"--wait={str(wait).lower()}"
        await asyncio.to_thread(self.server.kubectl, "delete", "--ignore-not-found", how, "-f", str(CRDS))

    async def serve(self) -> None:
        await asyncio.to_thread(self.server.kubectl, "apply", "-f", str(CRDS))

    async def forbid(self, plural: str) -> None:
        self.plurals.discard(plural)
        await self.grant()

    async def allow(self, plural: str) -> None:
        self.plurals.add(plural)
        await self.grant()

    async def restart(self) -> None:
        await asyncio.to_thread(self.server.stop)
        await asyncio.to_thread(self.server.start)


class Stage:
    """A namespace, an admin who changes things, and a feed that watches as somebody with few rights."""

    def __init__(
        self, cluster: FakeCluster | RealCluster, proxy: FaultProxy, admin: Client, client: Client, namespace: str, *,
        beside: tuple[str, ...], labels: str,
    ) -> None:  # fmt: skip
        self.cluster, self.proxy, self.admin, self.namespace = cluster, proxy, admin, namespace
        self.reconciler = Reconciler((CONTROLLER,), (PROVIDER,))
        self.outcomes: list[Any] = []
        self.ahead = 0.0  # how far the feed's clock is ahead of the real one
        self.intake = Intake(
            self.reconciler,
            lambda outcome, _: self.outcomes.append(outcome),
            awaited=(NAME,),
            ready=self._ready,
        )
        self.ahead = 0.0  # how far the feed's clock is ahead of the real one
        self.feed = KubeFeed(
            client,
            self.reconciler.kinds,
            self.intake.offer,
            namespaces=(namespace, *beside),
            labels={KINDS["Ingress"]: labels} if labels else {},
            pace=QUICK,
            discovery=0.3,
            clock=lambda: time.monotonic() + self.ahead,
        )
        self.ready = Wishing(self.reconciler, self.feed, BY_NAME)
        self.tasks: list[asyncio.Task[Any]] = []

    def _ready(self) -> bool:
        return self.ready()

    def start(self) -> None:
        self.tasks = [asyncio.create_task(self.intake.run()), asyncio.create_task(self.feed.run())]

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def apply(self, body: dict[str, Any]) -> None:
        """Create, or replace."""
        resource, name = KNOWN[KINDS[body["kind"]]], body["metadata"]["name"]
        namespace = self.namespace if resource.namespaced else ""
        try:
            await self.admin.create(resource, body, namespace)
        except AlreadyExists:
            kept = {key: value for key, value in body.items() if key != "metadata"}
            await self.admin.patch(resource, name, kept, namespace)

    async def remove(self, kind: str, name: str) -> None:
        await self.admin.delete(KNOWN[KINDS[kind]], name, self.namespace)

    def ref(self, kind: str, name: str) -> Ref:
        return Ref(group=KINDS[kind][0], kind=kind, namespace=self.namespace, name=name)

    def there(self, kind: str, name: str) -> Any:
        """The object as the program has it."""
        table = self.reconciler.program.inputs.of(self.reconciler.kinds[KINDS[kind]].type)
        return self.reconciler.graph.get(table, self.ref(kind, name))

    def hosts(self) -> set[str]:
        """The hosts that are served now, by everything that was delivered."""
        found: dict[Any, bool] = {}
        for outcome in self.outcomes:
            for key, item in outcome.items["memory"].items():
                found[key] = item is not None
        return {
            key.name.rpartition("|")[2].rpartition("/")[2] for key, live in found.items() if live and "host" in key.kind
        }

    def certificates(self) -> set[str]:
        """The names of Secrets whose certificates are served."""
        graph, program = self.reconciler.graph, self.reconciler.program
        return {part.id.rpartition("/")[2] for part in graph.rows(program.certificates)}

    def codes(self) -> dict[str, set[str]]:
        """Reason codes by the name of the object that they are about."""
        graph, program = self.reconciler.graph, self.reconciler.program
        return {
            ref.name: {finding.reason.value for finding in found} for ref, found in graph.rows(program.findings).items()
        }

    async def until(self, holds: Any, deadline: float = 60.0, what: str = "") -> None:
        async def look() -> Any:
            for task in self.tasks:
                if task.done():
                    task.result()
            return holds()

        await eventually(look, deadline, what=what)


@contextlib.asynccontextmanager
async def stage(server: Any, *, beside: tuple[str, ...] = (), labels: str = "") -> Any:
    """A stage on the fake server (`None`) or on a real one. `beside`: other namespaces that are watched; `labels`: of the Ingresses that are."""
    namespace = f"t-{secrets.token_hex(4)}"
    async with contextlib.AsyncExitStack() as stack:
        if server is None:
            api = await stack.enter_async_context(ApiServer(bookmark_every=1.0))
            api.access.add_token("token-of-admin", "admin", groups=("system:masters",))
            api.access.add_token("token-of-user", "user")
            cluster: Any = FakeCluster(api)
        else:
            cluster = RealCluster(server, namespace)
            await cluster.grant()
            stack.push_async_callback(cluster.revoke)
        proxy = await stack.enter_async_context(FaultProxy("127.0.0.1", cluster.port))
        admin = await stack.enter_async_context(Client(cluster.access("admin", cluster.port)))
        client = await stack.enter_async_context(Client(cluster.access("user", proxy.port)))
        await admin.create(KNOWN["", "Namespace"], {"metadata": {"name": namespace}})
        made = Stage(cluster, proxy, admin, client, namespace, beside=beside, labels=labels)
        await made.apply({"kind": "IngressClass", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": "weirkeeper"},
                          "spec": {"controller": "weirkeeper.io/ingress"}})  # fmt: skip
        try:
            yield made
        finally:
            await made.stop()
