"""API discovery: which groups, versions and kinds the server offers. Pure.

In: the table of kinds. Out: the JSON of /version, /api, /apis, /apis/<group> and of each group version.
https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api (unaggregated)
"""

from collections.abc import Iterable

from weirkeeper.testing.apiserver.kinds import VERBS, ServedKind
from weirkeeper.testing.apiserver.refused import Json

VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.0-weirkeeper-fake", "platform": "linux/amd64"}


def discovery(path: str, kinds: Iterable[ServedKind]) -> Json | None:
    """The answer for a discovery path; None where the path is no discovery path, or its group is not served."""
    served = list(kinds)
    match [part for part in path.split("/") if part]:
        case ["version"]:
            return dict(VERSION)
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            names = sorted({kind.group for kind in served if kind.group})
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name, served) for name in names]}
        case ["apis", name] if any(kind.group == name for kind in served):
            return {"kind": "APIGroup", "apiVersion": "v1"} | _group(name, served)
        case ["api", version]:
            return _resources("", version, served)
        case ["apis", name, version]:
            return _resources(name, version, served)
        case _:
            return None


def _group(name: str, served: list[ServedKind]) -> Json:
    versions = [
        {"groupVersion": f"{name}/{v}", "version": v} for v in sorted({k.version for k in served if k.group == name})
    ]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _resources(group: str, version: str, served: list[ServedKind]) -> Json | None:
    found = sorted((k for k in served if (k.group, k.version) == (group, version)), key=lambda kind: kind.plural)
    if not found:
        return None
    listed = [entry for kind in found for entry in _entries(kind)]
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": listed}


def _entries(kind: ServedKind) -> list[Json]:
    verbs = list(VERBS) if kind.stored else ["create"]
    entry: Json = {"name": kind.plural, "singularName": kind.singular or kind.kind.lower(), "namespaced": kind.namespaced,
                   "kind": kind.kind, "verbs": verbs}  # fmt: skip
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if not kind.status:
        return [entry]
    status = {"name": f"{kind.plural}/status", "singularName": "", "namespaced": kind.namespaced, "kind": kind.kind}
    return [entry, status | {"verbs": ["get", "patch", "update"]}]
