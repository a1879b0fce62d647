"""A real HAProxy as an instance of a cluster install, with `weir agent haproxy` beside it (``agent_instance``)."""

import contextlib
import re
from functools import partial
from pathlib import Path

from weirkeeper.providers.haproxy.binary import haproxy_binary
from weirkeeper.providers.haproxy.runtime_socket import Away
from weirkeeper.providers.haproxy.supervised import MASTER, ask
from weirkeeper.testing.agent_instance import AgentInstance, agent_instance

_PROCESSES = re.compile(r"^(\d+)\s+(?:master|worker)\s", re.ASCII | re.MULTILINE)


class HaproxyInstance(AgentInstance):
    """One HAProxy with its supervisor and its agent."""

    kind = "haproxy"
    supervisor = """
while :; do
  until [ -e haproxy.cfg ]; do sleep 0.05; done
  "$0" -W -S unix@master.sock,mode,600 -f haproxy.cfg >>haproxy.log 2>>complaints.log
  sleep 0.05
done
"""

    def binary(self) -> Path | None:
        """HAProxy."""
        return haproxy_binary()

    async def processes(self) -> list[int]:
        """The master, then its workers."""
        with contextlib.suppress(Away):
            return [int(found) for found in _PROCESSES.findall(await ask(self.engine / MASTER, "show proc"))]
        return []


haproxy_instance = partial(agent_instance, HaproxyInstance)
