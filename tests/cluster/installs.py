"""Installs of the product in the cluster under test: applied as they are shipped, waited for, and asked about.

Comes in: the name of a folder below installs/. Goes out: an `Install` that is up. What a person sees is what is looked at here: roll-outs, statuses, logs.
"""

from collections.abc import Callable
from pathlib import Path

from commands import Failed, Kubectl

from weirkeeper.fleet.place import OF
from weirkeeper.testing.client import Response, get
from weirkeeper.testing.client.response import AnswerLost
from weirkeeper.testing.eventually import poll_until

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ROLLED_OUT = "170s"
SHOWN = 90.0
"""Nothing takes so long on a machine that has nothing else to do; what must be quick is measured where it is promised."""


class Install:
    """One install: its namespaces, its name, which is its class's too, and the nodes with its Envoys."""

    component = "envoy"
    ports = (80, 443)
    patience = 0.0
    """How long an Ingress may need, after its status shows an address, until all of it is served: HAProxy reloads at most once in two seconds."""

    def __init__(self, folder: str, name: str, label: str) -> None:
        self.folder, self.name, self.label = folder, name, label
        self.kubectl, self.instances = Kubectl(name), Kubectl(f"{name}-envoys")

    @property
    def of_class(self) -> str:
        """The name of its IngressClass."""
        return self.name

    @property
    def addresses(self) -> list[str]:
        """The addresses of the nodes on which its Envoys run, in order."""
        pods = self.instances.items("pods", "-l", f"app.kubernetes.io/component={self.component}")
        return sorted({pod["status"]["hostIP"] for pod in pods if pod["status"].get("hostIP")})

    def apply(self, nodes: list[str]) -> None:
        """Install, with Envoys on these nodes, and wait until all of it is up."""
        for node in nodes:
            self.kubectl.must("label", "--overwrite", "node", node, f"weirkeeper.io/{self.label}=true")
        self.kubectl.must("apply", "-f", str(ROOT / "deploy" / "crds"))
        Kubectl("").must("apply", "-k", str(HERE / "installs" / self.folder))
        self.rolled_out()

    def rolled_out(self) -> None:
        """Wait until every pod of it is ready."""
        for kubectl in (self.kubectl, self.instances):
            for what in kubectl.must("get", "deployments,daemonsets", "-l", f"install={self.name}", "-o", "name").split():
                said = kubectl("rollout", "status", what, f"--timeout={ROLLED_OUT}")
                assert said.code == 0, f"{what}: {said.out}{said.error}\n{self.told()}"

    def remove(self) -> None:
        """Take it away again."""
        self._removed(HERE / "installs" / self.folder)

    def _removed(self, kustomization: Path) -> None:
        """Nobody is served by it any more: its pods need not drain. Who would start others goes first."""
        for kubectl in (self.kubectl, self.instances):
            kubectl("delete", "deployments,daemonsets", "--all", "--cascade=orphan")
            kubectl("delete", "replicasets", "--all", "--cascade=orphan")
            kubectl("delete", "pods", "--all", "--grace-period=1", "--wait=false")
        Kubectl("").must("delete", "-k", str(kustomization), "--ignore-not-found", "--wait=true")

    def told(self) -> str:
        """Its pods, for a person who looks at a failed test."""
        return "".join(kubectl("get", "pods", "-o", "wide").out for kubectl in (self.kubectl, self.instances))

    def control_plane(self) -> list[dict]:
        """The pods of its control plane."""
        return self.kubectl.items("pods", "-l", "app.kubernetes.io/component=control-plane")


class OfAgents(Install):
    """A class of an install that starts HAProxies and NGINXes, each class with ports of its own."""

    component = "instance"

    def __init__(self, of_class: str, ports: tuple[int, int], patience: float) -> None:
        super().__init__("agents", "agents-weirkeeper", "agents")
        self._class, self.ports, self.patience = of_class, ports, patience

    @property
    def of_class(self) -> str:
        """The name of the class."""
        return self._class

    def rolled_out(self) -> None:
        """The instances are up as well: two of each class."""
        super().rolled_out()
        until(lambda: sum(map(ready, self._pods())) == 4, "the instances are ready", 120.0)

    @property
    def addresses(self) -> list[str]:
        """The addresses of the nodes on which instances of the class run, in order."""
        mine = (pod for pod in self._pods() if pod["metadata"]["annotations"][OF] == f"ingress/{self._class}")
        return sorted({pod["status"]["hostIP"] for pod in mine if pod["status"].get("hostIP")})

    def _pods(self) -> list[dict]:
        return self.instances.items("pods", "-l", f"app.kubernetes.io/component={self.component}")


def ready(pod: dict) -> bool:
    """Whether its condition says so."""
    return any((one["type"], one["status"]) == ("Ready", "True") for one in pod["status"].get("conditions", ()))


def shown(kubectl: Kubectl, name: str) -> list[str]:
    """The addresses that an Ingress's status shows."""
    status = kubectl.read("ingress", name).get("status", {}).get("loadBalancer", {})
    return sorted(entry.get("ip") or entry.get("hostname", "") for entry in status.get("ingress", ()))


def until_shown(kubectl: Kubectl, name: str, wished: list[str]) -> None:
    """Wait until the status shows exactly these addresses."""
    until(lambda: shown(kubectl, name) == wished, f"status of {name} is {wished}")


def reached(address: str, url: str, **more: object) -> Response | None:
    """The answer of the load balancer at this address; nothing while nobody takes the connection."""
    try:
        return get(url, address=address, **more)
    except (OSError, AnswerLost):
        return None


def until_answered(address: str, url: str, by: str, **more: object) -> Response:
    """Wait until a backend of that name answers."""

    def look() -> Response | None:
        answer = reached(address, url, **more)
        return answer if answer is not None and answer.status == 200 and answer.echo.name == by else None

    return poll_until(look, SHOWN, what=f"{url} at {address} answered by {by}", pause=0.05)


def until_status(address: str, url: str, status: int, **more: object) -> Response:
    """Wait until the answer has this status code."""

    def look() -> Response | None:
        answer = reached(address, url, **more)
        return answer if answer is not None and answer.status == status else None

    return poll_until(look, SHOWN, what=f"{url} at {address} answers {status}", pause=0.05)


def events_of(kubectl: Kubectl, name: str) -> str:
    """What `kubectl describe ingress` tells of its events."""
    return kubectl.must("describe", "ingress", name).partition("Events:")[2]


def until(look: Callable[[], object], what: str, seconds: float = SHOWN) -> None:
    """Wait until the look finds something. What a command says in vain, and what an object does not have yet, is nothing so far."""
    poll_until(lambda: _found(look), seconds, what=what, pause=0.1)


def _found(look: Callable[[], object]) -> object:
    try:
        return look()
    except (Failed, LookupError) as error:
        return Nothing(error)


class Nothing:
    """What a look found that came too soon: false, and it says why."""

    def __init__(self, why: Exception) -> None:
        self.why = why

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return repr(self.why)
