"""Engine items as people read them: YAML in a fixed order, secrets as digests."""

import hashlib
import importlib
from collections.abc import Mapping
from typing import Any

import yaml
from google.protobuf import descriptor_pool, json_format, message_factory

from weirkeeper.providers.base import EngineItem, ItemKey
from weirkeeper.providers.envoy import names

MESSAGES = {
    names.LISTENER: "envoy.config.listener.v3.listener_pb2",
    names.SCOPE: "envoy.config.route.v3.scoped_route_pb2",
    names.ROUTES: "envoy.config.route.v3.route_pb2",
    names.CLUSTER: "envoy.config.cluster.v3.cluster_pb2",
    names.ENDPOINTS: "envoy.config.endpoint.v3.endpoint_pb2",
    names.SECRET: "envoy.extensions.transport_sockets.tls.v3.secret_pb2",
    names.EXTENSION: "envoy.config.core.v3.extension_pb2",
}
HIDDEN = {"private_key", "users"}
"""Fields whose content is replaced by a digest."""
WIRE_ONLY = (
    "envoy.extensions.transport_sockets.tls.cert_selectors",
    "envoy.extensions.transport_sockets.tls.cert_mappers",
)
"""Packages that the compiled messages lack: their bytes are shown."""


def printed(items: Mapping[ItemKey, EngineItem]) -> str:
    """All items as one YAML document."""
    rows = [
        {
            "load_balancer": key.load_balancer,
            "type": key.kind,
            "name": key.name,
            "resource": resource(key.kind, item.whole),
        }
        for key, item in sorted(items.items())
    ]
    text: str = yaml.safe_dump(rows, sort_keys=True, width=120, default_flow_style=False)
    return text


def resource(kind: str, body: bytes) -> Any:
    """The resource as plain values, without secrets."""
    if kind == names.SERVER_NAME:
        return {"secret": body.decode()}
    message = getattr(importlib.import_module(MESSAGES[kind]), kind.rsplit(".", 1)[1]).FromString(body)
    return _plain(message)


def _plain(message: Any) -> Any:
    """Like protobuf's own JSON, but an ``Any`` of unknown type is shown as bytes instead of failing."""
    if message.DESCRIPTOR.full_name == "google.protobuf.Any":
        return _any(message)
    if message.DESCRIPTOR.full_name.startswith("google.protobuf."):
        return json_format.MessageToDict(message, preserving_proto_field_name=True)
    return {field.name: _field(field, value) for field, value in message.ListFields()}


def _any(message: Any) -> Any:
    name = message.type_url.rsplit("/", 1)[1]
    if name.startswith(WIRE_ONLY):
        return {"@type": message.type_url, "bytes": message.value.hex()}
    inner = _known(name)()
    inner.ParseFromString(message.value)
    content = _plain(inner)
    return {"@type": message.type_url, **(content if isinstance(content, dict) else {"value": content})}


def _known(name: str) -> Any:
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))


def _field(field: Any, value: Any) -> Any:
    if field.name in HIDDEN:
        return _digest(value)
    if field.message_type and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {str(key): _scalar(inner, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_scalar(field, one) for one in value]
    return _scalar(field, value)


def _scalar(field: Any, value: Any) -> Any:
    if field.message_type:
        return _plain(value)
    if field.enum_type:
        found = field.enum_type.values_by_number.get(value)
        return found.name if found else value
    return value.hex() if isinstance(value, bytes) else value


def _digest(value: Any) -> dict[str, str]:
    text = value.inline_string.encode() or value.inline_bytes
    return {"inline_string": f"<redacted {hashlib.sha256(text).hexdigest()[:16]}>"}
