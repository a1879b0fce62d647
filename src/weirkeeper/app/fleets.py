"""Fleets in the program: what is wished goes to the accounts on every replica, and to the writer, which works on the leader.

Comes in: settings, outcomes. Goes out: who may have certificates, and objects. Where the install starts no instances (`fleet` is off) nothing is ever wished here.
"""

import asyncio
from collections.abc import Mapping
from functools import partial

from weirkeeper.app.channel import Channel
from weirkeeper.errors import StartRefused
from weirkeeper.feeds.kube.feed import KubeFeed
from weirkeeper.fleet.objects import accounts, selector
from weirkeeper.fleet.place import FleetPlace, may_live
from weirkeeper.kube.client import Client
from weirkeeper.model.fleet import FleetWish
from weirkeeper.model.text import Id, Name, Refused, parse
from weirkeeper.runtime.fleet_pods import FleetPods
from weirkeeper.runtime.fleet_services import FleetServices
from weirkeeper.runtime.fleet_writer import FleetWriter
from weirkeeper.runtime.intake import Intake
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.shortages import Shortages
from weirkeeper.runtime.supervise import Worker
from weirkeeper.runtime.writes import LedClient
from weirkeeper.settings import RunSettings
from weirkeeper.status.shortages import Shortage


class Fleets:
    """The fleets of one install, as one replica has them."""

    def __init__(  # noqa: PLR0917 - the parts of the program
        self,
        settings: RunSettings,
        client: Client,
        writes: LedClient,
        channel: Channel,
        intake: Intake,
        feed: KubeFeed,
        log: Log,
        metrics: Metrics,
    ) -> None:
        self._place, self._channel = place_of(settings, client), channel
        more = namespaces_of(settings)
        self._writer = FleetWriter(client, writes, self._place, log=log, metrics=metrics, namespaces=more)
        followed = [""] if "" in more else [self._place.namespace, *more]
        self._pods = [
            FleetPods(
                client,
                namespace,
                selector(self._place),
                lambda one: intake.offer((one,)),
                log=log,
                gate=feed.gate,
                heeds=partial(may_live, self._place),
            )
            for namespace in followed
        ]
        self._shortages = Shortages(lambda one: intake.offer((one,)))
        metrics.gauge("instances_missing", lambda: self._shortages.lacking)
        self._services = [
            FleetServices(client, self._place, namespace, lambda one: intake.offer((one,)), log=log, gate=feed.gate)
            for namespace in followed
        ]

    def workers(self) -> list[Worker]:
        """What every replica runs."""
        return [
            *(Worker("pods of fleets", one.run) for one in self._pods),
            *(Worker("services of fleets", one.run) for one in self._services),
        ]

    def notice(self) -> str:
        """What is amiss; empty where all is well."""
        many = self._shortages.lasting
        return f"{many} load balancers have had fewer instances than wished for a while" if many else ""

    def short(self, changes: Mapping[Id, Shortage | None]) -> None:
        """Which load balancers lack instances, after each settle."""
        self._shortages.changed(changes)

    def wished(self, changes: Mapping[Id, FleetWish | None]) -> None:
        """What changed, after each settle."""
        self._writer.wished(changes)
        if changes:
            self._channel.permit(accounts(self._place, self._writer.wishes))

    async def lead(self) -> None:
        """What the leader runs."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._writer.run(), name="objects of fleets")
            group.create_task(self._shortages.run(), name="shortages")


def shipped_instances(settings: RunSettings, client: Client, intake: Intake, feed: KubeFeed, log: Log) -> FleetPods:
    """The pods of the DaemonSet that an install is shipped with, by their labels there."""
    return FleetPods(
        client,
        settings.instance_namespace or settings.namespace or client.access.namespace,
        f"install={settings.name},app.kubernetes.io/component=envoy",
        lambda one: intake.offer((one,)),
        log=log,
        gate=feed.gate,
        of=f"ingress/{settings.name}",
    )


def namespaces_of(settings: RunSettings) -> tuple[str, ...]:
    """Where fleets of Gateways may live beside them; the empty namespace stands for all. `StartRefused` where one is none that Kubernetes takes."""
    if "*" in settings.fleet_namespaces:
        return ("",)
    wrong = [name for name in settings.fleet_namespaces if isinstance(parse(Name, name), Refused)]
    if wrong:
        raise StartRefused(f"fleetNamespaces: {wrong[0]!r} is no namespace")
    return tuple(sorted(set(settings.fleet_namespaces)))


def place_of(settings: RunSettings, client: Client) -> FleetPlace:
    """Where the fleets of an install live. `StartRefused` where its name is none that Kubernetes takes."""
    install = parse(Name, settings.name)
    home = settings.namespace or client.access.namespace
    namespace = parse(Name, settings.instance_namespace or home)
    if isinstance(install, Refused) or isinstance(namespace, Refused):
        raise StartRefused("fleets need a name and a namespace of the install that Kubernetes takes")
    return FleetPlace(
        install=install,
        namespace=namespace,
        control_plane=f"{install}.{home}.svc",
        image=settings.fleet_image,
        envoy_image=settings.fleet_envoy_image,
        haproxy_image=settings.fleet_haproxy_image,
        nginx_image=settings.fleet_nginx_image,
        audience=settings.token_audience,
        streams_port=_port(settings.ads_address),
        exchange_port=_port(settings.exchange_address),
        drain_seconds=settings.fleet_drain_seconds,
    )


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
