"""The peer of HAProxy's benchmarks: a hand-written HAProxy with the same hosts.

Comes in: hosts and a backend's port. Goes out: a running HAProxy. Its file is what one would write for many hosts: one frontend, a map from host to backend, asked once for each of two paths, a backend a host
with its edit of the request and of the answer, forwarded headers, the same access log. `guards` are more lines of the frontend.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bench.stand import WORKERS, child, wait_open
from weirkeeper.providers.haproxy.binary import haproxy_binary
from weirkeeper.testing.ports import free_port

FORWARDED = """  http-request del-header x-forwarded-for
  http-request set-header x-forwarded-host %[req.hdr(host)]
  option forwardfor
  http-request set-header x-forwarded-proto http
  http-request set-header x-forwarded-port %[dst_port]
"""


def written(place: Path, port: int, hosts: dict[str, tuple[str, str]], backend: int, guards: str = "") -> str:
    """The whole file: for each host what its answers say in `x-rev` and which host a backend is asked for."""
    (place / "hosts.map").write_text("".join(f"{host} to-{host}\n" for host in hosts))
    head = (
        f"global\n  nbthread {WORKERS}\n  maxconn 9900\n  expose-experimental-directives\n"
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  timeout http-keep-alive 1h\n  retries 2\n  option redispatch 1\n"
        f"frontend main\n  bind 127.0.0.1:{port}\n  log stdout format raw local0 info\n  option httplog\n{guards}{FORWARDED}"
        f"  use_backend %[req.hdr(host),host_only,lower,map_str({place}/hosts.map)] if {{ path_beg /api/ }} || {{ path /api }}\n"
        f"  use_backend %[req.hdr(host),host_only,lower,map_str({place}/hosts.map)]\n"
        "  default_backend none\nbackend none\n  http-request return status 404\n"
    )
    return head + "".join(
        f"backend to-{host}\n  http-request set-header host {asked}\n  http-response set-header x-rev {said}\n  server one 127.0.0.1:{backend}\n" for host, (said, asked) in hosts.items()
    )


def guards_of(cfg: str) -> str:
    """The lines by which the program defends a frontend (odd requests, the spelling of paths), out of its own file: what they cost is told apart from what routing costs."""
    lines = cfg.partition("\nfrontend port-")[2].splitlines()
    first, last = (next(n for n, line in enumerate(lines) if line.strip().startswith(text)) for text in ("option http-restrict-req-hdr-names", "http-request del-header x-forwarded-for"))
    return "".join(f"{line}\n" for line in lines[first:last])


@contextlib.contextmanager
def running(place: Path, hosts: dict[str, tuple[str, str]], backend: int, guards: str = "") -> Iterator[tuple[int, int]]:
    """Its process and its port, until the block ends; in a session of its own, as ours does."""
    place.mkdir(parents=True)
    port = free_port()
    (place / "haproxy.cfg").write_text(written(place, port, hosts, backend, guards))
    with (
        (place / "haproxy.log").open("ab") as out,
        child([str(haproxy_binary()), "-db", "-f", str(place / "haproxy.cfg")], place / "complaints.log", stdout=out, start_new_session=True) as process,
    ):
        wait_open(port, 60.0)
        yield process.pid, port
