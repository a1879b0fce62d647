"""Where the API server keeps each kind: paths, selectors, and what it serves at all.

Comes in: a kind, and names that tenants may have written. Goes out: paths that can only mean that object. Discovery asks the server through the client's
`get_path`; nothing else here does IO.
"""
# ruff: noqa: ASYNC109 - every request has a limit of its own

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from weirkeeper.kube.errors import BadAnswer, Forbidden, Invalid, NotFound, ServerFailure

T = TypeVar("T")

GroupKind = tuple[str, str]

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
"""Asks for every kind of every group in one answer (Kubernetes 1.30; earlier servers answer with the plain list of groups)."""


class Resource(NamedTuple):
    """One kind as the API server serves it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`networking.k8s.io/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The path of an object, or of all of a namespace, or of all; raises `Invalid` for a name that is no path segment."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace and self.namespaced:
            parts += ["namespaces", segment(namespace)]
        elif name and self.namespaced:
            raise Invalid(f"{self.kind} {name} needs a namespace", reason="BadName")
        parts.append(self.plural)
        if name:
            parts.append(segment(name))
        if subresource:
            parts.append(segment(subresource))
        return "/" + "/".join(parts)


def segment(name: str) -> str:
    """The name as one segment of a path; `Invalid` where Kubernetes allows no object of that name (`.`, `..`, with `/` or `%`)."""
    if name in ("", ".", "..") or "/" in name or "%" in name or not name.isprintable():
        raise Invalid(f"no object can be called {name[:80]!r}", reason="BadName")
    return quote(name, safe="")


def equals(field: str, value: str) -> str:
    """The field selector for one value, escaped as `fields.EscapeValue` of apimachinery does."""
    for special in ("\\", ",", "="):
        value = value.replace(special, "\\" + special)
    return f"{field}={value}"


def _known(*rows: Resource) -> Mapping[GroupKind, Resource]:
    return MappingProxyType({(row.group, row.kind): row for row in rows})


KNOWN = _known(
    Resource("", "v1", "services", "Service"),
    Resource("", "v1", "secrets", "Secret"),
    Resource("", "v1", "configmaps", "ConfigMap"),
    Resource("", "v1", "pods", "Pod"),
    Resource("", "v1", "serviceaccounts", "ServiceAccount"),
    Resource("", "v1", "namespaces", "Namespace", namespaced=False),
    Resource("", "v1", "nodes", "Node", namespaced=False),
    Resource("networking.k8s.io", "v1", "ingresses", "Ingress"),
    Resource("networking.k8s.io", "v1", "ingressclasses", "IngressClass", namespaced=False),
    Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
    Resource("coordination.k8s.io", "v1", "leases", "Lease"),
    Resource("events.k8s.io", "v1", "events", "Event"),
    Resource("apps", "v1", "deployments", "Deployment"),
    Resource("apps", "v1", "daemonsets", "DaemonSet"),
    Resource("apps", "v1", "statefulsets", "StatefulSet"),
    Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False),
    Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False),
    Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False),
)
"""Kinds that every supported Kubernetes serves under this path."""


class Asks(Protocol):
    """The part of the client that discovery needs."""

    async def get_path(self, path: str, *, accept: str = "", timeout: float | None = None) -> bytes:
        """The body of the answer."""
        ...


class _Scoped(msgspec.Struct, rename="camel"):
    resource: str
    scope: str = "Namespaced"
    response_kind: dict[str, str] | None = None


class _Version(msgspec.Struct, rename="camel"):
    version: str
    resources: list[_Scoped] | None = None


class _Named(msgspec.Struct):
    name: str = ""


class _Group(msgspec.Struct):
    metadata: _Named
    versions: list[_Version]


class _Groups(msgspec.Struct):
    kind: str
    items: list[_Group] | None = None
    groups: list[dict[str, Any]] | None = None
    versions: list[str] | None = None


class _Plain(msgspec.Struct):
    name: str
    kind: str = ""
    namespaced: bool = True


class _PlainList(msgspec.Struct):
    resources: list[_Plain] | None = None


async def discovered(
    client: Asks, versions: Mapping[GroupKind, str] | None = None, *, timeout: float | None = None
) -> Mapping[GroupKind, Resource]:
    """Every kind that the server serves: in the version asked for, else in the one that the server prefers.

    A kind whose asked version is not served is not in the answer. A group whose own server is away is left out; ask again later.
    """
    found: dict[GroupKind, list[Resource]] = {}
    for path in ("/api", "/apis"):
        for row in await _served(client, path, timeout):
            found.setdefault((row.group, row.kind), []).append(row)
    chosen = {key: _chosen(rows, (versions or {}).get(key, "")) for key, rows in found.items()}
    return MappingProxyType({key: row for key, row in chosen.items() if row is not None})


def _chosen(rows: list[Resource], version: str) -> Resource | None:
    return next((row for row in rows if version in ("", row.version)), None)


async def _served(client: Asks, path: str, timeout: float | None) -> list[Resource]:
    groups = _parsed(await client.get_path(path, accept=AGGREGATED, timeout=timeout), _Groups)
    if groups.kind == "APIGroupDiscoveryList":
        return [row for group in groups.items or () for row in _aggregated(group)]
    pairs = [("", version) for version in groups.versions or ()]
    for group in groups.groups or ():
        pairs += [(str(group["name"]), version) for version in _by_preference(group)]
    rows: list[Resource] = []
    for name, version in pairs:
        rows += await _of_version(client, name, version, timeout)
    return rows


def _by_preference(group: dict[str, Any]) -> list[str]:
    preferred = str((group.get("preferredVersion") or {}).get("version", ""))
    return sorted(
        (str(one["version"]) for one in group.get("versions") or ()), key=lambda version: version != preferred
    )


def _aggregated(group: _Group) -> list[Resource]:
    name = group.metadata.name
    return [
        Resource(
            name, version.version, one.resource, (one.response_kind or {}).get("kind", ""), one.scope == "Namespaced"
        )
        for version in group.versions
        for one in version.resources or ()
    ]


async def _of_version(client: Asks, group: str, version: str, timeout: float | None) -> list[Resource]:
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    try:
        listed = _parsed(await client.get_path(path, timeout=timeout), _PlainList)
    except (ServerFailure, NotFound, Forbidden):  # an aggregated API whose server is away: not known now
        return []
    return [
        Resource(group, version, one.name, one.kind, one.namespaced)
        for one in listed.resources or ()
        if "/" not in one.name
    ]


def _parsed(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise BadAnswer(f"discovery: {error}", reason="NotDiscovery") from error
