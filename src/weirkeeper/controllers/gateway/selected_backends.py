"""XBackends of the type EndpointSelector (GEP-4894, v1.7): pods of the backend's own namespace, by their labels.

Comes in: an XBackend. Goes out: the wish for its members, or why there are none. Labels become part of what the API server is asked: whatever is not one as Kubernetes has
them is refused. Pods of other namespaces are never meant.
"""

import re

from weirkeeper.kube.gateway_backends import XBackend
from weirkeeper.model.endpoint import EndpointSetWish, PodsWith
from weirkeeper.model.text import Id, Label, shown

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_PART = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
KEY = re.compile(rf"(?:(?=[^/]{{1,253}}/){_PART}(?:\.{_PART})*/)?{_NAME}", re.ASCII)
"""apimachinery, validation.IsQualifiedName."""
VALUE = re.compile(rf"(?:{_NAME})?", re.ASCII)
"""apimachinery, validation.IsValidLabelValue."""
MOST_LABELS = 64


def selected(found: XBackend, name: Id, port: int) -> EndpointSetWish | str:
    """The pods that are meant, each with this port; or what is wrong with the selector."""
    selector = found.spec.endpoint_selector
    labels = (selector.match_labels if selector is not None else None) or {}
    if selector is not None and selector.match_expressions:
        return "pods are selected by matchLabels alone"
    if not 0 < len(labels) <= MOST_LABELS:
        return f"pods are selected by 1 to {MOST_LABELS} labels, not by {len(labels)}"
    for key, value in labels.items():
        if KEY.fullmatch(key) is None or VALUE.fullmatch(value) is None:
            return f"{shown(f'{key}={value}')} is not a label"
    pods = PodsWith(labels=tuple((Label(key), Label(value)) for key, value in sorted(labels.items())), port=port)
    return EndpointSetWish(id=name, service=found.ref, port_name=Label(""), pods=pods)
