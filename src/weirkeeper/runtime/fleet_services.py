"""At which ports and addresses fleets are reached that stand behind a Service: Kubernetes gives them, after the Service was made.

Comes in: the fleets' Services, followed by every replica. Goes out: `FleetService`, by the front door. What carries our labels under another name is not listened to.
"""

from collections.abc import Callable, Sequence

from weirkeeper.fleet.objects import selector
from weirkeeper.fleet.place import OF, FleetPlace, fleet_name, may_live
from weirkeeper.kube.client import Client
from weirkeeper.kube.mirror import Absent, Applied, Back, Deleted, Lost, News
from weirkeeper.kube.resources import KNOWN
from weirkeeper.kube.types import KubeObject, Service
from weirkeeper.kube.watch import Gate, Reflector
from weirkeeper.model.observation import FleetService
from weirkeeper.model.text import Id, Refused, parse
from weirkeeper.runtime.logging import Log
from weirkeeper.status.addresses import given_addresses, own_addresses


class FleetServices:
    """The Services of one install's fleets in a namespace, or in all."""

    def __init__(
        self,
        client: Client,
        place: FleetPlace,
        namespace: str,
        say: Callable[[FleetService], None],
        *,
        log: Log,
        gate: Gate,
    ) -> None:
        self._place, self._say, self._log = place, say, log
        self._known: dict[tuple[str, str], FleetService] = {}
        self._lost = False
        self._reflector = Reflector(
            client, KNOWN["", "Service"], type=Service, tell=self.told, namespace=namespace,
            label_selector=selector(place), gate=gate,
        )  # fmt: skip

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._reflector.run()

    def told(self, news: Sequence[News]) -> None:
        """What the reflector has seen."""
        for one in news:
            match one:
                case Applied():
                    self._seen(one.object)
                case Deleted() | Absent():
                    self._gone((one.ref.namespace, one.ref.name))
                case Lost():
                    self._say_lost(one)
                case Back():
                    self._lost = False

    def _seen(self, service: KubeObject) -> None:
        key = (service.metadata.namespace, service.metadata.name)
        found = reached(self._place, service) if isinstance(service, Service) else None
        if found is None:
            self._gone(key)
        elif self._known.get(key) != found:
            self._known[key] = found
            self._say(found)

    def _gone(self, key: tuple[str, str]) -> None:
        known = self._known.pop(key, None)
        if known is not None:
            self._say(FleetService(load_balancer=known.load_balancer, exposure=known.exposure))

    def _say_lost(self, one: Lost) -> None:
        if not self._lost:
            self._lost = True
            self._log.warning("the Services of fleets cannot be read; addresses stay as they were", why=one.error)


def reached(place: FleetPlace, service: Service) -> FleetService | None:
    """What a fleet's Service offers to clients; nothing where it is none of a fleet's or has no ports yet."""
    load_balancer = parse(Id, service.annotations.get(OF, ""))
    if isinstance(load_balancer, Refused) or service.metadata.name != fleet_name(place, load_balancer):
        return None
    if not may_live(place, load_balancer, service.metadata.namespace):
        return None
    ports = service.spec.ports or ()
    if service.spec.type == "LoadBalancer":
        return FleetService(
            load_balancer=load_balancer,
            exposure="loadBalancer",
            ports=tuple(sorted(port.port for port in ports)),
            addresses=given_addresses(service),
        )
    if service.spec.type == "ClusterIP":
        return FleetService(
            load_balancer=load_balancer,
            exposure="clusterIP",
            ports=tuple(sorted(port.port for port in ports)),
            addresses=own_addresses(service),
        )
    given = tuple(sorted(port.node_port for port in ports if port.node_port))
    return FleetService(load_balancer=load_balancer, exposure="nodePort", ports=given) if given else None
