"""Manifests of this repository, put into a test's namespace."""

import yaml


def documents(text: str) -> list[dict]:
    """The objects of a file."""
    return [one for one in yaml.safe_load_all(text) if one]


def placed(one: dict, namespace: str) -> dict:
    """The object in another namespace; nothing else about it changes."""
    return {**one, "metadata": {**one["metadata"], "namespace": namespace}}


def text(objects: list[dict]) -> str:
    """The objects as one file."""
    return yaml.safe_dump_all(objects, sort_keys=False)
