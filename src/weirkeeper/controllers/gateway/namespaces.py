"""From which namespaces something may come (``allowedRoutes``, ``allowedListeners``).

Comes in: what the owner allows, and the namespace that asks. Goes out: yes or no. A selector that cannot be read selects nothing.
"""

from weirkeeper.controllers.base import Inputs
from weirkeeper.flow import Read
from weirkeeper.kube.gateway_types import FromNamespaces, LabelRequirement, LabelSelector
from weirkeeper.kube.types import Namespace
from weirkeeper.model.ids import Ref

SAME, ALL, SELECTOR = "Same", "All", "Selector"


def allows(read: Read, inputs: Inputs, wished: FromNamespaces | None, owner: Ref, asking: Ref, *, default: str) -> bool:
    """Whether an object of the asking one's namespace may come; ``default`` holds where nothing is said."""
    word = (wished.from_ if wished is not None else None) or default
    if word == ALL:
        return True
    if word == SAME:
        return owner.namespace == asking.namespace
    if word != SELECTOR or wished is None or wished.selector is None:
        return False
    found = read.get(inputs.of(Namespace), Ref(cluster=owner.cluster, kind="Namespace", name=asking.namespace))
    return found is not None and selects(wished.selector, found.metadata.labels or {})


def selects(selector: LabelSelector, labels: dict[str, str]) -> bool:
    """Whether a label selector takes these labels (meta/v1 LabelSelector): every row must hold, and none is everything."""
    if any(labels.get(key) != value for key, value in (selector.match_labels or {}).items()):
        return False
    return all(_holds(one, labels) for one in selector.match_expressions or ())


def _holds(one: LabelRequirement, labels: dict[str, str]) -> bool:
    value = labels.get(one.key)
    match one.operator:
        case "In":
            return value is not None and value in (one.values or ())
        case "NotIn":
            return value is None or value not in (one.values or ())
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False
