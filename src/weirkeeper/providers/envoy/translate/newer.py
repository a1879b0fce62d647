"""Fields that Envoy 1.40 has and the published Python messages have not yet: they are written by their numbers, from Envoy's own descriptors.

A message keeps fields that it does not know, and writes them out again in the same order.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from envoy.config.core.v3 import address_pb2
from envoy.config.route.v3 import route_components_pb2 as rc
from google.protobuf import struct_pb2

from weirkeeper.providers.envoy.translate.wire import nested, varint

REMOTE_ADDRESS_MATCH = 13
MATCH_VALUE, MATCH_KEY, MATCH_ADDRESSES = 1, 2, 4
RANGES, INVERTED = 1, 2
REALM = 2
PATH_OVERRIDE = 10
FILTER_CONTEXT, SHARED_MACHINE = 6, 9


def address_outside(key: str, value: str, ranges: Sequence[address_pb2.CidrRange]) -> Any:
    """An action of a rate limit (``RemoteAddressMatch``): an entry for clients outside these ranges; for the others the limit does not hold."""
    listed = b"".join(nested(RANGES, one.SerializeToString(deterministic=True)) for one in ranges)
    outside = listed + varint(INVERTED << 3) + varint(1)
    body = nested(MATCH_VALUE, value.encode()) + nested(MATCH_KEY, key.encode()) + nested(MATCH_ADDRESSES, outside)
    return rc.RateLimit.Action.FromString(nested(REMOTE_ADDRESS_MATCH, body))


def realm_of(made: Any, realm: str) -> None:
    """Puts the realm into the settings of basic auth for one route (``BasicAuthPerRoute.realm``)."""
    made.MergeFromString(nested(REALM, realm.encode()))


def asked_path(made: Any, path: str) -> None:
    """Sets the path that a service is asked for, whatever the request's own (``HttpService.path_override``)."""
    made.MergeFromString(nested(PATH_OVERRIDE, path.encode()))


def share_machine(made: Any, name: str, code: str) -> None:
    """Lets all Lua filters with this code run in one machine for each worker (``Lua.shared_vm_id``), which else costs 0.1 MB for each of them."""
    machine = f"{name}/{hashlib.sha256(code.encode()).hexdigest()[:16]}"
    made.MergeFromString(nested(SHARED_MACHINE, machine.encode()))


def script_values(made: Any, values: dict[str, str]) -> None:
    """Gives typed values to a Lua filter that has no route (``Lua.filter_context``)."""
    context = struct_pb2.Struct()
    context.update(values)
    made.MergeFromString(nested(FILTER_CONTEXT, context.SerializeToString(deterministic=True)))
