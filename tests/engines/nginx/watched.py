"""A rig that keeps the engine that it made, so that a test can look at what it did."""

from weirkeeper.providers.base import EngineSettings
from weirkeeper.providers.nginx.engine import NginxEngine
from weirkeeper.providers.nginx.keeper import Keeper
from weirkeeper.testing.conformance import Rig, Site
from weirkeeper.testing.eventually import poll_until


class Watched(Rig):
    """Keeps the engine that it made."""

    def engine(self, settings: EngineSettings) -> NginxEngine:
        self.made = NginxEngine(settings)
        return self.made

    @property
    def keeper(self) -> Keeper:
        (found,) = self.made.keepers.values()
        return found


def settled(site: Site, rig: Watched) -> None:
    """Waits until NGINX has all of it."""
    keeper = rig.keeper
    poll_until(
        lambda: not keeper._waiting and not keeper._open and not keeper.wished.touched,
        60.0,
        what="everything is programmed",
    )
    assert not site.stage.rejected()
