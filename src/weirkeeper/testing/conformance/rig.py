"""What a provider author writes: which provider, and how its engine is reached. Everything else the suite brings.

In: a provider. Out: an engine of it that runs while the suite does. The defaults suit every provider whose `engine()` runs on this machine; a provider
that drives something elsewhere overrides `engine` and `reach`.
"""

from collections.abc import Mapping

from weirkeeper.providers.base import Engine, EngineSettings, Provider


class Rig:
    """A provider on the bench.

    `traffic` is False for a provider that answers no requests (the memory provider): then only findings are looked at.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        options: Mapping[str, str] | None = None,
        traffic: bool = True,
        patience: float = 60.0,
    ) -> None:
        self.provider, self.traffic, self.patience = provider, traffic, patience
        self._options = dict(options or {})

    def settings(self, folder: str) -> EngineSettings:
        """The settings of an engine that keeps its files in that folder."""
        return EngineSettings(state_directory=folder, concurrency=1, drain_seconds=0.5, options=self._options)

    def engine(self, settings: EngineSettings) -> Engine:
        """A fresh engine; it is served until it is cancelled, and may be made again over the same folder."""
        return self.provider.engine(settings)

    def reach(self, port: int) -> tuple[str, int]:
        """Where to send what is meant for a listener with that port."""
        return "127.0.0.1", port
