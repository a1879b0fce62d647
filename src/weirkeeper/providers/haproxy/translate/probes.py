"""How endpoints are probed: by HTTP, by gRPC's health protocol, or by whether they take a connection. In: the wish of a backend. Out: lines of its section.

HAProxy has no gRPC check: it sends the bytes of one, and compares what comes back.
"""

from collections.abc import Iterator

from weirkeeper.model.backend import Backend
from weirkeeper.providers.grpc_health import SERVING, question
from weirkeeper.providers.haproxy.translate.quoting import literal, word


def probe(backend: Backend) -> Iterator[str]:
    """The lines for a backend's probe."""
    wished = backend.health
    if wished is None:
        return
    yield f"timeout check {max(wished.timeout, 1)}ms"
    if wished.kind == "http":
        host = f" hdr host {literal(wished.host)}" if wished.host else " hdr host localhost"
        yield "option httpchk"
        yield f"http-check send meth GET uri {word(wished.path)} ver HTTP/1.1{host}"
    elif wished.kind == "grpc":
        yield "option tcp-check"
        asked = question(wished.host or "localhost", tls=backend.tls is not None)
        yield f"tcp-check send-binary {asked.hex()}"
        yield f"tcp-check expect binary {SERVING.hex()}"
