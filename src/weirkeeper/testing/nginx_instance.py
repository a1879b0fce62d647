"""A real NGINX as an instance of a cluster install, with `weir agent nginx` beside it (``agent_instance``). Its supervisor is the script of its pod, in a loop."""

from functools import partial
from pathlib import Path

from weirkeeper.fleet.nginx_pod import STARTED
from weirkeeper.providers.local import command_of, name_of
from weirkeeper.providers.nginx.binary import nginx_binary
from weirkeeper.testing.agent_instance import AgentInstance, agent_instance


class NginxInstance(AgentInstance):
    """One NGINX with its supervisor and its agent."""

    kind = "nginx"
    supervisor = f"""
while :; do
{STARTED.replace("nginx -p", '"$0" -p')}
  wait $!
  sleep 0.05
done
"""

    def binary(self) -> Path | None:
        """NGINX."""
        return nginx_binary()

    async def processes(self) -> list[int]:
        """The master, then its workers."""
        return processes_of(self.engine)


def processes_of(folder: Path) -> list[int]:
    """The master of a folder, which has it in its title, and its workers."""
    pids = [int(one.name) for one in Path("/proc").glob("[0-9]*")]
    masters = [pid for pid in pids if f"-p {folder}".encode() in b" ".join(command_of(pid))]
    return masters + [pid for pid in pids if (said := name_of(pid)) is not None and said[1] in masters]


nginx_instance = partial(agent_instance, NginxInstance)
