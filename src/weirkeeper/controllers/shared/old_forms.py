"""Old forms of objects, made into those of today: Ingress before networking.k8s.io/v1, and Endpoints.

Comes in: a document as it was read. Goes out: the document in today's form, with a finding that shows its text, or the very same without one. A document
that is too broken to be converted is left as it is: whoever decodes it says what is wrong.
"""

import copy
from collections.abc import Iterator
from typing import Any, cast

import msgspec

from weirkeeper.controllers.shared.report import info
from weirkeeper.model.finding import Effect, Finding, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin

OLD_INGRESS = ("extensions/v1beta1", "networking.k8s.io/v1beta1")
LONGEST_TEXT = 2500
Document = dict[str, Any]


def modernised(document: Document) -> tuple[Document, Finding | None]:
    """The document in today's form, and what to tell its owner."""
    version, kind = document.get("apiVersion"), document.get("kind")
    if version in OLD_INGRESS and kind == "Ingress":
        return _told(document, _ingress(document))
    if version == "v1" and kind == "Endpoints":
        return _told(document, _slices(document))
    if version in OLD_INGRESS and kind == "IngressClass":
        return _told(document, {**document, "apiVersion": "networking.k8s.io/v1"})
    if version == "discovery.k8s.io/v1beta1" and kind == "EndpointSlice":
        return _told(document, _slice(document))
    return document, None


def _told(old: Document, new: Document) -> tuple[Document, Finding | None]:
    metadata = _map(new.get("metadata"))
    namespace, name = str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
    group, _, _ = str(new["apiVersion"]).rpartition("/")
    ref = Ref(group=group, kind=str(new["kind"]), namespace=namespace, name=name)
    text = msgspec.yaml.encode(new).decode() if _printable(new) else ""
    text = text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "..."
    said = f"{str(old['apiVersion'])[:40]} {str(old['kind'])[:40]} is an old form; it is read as {new['apiVersion']} {new['kind']}"
    remedy = (
        "write it like this:\n" + text
        if text and len(text) < 1900
        else "write it in today's form (kubectl convert does it)"
    )
    return new, info(Reason.OLD_FORM, Origin(ref=ref), said, remedy, Effect.NONE)


def _printable(document: Document) -> bool:
    try:
        msgspec.yaml.encode(document)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _map(value: object) -> Document:
    return cast("Document", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _ingress(old: Document) -> Document:
    new = copy.deepcopy(old)
    new["apiVersion"] = "networking.k8s.io/v1"
    new.pop("status", None)
    spec = _map(new.get("spec"))
    if isinstance(spec.get("backend"), dict):
        spec["defaultBackend"] = _backend(_map(spec.pop("backend")))
    for rule in _list(spec.get("rules")):
        for path in _list(_map(_map(rule).get("http")).get("paths")):
            if isinstance(path, dict):
                path["backend"] = _backend(_map(path.get("backend")))
                path.setdefault("pathType", "ImplementationSpecific")
    return new


def _backend(old: Document) -> Document:
    if "serviceName" not in old:
        return old
    port = old.get("servicePort")
    number = isinstance(port, int) or (isinstance(port, str) and port.isascii() and port.isdigit() and len(port) < 6)
    wished = {"number": int(cast("int", port))} if number else {"name": str(port or "")}
    rest = {key: value for key, value in old.items() if key not in {"serviceName", "servicePort"}}
    return {**rest, "service": {"name": old["serviceName"], "port": wished}}


def _slice(old: Document) -> Document:
    new = copy.deepcopy(old)
    new["apiVersion"] = "discovery.k8s.io/v1"
    for endpoint in _list(new.get("endpoints")):
        topology = _map(_map(endpoint).pop("topology", None)) if isinstance(endpoint, dict) else {}
        if isinstance(endpoint, dict) and topology.get("topology.kubernetes.io/zone"):
            endpoint.setdefault("zone", topology["topology.kubernetes.io/zone"])
    return new


def _slices(old: Document) -> Document:
    """Endpoints as one EndpointSlice. Subsets with different ports are joined: each endpoint of a slice has all of its ports."""
    metadata = _map(copy.deepcopy(old.get("metadata")))
    name = str(metadata.get("name") or "")
    labels = {**_map(metadata.get("labels")), "kubernetes.io/service-name": name}
    subsets = [_map(subset) for subset in _list(old.get("subsets"))]
    ports = {_port_key(port): _map(port) for subset in subsets for port in _list(subset.get("ports"))}
    members = [member for subset in subsets for member in _members(subset)]
    six = any(":" in str(member["addresses"][0]) for member in members)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "name": f"{name}-endpoints", "labels": labels},
        "addressType": "IPv6" if six else "IPv4",
        "endpoints": members,
        "ports": list(ports.values()),
    }


def _port_key(port: object) -> tuple[str, str]:
    known = _map(port)
    return str(known.get("name") or ""), str(known.get("port"))


def _members(subset: Document) -> Iterator[Document]:
    for key, ready in (("addresses", True), ("notReadyAddresses", False)):
        for address in _list(subset.get(key)):
            known = _map(address)
            member: Document = {"addresses": [str(known.get("ip") or "")], "conditions": {"ready": ready}}
            if known.get("nodeName"):
                member["nodeName"] = str(known["nodeName"])
            yield member
