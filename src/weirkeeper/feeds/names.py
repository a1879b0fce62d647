"""Which files of a folder are manifests, by name and place alone.

Comes in: a path relative to the root. Goes out: whether its content counts. Editors leave swap files, backups and half-written copies beside what they
save; kustomizations and charts are input for other tools, whose output can be piped in. No file is opened here.
"""

from collections.abc import Iterator
from os import DirEntry, scandir
from pathlib import Path, PurePosixPath

SUFFIXES = (".yaml", ".yml", ".json")
TOOL_FILES = frozenset({"kustomization.yaml", "kustomization.yml", "Chart.yaml", "Chart.yml", "skaffold.yaml"})
CHART = "Chart.yaml"
MOUNT_SWITCH = "..data"
"""The link that Kubernetes switches when a mounted ConfigMap changes: the files beside it are links through it."""


def is_manifest_name(name: str) -> bool:
    """Whether a file of this name is read."""
    return name.endswith(SUFFIXES) and not is_hidden(name) and name not in TOOL_FILES


def is_hidden(name: str) -> bool:
    """Whether the name is one that editors and tools use for what is not there yet, or not any more."""
    return name.startswith((".", "#", "~")) or name.endswith(("~", "#"))


def counts(relative: str) -> bool:
    """Whether a path below the root leads to a manifest: no part of it is hidden."""
    path = PurePosixPath(relative)
    return is_manifest_name(path.name) and not any(is_hidden(part) for part in path.parts[:-1])


def manifests(root: str) -> Iterator[str]:
    """The paths of all manifest files below the root, each folder's in order of name; links are followed once. A chart's own folder is left out."""
    status = Path(root).stat()
    yield from _below(root, {(status.st_dev, status.st_ino)})


def _below(folder: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    with scandir(folder) as listing:
        entries = sorted(listing, key=lambda e: e.name)
    if any(entry.name == CHART for entry in entries):
        return
    for entry in entries:
        if is_hidden(entry.name):
            continue
        if _is_folder(entry):
            status = entry.stat()
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                yield from _guarded(entry.path, seen)
        elif is_manifest_name(entry.name):
            yield entry.path


def _guarded(folder: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    try:
        yield from _below(folder, seen)
    except OSError:
        return  # gone, or closed to us, between the listing and the look


def _is_folder(entry: DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
