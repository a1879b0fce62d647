"""From which namespaces something may come (``allowedRoutes``, ``allowedListeners``).

Comes in: what the owner allows, and the namespace that asks. Goes out: yes or no. A selector that cannot be read selects nothing.
"""

from weirkeeper.controllers.base import Inputs
from weirkeeper.flow import Read
from weirkeeper.kube.gateway_types import FromNamespaces
from weirkeeper.kube.selectors import selects
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
