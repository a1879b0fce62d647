"""Names of files beside the configuration of HAProxy, from its folder. Constants, and one for each port."""

from weirkeeper.providers.haproxy.translate.items import Port

CONFIGURATION, SOCKET, METRICS = "haproxy.cfg", "haproxy.sock", "metrics.sock"
ROUTES, SHARES, USERS, STREAMS, POOL = "routes.map", "shares.map", "users.map", "streams.map", "pool.map"


def list_file(port: Port) -> str:
    """Where the list of certificates of a port lies."""
    return f"port-{port.port}.list"


def names_file(port: Port) -> str:
    """Where the route groups of a port's TLS policies lie."""
    return f"port-{port.port}.map"
