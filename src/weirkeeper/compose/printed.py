"""Neutral values as people read them: YAML, inner collections on one line, defaults left out, secrets as digests.

Comes in: a value of the model. Goes out: text. It is for eyes and for golden cases; nothing reads it back.
"""

from typing import Any

import msgspec
import yaml

from weirkeeper.model.secret import hide

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def printed(value: object) -> str:
    """The value as one YAML document."""
    plain = msgspec.to_builtins(value, enc_hook=hide, str_keys=True)
    text: str = yaml.dump(
        plain, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=140, allow_unicode=True
    )
    return text
