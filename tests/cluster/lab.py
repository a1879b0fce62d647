"""What only the lab can do: reach into a pod's processes, read a container's log, read the API server's audit log.

Comes in: pods. Goes out: process ids, text, audit entries. In a cluster that is no lab these tests are skipped, which `make cluster` counts as a failure unless
it is given `--allow-skips`.
"""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest


class Write(NamedTuple):
    """One write that the API server let through or refused."""

    user: str
    verb: str
    resource: str  # with its subresource, as `ingresses/status`
    namespace: str
    name: str
    code: int


def home() -> Path:
    """The lab's folder."""
    if "WEIR_TEST_LAB" not in os.environ:
        pytest.skip("only the lab lets a test into its nodes")
    return Path(os.environ["WEIR_TEST_LAB"])


def log_of(namespace: str, pod: str, container: str) -> str:
    """What a container has written."""
    path = home() / "logs" / f"{namespace}_{pod}_{container}.log"
    return path.read_text(errors="replace") if path.exists() else ""  # it is made when the container starts


def processes_of(pod: str) -> list[int]:
    """The processes that run in a pod."""
    home()
    wished = f"HOSTNAME={pod}".encode()
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if wished in _words(pid, "environ")]


@contextlib.contextmanager
def api_server_stopped() -> Iterator[None]:
    """The API server takes connections and answers nothing while this lasts; what is under way hangs."""
    home()
    mark = f"--audit-log-path={os.environ['WEIR_TEST_AUDIT']}".encode()
    (pid,) = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if mark in _words(pid, "cmdline")]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def node_cut_off(name: str) -> Iterator[None]:
    """A node that nobody hears of while this lasts, and its pods with it."""

    def say(word: str) -> None:
        command = ["python3", os.environ["WEIR_TEST_LAB_COMMAND"], word, name, "--home", str(home())]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    home()
    say("node-down")
    try:
        yield
    finally:
        say("node-up")


@contextlib.contextmanager
def client_from_outside() -> Iterator[str]:
    """An address of a client beyond the nodes. The lab's pods are neighbours of this machine's other address, and answer it past the node that led it to them."""
    home()
    address = "198.51.100.9"
    of_lab = subprocess.run(
        ["ip", "-o", "addr", "show", "to", "10.244.0.1"], check=True, capture_output=True, text=True
    )
    link = of_lab.stdout.split()[1]
    subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", link], check=True)
    try:
        yield address
    finally:
        subprocess.run(["ip", "addr", "del", f"{address}/32", "dev", link], check=True)


def writes() -> list[Write]:
    """Every write since the lab began."""
    home()
    whole, _, _ = Path(os.environ["WEIR_TEST_AUDIT"]).read_text().rpartition("\n")  # what comes after it is being written
    entries = [json.loads(line) for line in whole.splitlines()]
    return [_write(entry) for entry in entries if entry["verb"] not in ("get", "list", "watch")]


def _write(entry: dict) -> Write:
    at = entry.get("objectRef", {})
    resource = "/".join(filter(None, (at.get("resource", ""), at.get("subresource", ""))))
    code = entry.get("responseStatus", {}).get("code", 0)
    return Write(entry["user"]["username"], entry["verb"], resource, at.get("namespace", ""), at.get("name", ""), code)


def _words(pid: int, file: str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes().split(b"\0")
    except OSError:  # it ended meanwhile
        return []
