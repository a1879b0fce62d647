"""Label selectors (meta/v1), as they stand in workloads, Gateways and our own kinds: what they say, which labels they take, and their text.

Comes in: JSON or YAML of an object. Goes out: small frozen structs, yes or no, and what an API server is asked with. Pure.
"""

from collections.abc import Mapping

from weirkeeper.kube.types import KubeStruct


class LabelRequirement(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """One condition of a selector: In, NotIn, Exists or DoesNotExist."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] | None = ()


class LabelSelector(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Which labels are meant; all conditions together."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[LabelRequirement, ...] | None = ()


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels: every row must hold, and none is everything. An operator that nobody knows takes none."""
    if any(labels.get(key) != value for key, value in (selector.match_labels or {}).items()):
        return False
    return all(_holds(one, labels) for one in selector.match_expressions or ())


def _holds(one: LabelRequirement, labels: Mapping[str, str]) -> bool:
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


def selector_text(selector: LabelSelector) -> str:
    """The selector as a list or watch has it (apimachinery, labels.Requirement); empty where it says nothing, or has an operator that nobody knows."""
    parts = [f"{key}={value}" for key, value in sorted((selector.match_labels or {}).items())]
    parts += [_text(one) for one in selector.match_expressions or ()]
    return "" if "" in parts else ",".join(parts)


def _text(one: LabelRequirement) -> str:
    values = ",".join(one.values or ())
    match one.operator:
        case "In":
            return f"{one.key} in ({values})"
        case "NotIn":
            return f"{one.key} notin ({values})"
        case "Exists":
            return one.key
        case "DoesNotExist":
            return f"!{one.key}"
        case _:
            return ""
