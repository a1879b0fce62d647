"""Neutral values as people read them: YAML, inner collections on one line, defaults left out, secrets as digests.

Comes in: a value of the model. Goes out: text. It is for eyes and for golden cases; nothing reads it back.
"""

from typing import Any

import msgspec
import yaml

from weirkeeper.model.secret import hide

LONG = 60
"""A mapping with a text longer than this, or of several lines, is written one entry a line."""


class _Dumper(yaml.SafeDumper):
    """Small mappings on one line, texts of several lines as blocks."""


def _mapping(dumper: _Dumper, value: dict[str, Any]) -> yaml.MappingNode:
    node = dumper.represent_mapping("tag:yaml.org,2002:map", value.items())
    if any(isinstance(one, str) and (len(one) > LONG or "\n" in one) for one in value.values()):
        node.flow_style = False
    return node


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(dict, _mapping)
_Dumper.add_representer(str, _text)


def printed(value: object) -> str:
    """The value as one YAML document."""
    plain = msgspec.to_builtins(value, enc_hook=hide, str_keys=True)
    text: str = yaml.dump(
        plain, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=140, allow_unicode=True
    )
    return text
