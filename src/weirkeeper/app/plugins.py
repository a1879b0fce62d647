"""Which plugins a program is made of: found by entry point, set up from the settings.

Comes in: names. Goes out: controllers and providers, ready to declare. An unknown name stops the start and lists the known ones. Nothing registers itself.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from weirkeeper.controllers.base import Controller
from weirkeeper.errors import StartRefused, UnknownPlugin
from weirkeeper.model.address import Published
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import IpAddress, Label, Name, Refused, parse, trusted
from weirkeeper.providers.base import Agented, Provider
from weirkeeper.providers.by_agents import ByAgents
from weirkeeper.settings import RunSettings, Settings

CONTROLLERS = "weirkeeper.controllers"
PROVIDERS = "weirkeeper.providers"

SetUp = Callable[[Controller], Controller]
"""Gives a controller that has settings the ones of this program."""


def known_plugins(group: str) -> tuple[str, ...]:
    """The names of all installed plugins of a group."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


def plugin(group: str, name: str) -> Any:
    """The plugin of that name; an unknown one stops the start and names those that are there."""
    for point in entry_points(group=group):
        if point.name == name:
            return point.load()
    raise UnknownPlugin(group.rpartition(".")[2].removesuffix("s"), name, known_plugins(group))


class Plugins(NamedTuple):
    """What a program is made of: who gives meaning, and who programs engines."""

    controllers: tuple[Controller, ...]
    providers: tuple[Provider, ...]


def chosen(controllers: Iterable[str], providers: Iterable[str], set_up: Mapping[str, SetUp]) -> Plugins:
    """The plugins of these names, each at most once, set up where something is said about them."""
    named = tuple(dict.fromkeys(controllers))
    found = [(name, plugin(CONTROLLERS, name)) for name in named]
    engines = tuple(plugin(PROVIDERS, name) for name in dict.fromkeys(providers))
    if not engines:
        raise StartRefused(f"no provider is named; installed are: {', '.join(known_plugins(PROVIDERS))}")
    return Plugins(
        controllers=tuple(set_up[name](controller) if name in set_up else controller for name, controller in found),
        providers=engines,
    )


def plugins(settings: Settings) -> Plugins:
    """The plugins of a program that serves a folder."""
    return chosen(
        settings.controllers,
        settings.providers,
        {"ingress": lambda _: _ingress_of_folder(settings), "gateway": lambda _: _gateway_of_folder(settings)},
    )


def cluster_plugins(settings: RunSettings, api_server: tuple[str, ...]) -> Plugins:
    """The plugins of a program that serves a cluster; no backend may be one of the API server's addresses."""
    names = settings.controllers or [n for n in known_plugins(CONTROLLERS) if n != "gateway" or settings.gateway]
    found = chosen(
        names,
        settings.providers,
        {
            "ingress": lambda _: _ingress_of_cluster(settings, api_server),
            "gateway": lambda _: _gateway_of_cluster(settings, api_server),
        },
    )
    return found._replace(
        providers=tuple(ByAgents(one) if isinstance(one, Agented) else one for one in found.providers)
    )


def _ingress_of_cluster(settings: RunSettings, api_server: tuple[str, ...]) -> Controller:
    from weirkeeper.controllers.ingress import IngressController  # noqa: PLC0415 - only where it is asked for
    from weirkeeper.controllers.ingress.settings import IngressSettings  # noqa: PLC0415

    wished = IngressSettings(
        controllers=settings.class_controllers,
        implicit_class=None,
        http_port=settings.http_port,
        https_port=settings.https_port,
        provider=Name(settings.providers[0]),
        api_server=api_server,
        published=_published(settings),
        fleets=settings.fleet,
        node_ports=settings.node_ports,
        workloads=settings.workloads,
        tcp_services=_config_map(settings.tcp_services, "tcpServices"),
        udp_services=_config_map(settings.udp_services, "udpServices"),
    )
    return IngressController(wished)


def _config_map(text: str, setting: str) -> Ref | None:
    """The ConfigMap that a setting names."""
    if not text:
        return None
    namespace, slash, name = text.partition("/")
    if not slash or any(isinstance(parse(Name, part), Refused) for part in (namespace, name)):
        raise StartRefused(f"{setting} is {text!r}; write NAMESPACE/NAME of a ConfigMap")
    return Ref(kind="ConfigMap", namespace=namespace, name=name)


def _ingress_of_folder(settings: Settings) -> Controller:
    from weirkeeper.controllers.ingress import IngressController  # noqa: PLC0415 - only where it is asked for
    from weirkeeper.controllers.ingress.settings import IngressSettings  # noqa: PLC0415

    wished = IngressSettings(
        http_port=settings.http_port,
        https_port=settings.https_port,
        addresses=tuple(trusted(IpAddress, address) for address in settings.addresses),
        provider=Name(settings.providers[0]),
    )
    return IngressController(wished)


def _published(settings: RunSettings) -> Published | None:
    from weirkeeper.controllers.shared.publish import published_from  # noqa: PLC0415

    published = published_from(settings.publish)
    if isinstance(published, Refused):
        raise StartRefused(f"publish: {published.why}")
    return published


def _gateway_of_cluster(settings: RunSettings, api_server: tuple[str, ...]) -> Controller:
    from weirkeeper.controllers.gateway import GatewayController, GatewaySettings  # noqa: PLC0415

    name = parse(Label, settings.gateway_controller)
    if isinstance(name, Refused) or not name:
        raise StartRefused("gateway_controller is not a name of a controller, such as weirkeeper.io/gateway")
    wished = GatewaySettings(
        controller=name,
        provider=Name(settings.providers[0]),
        api_server=api_server,
        published=_published(settings),
        pods=settings.workloads,
        fleets=settings.fleet,
        fleet_namespaces=settings.fleet_namespaces,
        features=_claims(settings.providers, fleets=settings.fleet),
    )
    return GatewayController(wished)


def _gateway_of_folder(settings: Settings) -> Controller:
    from weirkeeper.controllers.gateway import GatewayController, GatewaySettings  # noqa: PLC0415

    wished = GatewaySettings(
        addresses=tuple(trusted(IpAddress, address) for address in settings.addresses),
        provider=Name(settings.providers[0]),
        features=_claims(settings.providers),
    )
    return GatewayController(wished)


def _claims(providers: Iterable[str], *, fleets: bool = False) -> tuple[tuple[Name, tuple[Label, ...]], ...]:
    """What a GatewayClass may say of each provider's engines."""
    from weirkeeper.controllers.gateway.features import supported  # noqa: PLC0415

    found = {name: plugin(PROVIDERS, name).capabilities.supported for name in providers}
    return tuple((Name(name), supported(features, fleets=fleets)) for name, features in found.items())
