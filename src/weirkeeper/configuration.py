"""Settings of `weir run` from four places: a flag beats a variable of the environment, which beats the configuration file, which beats the default.

Comes in: flags as typed, the environment, a file. Goes out: `RunSettings`, or `StartRefused` with the place, the name and the remedy. One struct names
every setting: the flag `--log-level` is `WEIR_LOG_LEVEL` is `logLevel` in the file. Lists are separated by commas.
"""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import yaml

from weirkeeper.errors import StartRefused
from weirkeeper.settings import RunSettings

PREFIX = "WEIR_"


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
