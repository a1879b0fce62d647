"""An Ingress that is ours, with all that its translation starts from. A row of a table, so that canaries and host-wide wishes can be looked up."""

from collections.abc import Sequence

from weirkeeper.controllers.ingress.annotations.options import Options
from weirkeeper.controllers.ingress.classes import OurClass
from weirkeeper.kube.types import Ingress
from weirkeeper.model.finding import Finding
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Hostname, Id, Refused, parse
from weirkeeper.model.value import Value

HostOf = tuple[Id, Hostname]
"""A host of a load balancer."""


class Claimed(Value, frozen=True, kw_only=True):
    """An Ingress, its class and its options."""

    ingress: Ingress
    ours: OurClass
    options: Options
    findings: tuple[Finding, ...] = ()

    def hosts(self) -> tuple[HostOf, ...]:
        """The hosts of its rules and its aliases, in lower case; what is no host is nobody's neighbour."""
        rules = self.ingress.spec.rules or ()
        own = {rule.host.lower() or "*" for rule in rules} | set(self.options.server_alias)
        read = (parse(Hostname, host) for host in sorted(own))
        return tuple((self.ours.load_balancer, host) for host in read if not isinstance(host, Refused))

    def has_rule(self, host: Hostname) -> bool:
        """Whether one of its rules is for this very host."""
        return any((rule.host.lower() or "*") == host for rule in self.ingress.spec.rules or ())


def first_of(found: Sequence[tuple[Ref, Claimed]], host: Hostname) -> tuple[Ref, Claimed]:
    """Whose a host is: the oldest Ingress with a rule for it, where none has one the oldest with it as an alias; of equal age the first by namespace and name."""
    return min(found, key=lambda one: _age(one[0], one[1], host))


def _age(ref: Ref, claimed: Claimed, host: Hostname) -> tuple[bool, str, Ref]:
    return not claimed.has_rule(host), claimed.ingress.metadata.creation_timestamp or "9999", ref
