"""Request bodies: read whole before the backend sees them, and refused with 413 over a size."""

from typing import Any

from envoy.extensions.filters.http.buffer.v3 import buffer_pb2

from weirkeeper.providers.envoy.translate.values import number, packed

WITHOUT_LIMIT = 1 << 26
"""What is buffered at most where only buffering is wished: 64 MiB."""
LARGEST = (1 << 32) - 1


def buffer_config(limit: int | None) -> Any:
    """The filter's configuration for one route."""
    most = WITHOUT_LIMIT if limit is None else max(1, min(limit, LARGEST))
    return packed(buffer_pb2.BufferPerRoute(buffer=buffer_pb2.Buffer(max_request_bytes=number(most))))
