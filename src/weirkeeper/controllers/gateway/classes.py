"""Classes and Gateways that are ours, and the load balancer that each Gateway is.

Comes in: a GatewayClass with its parameters, a Gateway. Goes out: ``OurClass`` and ``OurGateway``, and the ``Intent`` that defines the load balancer. A Gateway is a load balancer of its
own, so that nobody's listeners or routes can come in the way of another's (Gateway API, GatewayClass: isolation is the class's promise).
"""

import msgspec

from weirkeeper.controllers.base import Inputs, Intent
from weirkeeper.controllers.gateway.settings import GatewaySettings
from weirkeeper.controllers.shared.ids import id_of, place
from weirkeeper.controllers.shared.parameters import GROUP as PARAMETERS_GROUP
from weirkeeper.controllers.shared.parameters import ClassSpec, LoadBalancerClassParameters
from weirkeeper.controllers.shared.publish import class_published
from weirkeeper.controllers.shared.report import error
from weirkeeper.flow import Read
from weirkeeper.kube.gateway_types import GROUP, Gateway, GatewayClass, GatewayObject, ParametersReference
from weirkeeper.model.config import Defaults, Infrastructure, LoadBalancer
from weirkeeper.model.filters import Timeouts
from weirkeeper.model.finding import Effect, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Id, Name, Refused, parse, shown
from weirkeeper.model.value import Value, seconds

PARAMETERS = "LoadBalancerClassParameters"


class OurClass(Value, frozen=True, kw_only=True):
    """A class of ours; ``wrong`` is why its parameters cannot be used."""

    name: str
    spec: ClassSpec = ClassSpec()
    wrong: str = ""
    origin: Origin


class OurGateway(Value, frozen=True, kw_only=True):
    """A Gateway of ours with its class; ``wrong`` is why its own parameters cannot be used."""

    gateway: Gateway
    ours: OurClass
    load_balancer: Id
    wrong: str = ""

    @property
    def origin(self) -> Origin:
        """Where it comes from."""
        return self.gateway.origin()


def class_ref(cluster: str, name: str) -> Ref:
    """The GatewayClass of that name."""
    return Ref(cluster=cluster, group=GROUP, kind="GatewayClass", name=name)


def our_class(read: Read, inputs: Inputs, found: GatewayClass, settings: GatewaySettings) -> OurClass | None:
    """The class with its parameters, or nothing when another controller has it."""
    if found.spec.controller_name != settings.controller:
        return None
    spec, wrong = _parameters(read, inputs, found, found.spec.parameters_ref)
    return OurClass(name=found.metadata.name, spec=spec, wrong=wrong, origin=found.origin())


def our_gateway(read: Read, inputs: Inputs, found: Gateway, ours: OurClass) -> OurGateway:
    """The Gateway; parameters of its own take the place of those of its class (``spec.infrastructure.parametersRef``)."""
    name = id_of("gateway", place(found.ref), found.metadata.name)
    wished = found.spec.infrastructure.parameters_ref if found.spec.infrastructure is not None else None
    wrong = ""
    if wished is not None:
        spec, wrong = _parameters(read, inputs, found, wished)
        ours = msgspec.structs.replace(ours, spec=ours.spec if wrong else spec)
    return OurGateway(gateway=found, ours=ours, load_balancer=name, wrong=wrong)


def _parameters(
    read: Read, inputs: Inputs, found: GatewayObject, wished: ParametersReference | None
) -> tuple[ClassSpec, str]:
    if wished is None:
        return ClassSpec(), ""
    if (wished.group, wished.kind) != (PARAMETERS_GROUP, PARAMETERS):
        return (
            ClassSpec(),
            f"parameters of the kind {shown(wished.kind)} mean nothing here; there is {PARAMETERS} of {PARAMETERS_GROUP}",
        )
    ref = Ref(cluster=found.cluster, group=PARAMETERS_GROUP, kind=PARAMETERS, name=wished.name)
    parameters = read.get(inputs.of(LoadBalancerClassParameters), ref)
    if parameters is None:
        return ClassSpec(), f"there is no {PARAMETERS} {shown(wished.name)}"
    return parameters.spec, ""


def gateway_intent(
    read: Read, inputs: Inputs, ours: OurGateway, settings: GatewaySettings, started: Infrastructure
) -> Intent:
    """The load balancer of a Gateway, without what hangs on it."""
    spec, origin = ours.ours.spec, ours.origin
    published, unpublished = class_published(read, inputs, spec.publish, origin, settings.published)
    wrong = tuple(
        error(Reason.INVALID_CLASS, origin, why, "correct the parameters", Effect.DEGRADED)
        for why in (ours.wrong,)
        if why
    )
    return Intent(
        load_balancer=ours.load_balancer,
        defines=LoadBalancer(
            id=ours.load_balancer,
            class_name=_name(ours.ours.name),
            provider=_name(spec.provider) or settings.provider,
            defaults=Defaults(timeouts=_timeouts(spec), access_log=spec.access_log),
            infrastructure=started,
            published=published,
            origin=origin,
        ),
        findings=(*wrong, *unpublished),
    )


def _timeouts(spec: ClassSpec) -> Timeouts:
    idle, request = spec.timeouts.idle_seconds, spec.timeouts.request_seconds
    return Timeouts(
        idle=None if idle is None or idle < 0 else seconds(idle),
        request=None if request is None or request < 0 else seconds(request),
    )


def _name(text: str) -> Name | None:
    typed = parse(Name, text)
    return None if isinstance(typed, Refused) else typed
