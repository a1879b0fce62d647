"""What whoever migrates may choose."""

from enum import StrEnum

from weirkeeper.model.value import Value


class Channel(StrEnum):
    """Which of Gateway API's fields may be used: those that are settled, or all."""

    STANDARD = "standard"
    EXPERIMENTAL = "experimental"


class Per(StrEnum):
    """For what there is a Gateway: for each class, or for each namespace of a class."""

    CLASS = "class"
    NAMESPACE = "namespace"


class Choices(Value, frozen=True, kw_only=True):
    """``gateway_class``: the GatewayClass that Gateways name; nothing: one of ours for each Ingress class, which is written too. ``namespace``: where Gateways live;
    nothing: where all Ingresses of the class are, or else ``default``.
    """

    per: Per = Per.CLASS
    channel: Channel = Channel.STANDARD
    gateway_class: str = ""
    namespace: str = ""
