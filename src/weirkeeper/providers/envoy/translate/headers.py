"""Header edits: values are literal texts, so what Envoy would format is escaped.

Envoy removes before it adds, which is our order. It refuses edits of ``Host``; that header is rewritten by ``rewrites``.
"""

from typing import Any

from envoy.config.core.v3 import base_pb2

from weirkeeper.model.filters import HeaderEdit
from weirkeeper.providers.envoy.translate.values import literal

SET = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
ADD = base_pb2.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD


def edit_request(made: Any, edit: HeaderEdit) -> None:
    """Puts an edit into the request fields of a route or of a weighted cluster."""
    made.request_headers_to_add.extend(_values(edit))
    made.request_headers_to_remove.extend(_removals(edit))


def edit_response(made: Any, edit: HeaderEdit) -> None:
    """Puts an edit into the response fields of a route or of a weighted cluster."""
    made.response_headers_to_add.extend(_values(edit))
    made.response_headers_to_remove.extend(_removals(edit))


def host_of(edit: HeaderEdit | None) -> str | None:
    """The value that an edit sets ``Host`` to."""
    return next((pair.value for pair in edit.set if pair.name.lower() == "host"), None) if edit else None


def header(name: str, value: str, action: Any = SET) -> Any:
    """One header with a literal value."""
    return formatted(name, literal(value), action)


def formatted(name: str, value: str, action: Any = SET) -> Any:
    """One header with a format string of our own; never a tenant's text."""
    return base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=name, value=value), append_action=action, keep_empty_value=True
    )


def _values(edit: HeaderEdit) -> list[Any]:
    wished = [(pair, SET) for pair in edit.set] + [(pair, ADD) for pair in edit.add]
    return [header(pair.name, pair.value, action) for pair, action in wished if pair.name.lower() != "host"]


def _removals(edit: HeaderEdit) -> list[str]:
    return [name for name in edit.remove if name.lower() != "host"]
