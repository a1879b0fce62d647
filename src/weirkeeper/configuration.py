"""Settings of `weir run` from four places: a flag beats a variable of the environment, which beats the configuration file, which beats the default.

Comes in: flags as typed, the environment, a file. Goes out: `RunSettings`, or `StartRefused` with the place, the name and the remedy. One struct names
every setting: the flag `--log-level` is `WEIR_LOG_LEVEL` is `logLevel` in the file. Lists are separated by commas.
"""

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import yaml

from weirkeeper.errors import StartRefused
from weirkeeper.kube.lease import LONGEST as LONGEST_LEASE
from weirkeeper.settings import RunSettings

PREFIX = "WEIR_"
ANNOTATION = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
"""A qualified name with its prefix (Kubernetes, IsQualifiedName)."""
LAST_PORT = 65535
LEAST_CERTIFICATE = 10
MAY_BE_NOTHING = ("grace_seconds", "drain_seconds", "snapshot_seconds", "snapshot_after_seconds")
"""Times that may be 0: not to wait."""


def kinds() -> Mapping[str, Any]:
    """The settings by name, with their types."""
    return get_type_hints(RunSettings)


def key(name: str) -> str:
    """The setting's key in the configuration file."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def described() -> Mapping[str, tuple[str, str]]:
    """The sentence and the default of each setting, as text."""
    told = {}
    for name, kind in get_type_hints(RunSettings, include_extras=True).items():
        sentence = next(one.description for one in get_args(kind) if hasattr(one, "description"))
        default = RunSettings.__struct_defaults__[RunSettings.__struct_fields__.index(name)]
        told[name] = (
            sentence,
            ",".join(default)
            if isinstance(default, tuple)
            else str(default).lower()
            if default in {True, False}
            else str(default),
        )
    return told


def run_settings(flags: Mapping[str, str], environment: Mapping[str, str], file: Path | None) -> RunSettings:
    """The settings of a start. Flags and variables are text; what is empty or absent falls through to the next place."""
    found: dict[str, Any] = {} if file is None else _of_file(file)
    for name in kinds():
        variable = PREFIX + name.upper()
        if environment.get(variable, "") != "":
            found[name] = _typed(name, environment[variable], variable)
        if flags.get(name, "") != "":
            found[name] = _typed(name, flags[name], f"--{name.replace('_', '-')}")
    return msgspec.convert(found, RunSettings)


def checked(settings: RunSettings) -> RunSettings:
    """The same settings; `StartRefused` where they cannot work together, or one cannot work at all."""
    wrong = (
        *_numbers_wrong(settings),
        *_addresses_wrong(settings),
        *_times_wrong(settings),
        *_annotation_wrong(settings),
    )
    if wrong:
        raise StartRefused(wrong[0])
    if not settings.class_controllers:
        raise StartRefused("classControllers is an empty list; name at least one, or leave it out")
    return settings


def _numbers_wrong(settings: RunSettings) -> Iterator[str]:
    for name in ("http_port", "https_port"):
        if not 0 <= getattr(settings, name) <= LAST_PORT:
            yield f"{key(name)} is {getattr(settings, name)}, which is no port; ports are 1 to {LAST_PORT}, and 0 is none"
    for name in kinds():
        seconds = getattr(settings, name) if name.endswith("_seconds") else 1.0
        if not math.isfinite(seconds) or seconds < 0 or (seconds == 0 and name not in MAY_BE_NOTHING):
            yield f"{key(name)} is {seconds:g}, which is no time; it takes seconds above 0"


def _addresses_wrong(settings: RunSettings) -> Iterator[str]:
    for name in ("ads_address", "exchange_address", "health_address"):
        address = getattr(settings, name)
        _, colon, port = address.rpartition(":")
        if not colon or not (port.isascii() and port.isdigit()) or int(port[:6]) > LAST_PORT:
            yield f"{key(name)} is {address!r}; write HOST:PORT, [IPV6]:PORT or :PORT"
    for name in settings.server_names:
        if not name.isascii() or not name.strip():
            yield f"serverNames has {name!r}; write names beyond ASCII as IDNA has them (xn--...)"


def _annotation_wrong(settings: RunSettings) -> Iterator[str]:
    key = settings.public_endpoints
    if key and not re.fullmatch(ANNOTATION, key, re.ASCII):
        yield f"publicEndpoints is {key!r}, which is no name of an annotation; write one such as weirkeeper.io/public-endpoints"


def _times_wrong(settings: RunSettings) -> Iterator[str]:
    if not settings.retry_seconds < settings.renew_seconds < settings.lease_seconds:
        yield (
            f"the lease's times do not fit: retrySeconds {settings.retry_seconds:g} must be less than renewSeconds "
            f"{settings.renew_seconds:g}, and that less than leaseSeconds {settings.lease_seconds:g}"
        )
    if settings.lease_seconds > LONGEST_LEASE:
        yield f"leaseSeconds is {settings.lease_seconds:g}; other replicas believe in a lease for {LONGEST_LEASE:g} s at most"
    if settings.certificate_seconds < LEAST_CERTIFICATE:
        yield f"certificateSeconds is {settings.certificate_seconds}; certificates live at least {LEAST_CERTIFICATE} s"


def _of_file(file: Path) -> dict[str, Any]:
    try:
        said = yaml.load(file.read_text(), Loader=yaml.BaseLoader)  # noqa: S506 - the loader that makes text of everything
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StartRefused(f"the configuration file {file} cannot be read: {error}") from None
    if said is None or said == "":
        return {}
    if not isinstance(said, dict):
        raise StartRefused(f"the configuration file {file} is no mapping of settings to values")
    names = {key(name): name for name in kinds()}
    return {
        _known(word, names, file): _of_yaml(names[word], value, file)
        for word, value in said.items()
        if _known(word, names, file)
    }


def _known(word: object, names: Mapping[str, str], file: Path) -> str:
    if isinstance(word, str) and word in names:
        return names[word]
    near = difflib.get_close_matches(str(word), names, 1)
    remedy = f"did you mean {near[0]}?" if near else f"known are: {', '.join(names)}"
    raise StartRefused(f"{file}: there is no setting {word}; {remedy}")


def _of_yaml(name: str, value: object, file: Path) -> object:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        if not _is_list(kinds()[name]):
            raise StartRefused(f"{file}: {key(name)} is one value, not a list")
        return tuple(value)
    if isinstance(value, str):
        return _typed(name, value, f"{file}: {key(name)}")
    raise StartRefused(
        f"{file}: {key(name)} is a mapping; it takes a value{' or a list' if _is_list(kinds()[name]) else ''}"
    )


def _typed(name: str, text: str, place: str) -> object:
    kind = kinds()[name]
    if _is_list(kind):
        return split((text,))
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise StartRefused(f"{place} says {text!r}: {error}") from None


def _is_list(kind: object) -> bool:
    return get_origin(kind) is tuple


def split(texts: Iterable[str]) -> tuple[str, ...]:
    """The single values of a list that is written with commas."""
    return tuple(word for text in texts for part in text.split(",") if (word := part.strip()))


def choices(kind: object) -> str:
    """What a setting takes, for its help."""
    if _is_list(kind):
        return "A,B"
    options = [str(one) for one in get_args(kind)]
    return "|".join(options) if options else getattr(kind, "__name__", "text").upper()
