"""The instances that a class wishes for, as its parameters say it.

Comes in: ``spec.fleet`` of the parameters. Goes out: a ``Fleet``, and what is wrong with the wish. Nothing here knows what a pod is.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network

from weirkeeper.controllers.shared.parameters import GROUP, FleetChoice, FleetToleration
from weirkeeper.controllers.shared.report import warning
from weirkeeper.model.finding import Finding, Reason
from weirkeeper.model.fleet import Fleet, FleetExposure, FleetMode, TaintEffect, Toleration
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Label, Refused, Sentence, parse
from weirkeeper.model.words import word

MOST = 100
_KEY = r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?"


def fleet_of(choice: FleetChoice, origin: Origin) -> tuple[Fleet, tuple[Finding, ...]]:
    """The instances, and what is wrong with the wish; what is wrong has its default."""
    wrong = list[str]()
    mode = word(FleetMode, choice.mode)
    if choice.granularity not in ("class", "ingress"):
        wrong.append("granularity is neither class nor ingress; class holds")
    if mode is None:
        wrong.append("mode is neither deployment nor daemonset; deployment holds")
    exposure = word(FleetExposure, choice.exposure)
    if exposure is None:
        wrong.append("exposure is none of hostNetwork, hostPort, nodePort, loadBalancer, clusterIP; hostNetwork holds")
    if not 1 <= choice.replicas <= MOST:
        wrong.append(f"replicas is not from 1 to {MOST}")
    selector = tuple(
        (Label(key), Label(text)) for key, text in sorted(choice.node_selector.items()) if is_label(key, text)
    )
    if len(selector) < len(choice.node_selector):
        wrong.append("nodeSelector has an entry that is no label; no host has it")
        selector = (*selector, (Label("weirkeeper.io/never"), Label("")))
    annotations = tuple((Label(key), text) for key, text in _annotations(choice) if text is not None)
    if len(annotations) < len(choice.service_annotations):
        wrong.append("serviceAnnotations has an entry that is none; it is left out")
    read = [_toleration(one) for one in choice.tolerations]
    if None in read:
        wrong.append("tolerations has an entry that is none")
    if len(ranges(choice)) < len(choice.addresses):
        wrong.append("addresses has an entry that is no range of IP addresses")
    fleet = Fleet(
        mode=mode or "deployment",
        exposure=exposure or "hostNetwork",
        replicas=min(max(choice.replicas, 1), MOST),
        node_selector=selector,
        tolerations=tuple(one for one in read if one is not None),
        service_annotations=annotations,
    )
    remedy = "correct the parameters"
    return fleet, tuple(warning(Reason.INVALID_CLASS, origin, f"spec.fleet.{why}", remedy) for why in wrong)


def ranges(choice: FleetChoice) -> tuple[IPv4Network | IPv6Network, ...]:
    """The ranges of addresses that Gateways may have, as far as they are ranges."""
    found = list[IPv4Network | IPv6Network]()
    for text in choice.addresses:
        with suppress(ValueError):
            found.append(ip_network(text, strict=False))
    return tuple(found)


def _annotations(choice: FleetChoice) -> Iterator[tuple[str, Sentence | None]]:
    """Kubernetes, ObjectMeta: keys are those of labels; ours are nobody's to choose."""
    for key, text in sorted(choice.service_annotations.items()):
        typed = parse(Sentence, text)
        right = re.fullmatch(_KEY, key, re.ASCII) is not None and not key.partition("/")[0].endswith(GROUP)
        yield key, typed if right and not isinstance(typed, Refused) else None


def _toleration(one: FleetToleration) -> Toleration | None:
    effect = word(TaintEffect, one.effect)
    if (
        (one.effect and effect is None)
        or not is_label(one.key or "any", one.value or "")
        or (one.value and not one.key)
    ):
        return None
    return Toleration(key=Label(one.key), value=None if one.value is None else Label(one.value), effect=effect)


def is_label(key: str, value: str) -> bool:
    """Whether Kubernetes takes this for a label (ObjectMeta)."""
    return re.fullmatch(_KEY, key, re.ASCII) is not None and re.fullmatch(_VALUE, value, re.ASCII) is not None
