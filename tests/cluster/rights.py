"""Least privilege, after the fact: what the roles of every install give, against what the API server saw asked for in the whole run.

Comes in: the audit log, and the installs below installs/. Goes out: what was given and never used, and what was asked for and not given; `run` ends with it.
A watch that brings the list along counts as a list: API servers that cannot do it are asked for both.
Usage: rights.py AUDIT-LOG
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from packages import KUSTOMIZE, OVERLAYS, Objects, kustomized

from weirkeeper.kube.gateway_types import RESOURCES

INSTALLS = Path(__file__).parent / "installs"
ALLOWED = re.compile(r'RBAC: allowed by \w+ "[^"]+" of (?P<kind>\w+) "(?P<role>[^"]+)" to ServiceAccount "[^"]+"')


# What only rare events need, and the tests that bring them about over another API server.
RARE = {
    ("create", "holds"): "features/test_cluster_unknown.py",
    ("delete", "holds"): "features/test_cluster_unknown.py",
    ("create", "quarantines"): "features/test_cluster_refused.py",
    ("delete", "quarantines"): "features/test_cluster_refused.py",
    ("create", "configmaps"): "features/test_cluster_regressions.py",
    ("delete", "leases"): "features/test_cluster_unreached_leader.py",
    ("get", "events"): "api/test_event_writer.py",
    ("patch", "events"): "api/test_event_writer.py",
    ("get", "ingresses"): "api/test_status_writer.py",
    **{("get", one.plural): "api/test_condition_writer.py" for one in RESOURCES.values()},
}


class Right(NamedTuple):
    """One verb on one resource, by the role that gives it: an install's prefix is not part of its name."""

    role: str
    verb: str
    resource: str  # with its subresource, as `ingresses/status`


class Grant(NamedTuple):
    """A right as one install has it. An empty namespace is every one, no names are all."""

    right: Right
    namespace: str
    names: frozenset[str]


class Use(NamedTuple):
    """One request of one of our accounts. ``role`` is empty where it was refused."""

    role: str
    verb: str
    resource: str
    user: str
    namespace: str
    name: str


def accounts(objects: Objects) -> dict[str, str]:
    """The control plane's account of each install, by its user name, with the prefix of its names."""
    return {
        f"system:serviceaccount:{key.namespace}:{key.name}": key.name.removesuffix("weirkeeper")
        for key in objects
        if key.kind == "ServiceAccount" and key.name.endswith("weirkeeper")
    }


def granted(objects: Objects, prefix: str) -> list[Grant]:
    """What the roles of an install give."""
    return [
        Grant(Right(f"{key.kind} {key.name.removeprefix(prefix)}", verb, resource), key.namespace, frozenset(rule.get("resourceNames", ())))
        for key, one in objects.items()
        if key.kind in ("Role", "ClusterRole")
        for rule in one["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
    ]


def uses(lines: Iterable[str], prefixes: dict[str, str]) -> Iterator[Use]:
    """The requests of our accounts, but those that everybody may make."""
    for line in lines:
        entry = json.loads(line) if line.endswith("}\n") else {}
        user, at = entry.get("user", {}).get("username", ""), entry.get("objectRef", {})
        said = entry.get("annotations", {})
        allowed = ALLOWED.match(said.get("authorization.k8s.io/reason", ""))
        if user not in prefixes or not at.get("resource") or (allowed is None and said.get("authorization.k8s.io/decision") == "allow"):
            continue
        role = f"{allowed['kind']} {allowed['role'].removeprefix(prefixes[user])}" if allowed else ""
        resource = "/".join(filter(None, (at["resource"], at.get("subresource", ""))))
        verbs = ["watch", "list"] if "sendInitialEvents=true" in entry["requestURI"] else [entry["verb"]]
        for verb in verbs:
            yield Use(role, verb, resource, user, at.get("namespace", ""), at.get("name", ""))


def gives(grant: Grant, use: Use) -> bool:
    """Whether it is enough for this request: tests take roles away for a while, and a role that is there too late refuses for a moment."""
    right = grant.right
    return (
        (right.verb, right.resource) == (use.verb, use.resource)
        and grant.namespace in ("", use.namespace)
        and (not grant.names or use.name in grant.names)
    )


def alike(grants: list[Grant], one: Grant) -> set[str]:
    """The roles of an install that give the same right: the API server names only one of them, whichever it looks at first."""
    return {other.right.role for other in grants if other.right[1:] == one.right[1:] and (other.namespace, other.names) == (one.namespace, one.names)}


def told(log: Path) -> tuple[list[str], list[str]]:
    """What was given and never used; what was asked for and not given."""
    prefixes: dict[str, str] = {}
    grants: dict[str, list[Grant]] = {}
    for folder in sorted(INSTALLS.iterdir()):
        if "kind: Component" not in (folder / "kustomization.yaml").read_text():
            objects = kustomized(folder)
            found = accounts(objects)
            prefixes |= found
            grants |= {user: granted(objects, prefix) for user, prefix in found.items()}
    with log.open() as lines:
        seen = set(uses(lines, prefixes))
    used = {(use.user, use.role, use.verb, use.resource) for use in seen}
    unused = {grant.right for many in grants.values() for grant in many} - {
        grant.right for user, many in grants.items() for grant in many if any((user, role, *grant.right[1:]) in used for role in alike(many, grant))
    }
    overlays = [granted(kustomized(KUSTOMIZE / "overlays" / name), "") for name in OVERLAYS]  # rolled out under the name of a shipped install
    rolled_out = [grant for many in overlays for grant in many]
    refused = {use for use in seen if not use.role and not any(gives(grant, use) for grant in (*grants[use.user], *rolled_out))}
    return (
        sorted(f"{one.verb} {one.resource} by {one.role}" for one in unused if (one.verb, one.resource) not in RARE),
        sorted({f"{use.verb} {use.resource} by {use.user}" for use in refused}),
    )


def main(log: Path) -> int:
    """Tell, and say whether all is as it should be."""
    unused, refused = told(log)
    for line in unused:
        print(f"given and never used: {line}")
    for line in refused:
        print(f"used and not given: {line}")
    print(f"rights: {len(unused)} given and never used, {len(refused)} used and not given")
    return bool(unused or refused)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
