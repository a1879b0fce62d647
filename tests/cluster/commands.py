"""What a person types: `kubectl`, in a namespace of its own.

Comes in: arguments. Goes out: what the command said, or an AssertionError with its words. KUBECONFIG says which cluster; `run` sets it.
"""

import json
import subprocess
from typing import NamedTuple


class Said(NamedTuple):
    """What a command said."""

    code: int
    out: str
    error: str


class Failed(AssertionError):
    """A command that did not succeed: nobody answered, or what it is about is not there (yet)."""


class Kubectl:
    """`kubectl`, in one namespace; with an empty one, in whichever the objects say."""

    def __init__(self, namespace: str = "default") -> None:
        self.namespace = namespace

    def __call__(self, *arguments: str, stdin: str = "") -> Said:
        command = ["kubectl", *(("--namespace", self.namespace) if self.namespace else ()), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=180, check=False)
        return Said(done.returncode, done.stdout, done.stderr)

    def must(self, *arguments: str, stdin: str = "") -> str:
        """What it printed; it has to succeed."""
        said = self(*arguments, stdin=stdin)
        if said.code != 0:
            raise Failed(f"kubectl {' '.join(arguments)}: {said.error}{said.out}")
        return said.out

    def read(self, *arguments: str) -> dict:
        """The object or list that `kubectl get` shows."""
        return json.loads(self.must("get", *arguments, "-o", "json"))

    def items(self, *arguments: str) -> list[dict]:
        """The objects of a list."""
        return self.read(*arguments)["items"]

    def apply(self, *objects: dict) -> None:
        """Create or change objects in this namespace."""
        self.must("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
