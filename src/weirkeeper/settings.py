"""Every setting of the running program, typed, each with a sentence.

Comes in: nothing. Goes out: `Settings`, and where its state is kept. The command line fills it in; nothing reads the environment behind its back.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from weirkeeper.model.value import Value


def _said(sentence: str) -> msgspec.Meta:
    return msgspec.Meta(description=sentence)


class Settings(Value, frozen=True, kw_only=True):
    """What an installation decides. A test fails for a setting without a sentence."""

    controllers: Annotated[tuple[str, ...], _said("The controllers that read objects, by entry point.")] = (
        "ingress", "manifests",
    )  # fmt: skip
    providers: Annotated[tuple[str, ...], _said("The providers that program engines; the first is the default.")] = (
        "envoy",
    )
    state_directory: Annotated[str, _said("Where engines keep their files, with the read API's socket.")]
    addresses: Annotated[
        tuple[str, ...], _said("Addresses that listeners bind where no class says so; empty: all.")
    ] = ()
    http_port: Annotated[int, _said("Port for HTTP where no class says so.")] = 80
    https_port: Annotated[int, _said("Port for HTTPS where no class says so.")] = 443
    loopback_endpoints: Annotated[bool, _said("Whether endpoints may be on this machine's loopback.")] = False
    concurrency: Annotated[int | None, _said("Workers of a local engine; nothing: one for each core.")] = None
    drain_seconds: Annotated[float, _said("How long removed backends stay for requests that run.")] = 5.0
    engine_options: Annotated[dict[str, str], _said("Options that only the provider's engine understands.")] = {}
    log_format: Annotated[Literal["text", "json"], _said("How log lines are written.")] = "text"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _said("The least that is logged.")] = "info"


def state_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the states of all folders are kept (XDG base directories)."""
    home = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME", "/tmp")) / ".local" / "state")  # noqa: S108
    return Path(home) / "weirkeeper"


def state_directory(source: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """The state directory of a folder of manifests: the same for every way to write its path, so the next run finds the engine of the last."""
    return state_home(environment) / hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:16]


def read_socket(state: Path) -> Path:
    """The Unix socket of the read API. A path too long for a socket gets a short one beside the runtime files."""
    path = state / "read.sock"
    if len(os.fsencode(path)) < 100:
        return path
    short = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/weirkeeper-{os.getuid()}")  # noqa: S108 - made with mode 0700 and owner-checked
    return folder / f"weir-{short}.sock"
