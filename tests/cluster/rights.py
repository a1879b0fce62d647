"""Least privilege, after the fact: what the roles of every install give, against what the API server saw asked for in the whole run.

Comes in: the audit log, and the installs below installs/. Goes out: what was given and never used, and what was asked for and refused; `run` ends with it.
Usage: rights.py AUDIT-LOG
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from packages import Objects, kustomized

INSTALLS = Path(__file__).parent / "installs"
ALLOWED = re.compile(r'RBAC: allowed by \w+ "[^"]+" of (?P<kind>\w+) "(?P<role>[^"]+)" to ServiceAccount "[^"]+"')


class Right(NamedTuple):
    """One verb on one resource, by the role that gives it: an install's prefix is not part of its name."""

    role: str
    verb: str
    resource: str  # with its subresource, as `ingresses/status`


class Use(NamedTuple):
    """One request of one of our accounts. ``role`` is empty where it was refused."""

    right: Right
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


def given(objects: Objects, prefix: str) -> set[Right]:
    """What the roles of an install give."""
    roles = [(key.name, one) for key, one in objects.items() if key.kind in ("Role", "ClusterRole")]
    return {
        Right(f"{one['kind']} {name.removeprefix(prefix)}", verb, resource)
        for name, one in roles
        for rule in one["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }


def uses(lines: Iterable[str], prefixes: dict[str, str]) -> Iterator[Use]:
    """The requests of our accounts."""
    for line in lines:
        entry = json.loads(line) if line.endswith("}\n") else {}
        user, at = entry.get("user", {}).get("username", ""), entry.get("objectRef", {})
        if user not in prefixes or not at.get("resource"):
            continue
        reason = entry.get("annotations", {}).get("authorization.k8s.io/reason", "")
        allowed = ALLOWED.match(reason)
        if allowed is None and entry["annotations"].get("authorization.k8s.io/decision") == "allow":
            continue  # everybody's
        role = f"{allowed['kind']} {allowed['role'].removeprefix(prefixes[user])}" if allowed else ""
        resource = "/".join(filter(None, (at["resource"], at.get("subresource", ""))))
        yield Use(Right(role, entry["verb"], resource), user, at.get("namespace", ""), at.get("name", ""))


def told(log: Path) -> tuple[list[str], list[str]]:
    """What was given and never used; what was asked for and refused."""
    prefixes: dict[str, str] = {}
    rights: set[Right] = set()
    for folder in sorted(INSTALLS.iterdir()):
        if "kind: Component" in (folder / "kustomization.yaml").read_text():
            continue
        objects = kustomized(folder)
        found = accounts(objects)
        prefixes |= found
        rights |= {right for prefix in found.values() for right in given(objects, prefix)}
    with log.open() as lines:
        seen = list(uses(lines, prefixes))
    refused = {f"{use.right.verb} {use.right.resource} by {use.user}" for use in seen if not use.right.role and not _asked_by_tests(use)}
    unused = rights - {use.right for use in seen}
    return sorted(f"{right.verb} {right.resource} by {right.role}" for right in unused), sorted(refused)


def _asked_by_tests(use: Use) -> bool:
    """Tests take the right to read these away, to see that it is told of."""
    return use.right.verb in ("get", "list", "watch") and use.right.resource in ("secrets", "configmaps")


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
