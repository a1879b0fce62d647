"""Small values as Envoy takes them: durations, address ranges, wrapped messages, and texts that Envoy would otherwise interpret.

Every text of a tenant that goes into a field which Envoy formats passes ``literal``; every text that goes into a regular
expression passes ``quoted``.
"""

import ipaddress
from typing import Any

from envoy.config.core.v3 import address_pb2, config_source_pb2
from google.protobuf import any_pb2, duration_pb2, wrappers_pb2


def literal(text: str) -> str:
    """The text as a format string that means just this text."""
    return text.replace("%", "%%")


def quoted(text: str) -> str:
    """An RE2 expression for just this text (ASCII)."""
    return "".join(c if c.isalnum() or c == "_" else "\\" + c for c in text)


def duration(milliseconds: int) -> Any:
    """A protobuf duration."""
    seconds, rest = divmod(milliseconds, 1000)
    return duration_pb2.Duration(seconds=seconds, nanos=rest * 1_000_000)


def packed(message: Any) -> Any:
    """The message in an ``Any`` with deterministic bytes."""
    return any_pb2.Any(
        type_url="type.googleapis.com/" + message.DESCRIPTOR.full_name,
        value=message.SerializeToString(deterministic=True),
    )


def number(value: int) -> Any:
    """A wrapped unsigned number."""
    return wrappers_pb2.UInt32Value(value=value)


def cidr(text: str) -> Any | None:
    """An address range, or ``None`` when the text is none: callers must fail closed then."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return address_pb2.CidrRange(address_prefix=str(network.network_address), prefix_len=number(network.prefixlen))


def from_ads() -> Any:
    """The source of resources that come on the aggregated stream."""
    return config_source_pb2.ConfigSource(ads=config_source_pb2.AggregatedConfigSource(), resource_api_version="V3")
