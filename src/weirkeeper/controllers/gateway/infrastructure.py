"""What is started for a Gateway, and with which addresses (``spec.infrastructure``, ``spec.addresses``).

Comes in: a Gateway of ours. Goes out: ``Infrastructure``, with findings, and the addresses that it asks for. A Service is given an address only where the owner of the class has listed
its range (``spec.fleet.addresses``): whoever has a foreign address on a Service takes what others send there. Of two Gateways the older has it.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from weirkeeper.controllers.gateway.classes import OurGateway
from weirkeeper.controllers.gateway.settings import GatewaySettings
from weirkeeper.controllers.shared.fleet_choice import fleet_of, is_label, ranges
from weirkeeper.controllers.shared.parameters import GROUP as OURS
from weirkeeper.controllers.shared.parameters import FleetChoice
from weirkeeper.controllers.shared.report import warning
from weirkeeper.kube.gateway_types import GROUP, Gateway
from weirkeeper.model.config import NOTHING_STARTED, Infrastructure
from weirkeeper.model.finding import Effect, Finding, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import IpAddress, Label, Name, Refused, parse, shown

BY_DEFAULT = FleetChoice(exposure="loadBalancer")
"""What a Gateway gets where instances are started and its class says nothing: what Gateways have with everybody."""
OWN_LABELS = (OURS, "app.kubernetes.io", "kubernetes.io", "k8s.io")
"""Domains of labels that say what an object is: nobody's to choose. Selectors go by them."""
TYPES = ("IPAddress", "Hostname")


def infrastructure(
    ours: OurGateway, addresses: tuple[IpAddress, ...], settings: GatewaySettings
) -> tuple[Infrastructure, tuple[Finding, ...]]:
    """How the instances of a Gateway are wished; ``addresses`` are those that it may have."""
    choice, origin = ours.ours.spec.fleet, ours.ours.origin
    if not settings.fleets:
        text = "spec.fleet of its parameters does nothing: this install starts no instances"
        remedy = "add the component fleet to the install (docs/fleet.md), or take the wish out"
        told = warning(Reason.NO_FLEET, origin, text, remedy, Effect.DEGRADED)
        return NOTHING_STARTED, () if choice is None else (told,)
    choice = choice or BY_DEFAULT
    fleet, findings = fleet_of(choice, origin)
    beside, astray = _namespace(ours.gateway, choice, settings)
    made = Infrastructure(
        fleet=fleet,
        namespace=beside,
        addresses=addresses,
        labels=(*_labels(ours.gateway), *_marks(ours)),
        annotations=_annotations(ours.gateway),
    )
    wrong = [*astray, *_left_out(ours.gateway)]
    return made, (*findings, *(_told(ours, why, remedy) for why, remedy in wrong))


def _told(ours: OurGateway, why: str, remedy: str) -> Finding:
    return warning(Reason.INVALID_CLASS, ours.origin, why, remedy, Effect.DEGRADED)


def _namespace(
    gateway: Gateway, choice: FleetChoice, settings: GatewaySettings
) -> tuple[Name | None, list[tuple[str, str]]]:
    if choice.namespace == "install":
        return None, []
    if choice.namespace != "gateway":
        return None, [("spec.fleet.namespace of its parameters is neither install nor gateway", "correct it")]
    own = parse(Name, gateway.metadata.namespace)
    if isinstance(own, Refused) or not {"*", own} & set(settings.fleet_namespaces):
        why = "its instances are wished in its own namespace, where this install starts none; they are where the install has its others"
        return None, [(why, "add the component gateway-fleets to the install (docs/fleet.md)")]
    return own, []


def _labels(gateway: Gateway) -> tuple[tuple[Label, Label], ...]:
    return tuple((Label(key), Label(text)) for key, text in _wished(gateway, "labels") if _may_be_label(key, text))


def _annotations(gateway: Gateway) -> tuple[tuple[Label, Label], ...]:
    return tuple((Label(key), Label(text)) for key, text in _wished(gateway, "annotations") if _may_note(key, text))


def _wished(gateway: Gateway, what: str) -> list[tuple[str, str]]:
    found = getattr(gateway.spec.infrastructure, what) if gateway.spec.infrastructure is not None else None
    return sorted((found or {}).items())


def _may_be_label(key: str, text: str) -> bool:
    return is_label(key, text) and key != "install" and not _of(key, OWN_LABELS)


def _may_note(key: str, text: str) -> bool:
    return is_label(key, "") and not _of(key, (OURS,)) and not isinstance(parse(Label, text), Refused)


def _of(key: str, domains: Iterable[str]) -> bool:
    prefix = key.rpartition("/")[0]
    return any(prefix == domain or prefix.endswith("." + domain) for domain in domains)


def _left_out(gateway: Gateway) -> Iterator[tuple[str, str]]:
    labels = [key for key, text in _wished(gateway, "labels") if not _may_be_label(key, text)]
    notes = [key for key, text in _wished(gateway, "annotations") if not _may_note(key, text)]
    for what, keys in (("label", labels), ("annotation", notes)):
        if keys:
            yield f"the {what} {shown(keys[0])} of spec.infrastructure is not taken over", f"take another {what}"


def _marks(ours: OurGateway) -> Iterator[tuple[Label, Label]]:
    """Gateway API's labels of what is made for a Gateway (GEP-1762), where the names are short enough to be labels."""
    for key, name in (("gateway-class-name", ours.ours.name), ("gateway-name", ours.gateway.metadata.name)):
        if is_label("any", name):
            yield Label(f"{GROUP}/{key}"), Label(name)


def asked(gateway: Gateway) -> tuple[tuple[str, str], ...]:
    """The addresses that a Gateway asks for, as pairs of type and value; an empty value is any of the type."""
    return tuple((one.type or TYPES[0], _canonical(one.value)) for one in gateway.spec.addresses or ())


def _canonical(text: str) -> str:
    return str(_ip(text) or text.lower())


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def claimed(ours: OurGateway, settings: GatewaySettings) -> Iterator[IpAddress]:
    """The addresses of a Gateway that its class lets it have, in its order, each once."""
    listed = ranges(ours.ours.spec.fleet) if ours.ours.spec.fleet is not None else ()
    for of_type, value in dict.fromkeys(asked(ours.gateway)):
        address = _ip(value) if settings.fleets and of_type == TYPES[0] else None
        if address is not None and any(address in one for one in listed):
            yield IpAddress(str(address))


class Holding(NamedTuple):
    """A Gateway may have an address."""

    gateway: Ref
    address: IpAddress


def holder(wished: Iterable[tuple[Holding, str]]) -> Ref:
    """Who of those that may have an address has it: the oldest; ``wished`` comes with the times at which they were made."""
    return min((age or "9999", one.gateway) for one, age in wished)[1]
