"""One JSON line for each request, or for each connection that is led on as it is, in fields of fixed names. Formats are constants."""

from collections.abc import Iterable
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import substitution_format_string_pb2 as formats
from envoy.extensions.access_loggers.file.v3 import file_pb2
from google.protobuf import struct_pb2

from weirkeeper.providers.envoy.translate.values import packed

FIELDS = {
    "time": "%START_TIME%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "method": "%REQ(:METHOD)%",
    "scheme": "%REQ(X-FORWARDED-PROTO)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "route": "%ROUTE_NAME%",
    "backend": "%UPSTREAM_CLUSTER_RAW%",
    "endpoint": "%UPSTREAM_HOST%",
    "tries": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "milliseconds": "%DURATION%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "referer": "%REQ(REFERER)%",
    "tls": "%DOWNSTREAM_TLS_VERSION%",
    "sni": "%REQUESTED_SERVER_NAME%",
}


OF_BYTES = ("time", "client", "flags", "backend", "endpoint", "milliseconds", "bytes_in", "bytes_out", "tls", "sni")
"""What there is to say of a connection that nobody looks into."""


def access_log(path: str, names: Iterable[str] = FIELDS) -> Any:
    """The log to a file, ``/dev/stdout`` among them, with the fields of these names."""
    fields = struct_pb2.Struct(fields={key: struct_pb2.Value(string_value=FIELDS[key]) for key in names})
    line = formats.SubstitutionFormatString(json_format=fields, omit_empty_values=True)
    return accesslog_pb2.AccessLog(name="file", typed_config=packed(file_pb2.FileAccessLog(path=path, log_format=line)))
