"""What the API server does to an object before it keeps it: checks, defaults, identity, generation.

In: the decoded object of a request and what is kept now. Out: the object to keep, or `Refused`. Only the rules that a
client of ours can notice are here; the verified tests compare them with the real server.
"""

import base64
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from weirkeeper.testing.apiserver.kinds import ServedKind
from weirkeeper.testing.apiserver.refused import Json, bad_request, invalid

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = re.compile(rf"{LABEL}(\.{LABEL})*", re.ASCII)
LONGEST = 253
WRONG_NAME = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
OWNED_BY_SERVER = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


def decoded(kind: ServedKind, body: Any) -> Json:
    """The object of a request; a body of another kind is refused."""
    if not isinstance(body, dict):
        raise bad_request(f"the object provided is unrecognized (must be of type {kind.kind})")
    named, version = body.get("kind", kind.kind), body.get("apiVersion", kind.api_version)
    if (named, version) != (kind.kind, kind.api_version):
        what = f'{named} in version "{version.rpartition("/")[2]}" cannot be handled as a {kind.kind}'
        raise bad_request(f"{what}: the kinds do not match")
    return body


def in_namespace(kind: ServedKind, body: Json, namespace: str) -> Json:
    """The object with the namespace of its request."""
    metadata = dict(body.get("metadata") or {})
    if kind.namespaced:
        if metadata.get("namespace") not in (None, "", namespace):
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    return body | {"metadata": metadata}


def check(kind: ServedKind, body: Json) -> None:
    """Refuses what the real server would call invalid."""
    name = body["metadata"].get("name") or ""
    causes: list[tuple[str, str, str]] = []
    if not name:
        causes.append(("metadata.name", "FieldValueRequired", "Required value: name or generateName is required"))
    elif len(name) > LONGEST or not SUBDOMAIN.fullmatch(name):
        causes.append(("metadata.name", "FieldValueInvalid", f'Invalid value: "{name}": {WRONG_NAME}'))
    if kind.kind == "Ingress" and not (body.get("spec") or {}).keys() & {"rules", "defaultBackend"}:
        wrong = "Invalid value: null: either `defaultBackend` or `rules` must be specified"
        causes.append(("spec", "FieldValueInvalid", wrong))
    if causes:
        qualified = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
        raise invalid(qualified, kind.group, kind.kind, name, causes)


def new(kind: ServedKind, body: Json, at: datetime | None = None) -> Json:
    """The object as it is kept first: identity, time, generation, defaults; what users may not set is replaced."""
    metadata = {key: value for key, value in body["metadata"].items() if key not in OWNED_BY_SERVER}
    metadata.pop("managedFields", None)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    if kind.generation:
        metadata["generation"] = 1
    kept = body | {"metadata": metadata}
    if kind.status:
        kept.pop("status", None)
    return defaulted(kind, kept)


def named(body: Json, suffix: str) -> Json:
    """The object with a name made from generateName, where it has no name."""
    metadata = body["metadata"]
    if metadata.get("name") or not metadata.get("generateName"):
        return body
    return body | {"metadata": metadata | {"name": f"{metadata['generateName']}{suffix}"}}


def changed(kind: ServedKind, before: Json, wished: Json, subresource: str) -> Json:
    """The object that a replace or patch makes of the present one."""
    metadata = {key: value for key, value in wished["metadata"].items() if key not in OWNED_BY_SERVER}
    metadata.pop("managedFields", None)
    metadata |= {key: before["metadata"][key] for key in OWNED_BY_SERVER if key in before["metadata"]}
    if subresource == "status":
        if kind.custom:
            metadata = dict(before["metadata"])
        kept = before | {"metadata": metadata}
        kept = kept | {"status": wished["status"]} if "status" in wished else _without(kept, "status")
        return defaulted(kind, kept)
    kept = wished | {"metadata": metadata}
    if kind.status:
        kept = kept | {"status": before["status"]} if "status" in before else _without(kept, "status")
    kept = defaulted(kind, kept)
    if kind.generation and meaning(kept) != meaning(before):
        metadata["generation"] = before["metadata"].get("generation", 0) + 1
    return kept


def same(one: Json, other: Json) -> bool:
    """Whether two objects differ in nothing but their revision: such a write changes nothing and makes no event."""
    return _plain(one) == _plain(other)


def meaning(body: Json) -> Json:
    """What generation counts the changes of."""
    return {key: value for key, value in body.items() if key not in ("metadata", "status", "kind", "apiVersion")}


def defaulted(kind: ServedKind, body: Json) -> Json:
    """The object with the defaults that a reader of ours could see."""
    match kind.kind:
        case "Secret":
            return _secret(body)
        case "Ingress":
            return body | {"status": {"loadBalancer": {}} | (body.get("status") or {})}
        case "Service":
            return body | {
                "spec": _service(body.get("spec") or {}),
                "status": {"loadBalancer": {}} | (body.get("status") or {}),
            }
        case "Namespace":
            return _namespace(body)
        case _:
            return body


def _secret(body: Json) -> Json:
    plain = body.get("stringData") or {}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
    data = (body.get("data") or {}) | encoded
    return _without(body, "stringData") | ({"data": data} if data else {}) | {"type": body.get("type") or "Opaque"}


def _service(spec: Json) -> Json:
    ports = [{"protocol": "TCP"} | port for port in spec.get("ports") or []]
    ports = [port | {"targetPort": port.get("targetPort", port.get("port"))} for port in ports]
    return {"type": "ClusterIP"} | spec | ({"ports": ports} if ports else {})


def _namespace(body: Json) -> Json:
    metadata = body["metadata"]
    labels = (metadata.get("labels") or {}) | {"kubernetes.io/metadata.name": metadata["name"]}
    kept = body | {"metadata": metadata | {"labels": labels}, "spec": {"finalizers": ["kubernetes"]}}
    return kept | {"status": {"phase": "Active"} | (body.get("status") or {})}


def _plain(body: Json) -> Json:
    metadata = {
        k: v for k, v in body["metadata"].items() if k not in ("resourceVersion", "managedFields", "generation")
    }
    return _without(body, "kind", "apiVersion") | {"metadata": {k: v for k, v in metadata.items() if v not in ({}, [])}}


def _without(body: Json, *keys: str) -> Json:
    return {key: value for key, value in body.items() if key not in keys}
