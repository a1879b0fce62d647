"""A running program, asked over its Unix socket.

Comes in: where its state is kept. Goes out: the answer to one GET, as bytes or as a typed value. Only standard library: the commands that ask are short.
"""

import http.client
import os
import socket
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

import msgspec
import typer

from weirkeeper.cli.offline import refused
from weirkeeper.compose.difference import View
from weirkeeper.model.backend import Backend
from weirkeeper.model.endpoint import EndpointSet
from weirkeeper.model.ids import HostKey, Part
from weirkeeper.model.listener import Listener
from weirkeeper.model.route import L4Route, VirtualHost
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import Id
from weirkeeper.model.value import Value
from weirkeeper.settings import read_socket, run_states, state_directory, state_home

T = TypeVar("T")
V = TypeVar("V", bound=Value)
SECONDS = 30.0

Live = Annotated[
    bool, typer.Option("--live", help="Ask the running `weir up` or `weir run` instead of reading manifests.")
]
StateDir = Annotated[
    Path | None, typer.Option(help="Its state directory, where it was not started with the default one.")
]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("weir", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(str(self._path))


class Running:
    """One running program, asked by one command."""

    def __init__(self, command: str, path: Path) -> None:
        self._command, self._path = command, path

    def get(self, path: str, query: list[tuple[str, str]] | None = None) -> bytes:
        """The body of an answer; what goes wrong ends the command with exit code 2."""
        connection = _UnixConnection(self._path)
        try:
            connection.request("GET", f"{path}?{urlencode(query)}" if query else path)
            answer = connection.getresponse()
            body = answer.read()
        except OSError as error:
            refused(
                self._command, f"no weir answers at {self._path} ({error}); is `weir up` running for these manifests?"
            )
        except http.client.HTTPException as error:
            refused(self._command, f"what answers at {self._path} is no weir ({type(error).__name__})")
        finally:
            connection.close()
        if answer.status != http.client.OK:
            refused(
                self._command, f"the running weir says {answer.status}: {body.decode(errors='replace').strip()[:500]}"
            )
        return body

    def typed(self, path: str, kind: type[T], query: list[tuple[str, str]] | None = None) -> T:
        """The answer as a value. Secrets are known by their digest only."""
        try:
            return decoded(self.get(path, query), kind)
        except msgspec.ValidationError as error:
            refused(self._command, f"the running weir is of another version: {error}")

    def view(self) -> View:
        """Its composed rows. Certificates stay with it."""
        return View(
            listeners=self._parts("listeners", Listener),
            virtual_hosts={
                HostKey(h.load_balancer, h.group, h.hostname): h for _, h in self._rows("virtual_hosts", VirtualHost)
            },
            backends=self._parts("backends", Backend),
            endpoint_sets=self._parts("endpoint_sets", EndpointSet),
            certificates={},
            l4_routes=self._parts("l4_routes", L4Route),
        )

    def _parts(self, table: str, kind: type[V]) -> dict[Part, V]:
        rows = ((key.split(" "), value) for key, value in self._rows(table, kind))
        return {Part(Id(key[0]), Id(key[1])): value for key, value in rows}

    def _rows(self, table: str, kind: type[V]) -> list[tuple[str, V]]:
        rows = self.typed(f"/tables/{table}", list[dict[str, Any]])
        return [(str(row["key"]), as_shown(row["value"], kind)) for row in rows]


def running(command: str, source: str | None, state_dir: Path | None) -> Running:
    """The program of a folder, or of a state directory (in a pod `WEIR_STATE_DIRECTORY`), or the only one there is."""
    if state_dir is None and source is None and os.environ.get("WEIR_STATE_DIRECTORY"):
        state_dir = Path(os.environ["WEIR_STATE_DIRECTORY"])
    if state_dir is not None:
        return Running(command, read_socket(state_dir))
    if source is not None:
        return Running(command, read_socket(state_directory(Path(source))))
    there = sorted(path.parent for home in (state_home(), run_states()) for path in home.glob("*/read.sock"))
    if len(there) != 1:
        why = "no running weir was found" if not there else f"several are running: {', '.join(map(str, there))}"
        refused(command, f"{why}; name its folder of manifests, or --state-dir")
    return Running(command, there[0] / "read.sock")


def decoded(body: bytes, kind: type[T]) -> T:
    """JSON of the read API as a value."""
    return msgspec.json.decode(body, type=kind, dec_hook=_hidden)


def as_shown(value: object, kind: type[V]) -> V:
    """A value of the model from plain ones."""
    return msgspec.convert(value, kind, dec_hook=_hidden)


def _hidden(kind: type, text: object) -> object:
    """What a secret prints as takes the secret's place, so that equal secrets stay equal."""
    if kind is Secret:
        return Secret(str(text))
    raise NotImplementedError(f"cannot read {kind.__name__}")
