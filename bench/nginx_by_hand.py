"""The peer of NGINX's benchmarks: a hand-written NGINX, which reads its file again for every change, as its users have done it.

Comes in: what each host is. Goes out: a running NGINX. Its file is what one would write for this: a server block and an upstream a host, two locations, an edit of the request and one of the
answer, connections to backends that are kept, the same fields in the access log. Nothing of ours runs in it.
"""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.stand import WORKERS, child, nginx_binary, wait_open
from weirkeeper.providers.local import name_of
from weirkeeper.testing.ports import free_port

LOG = (
    'log_format weir escape=json \'{"time":"$time_iso8601","client":"$remote_addr","method":"$request_method","host":"$host","uri":"$request_uri","status":$status,"bytes":$bytes_sent,'
    '"seconds":$request_time,"upstream":"$upstream_addr","upstream_status":"$upstream_status"}\';'
)
TOLD = "".join(
    f"proxy_set_header {name} {value}; "
    for name, value in {
        "Connection": "''", "X-Forwarded-For": "$remote_addr", "X-Forwarded-Proto": "$scheme", "X-Forwarded-Port": "$server_port", "X-Forwarded-Host": "$http_host",
    }.items()
)  # fmt: skip


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A host: where its requests go (address and share in hundredths), what an answer gets, what a backend is asked for; its certificate's file, where it has one."""

    to: tuple[tuple[str, int], ...]
    answer: tuple[tuple[str, str], ...] = ()
    asked: str = "$http_host"
    secured: str = ""


class ByHand:
    """One NGINX."""

    def __init__(self, place: Path, *, log: bool = True) -> None:
        self.place, self.http, self.https, self.sites, self.log = place, free_port(), free_port(), dict[str, Site](), log
        self.process: subprocess.Popen
        place.mkdir(parents=True, exist_ok=True)

    def _block(self, name: str, site: Site) -> str:
        here = name.replace(".", "_")
        upstreams = "".join(f"upstream {here}_{n} {{ server {to}; keepalive 32; keepalive_requests 1000000; }}\n" for n, (to, _) in enumerate(site.to))
        led = f"proxy_pass http://{here}_0;" if site.to else "return 503;"
        if len(site.to) > 1:
            upstreams += f"split_clients $request_id $to_{here} {{ {site.to[0][1]}% {here}_0; * {here}_1; }}\n"
            led = f"proxy_pass http://$to_{here};"
        edits = "".join(f"proxy_hide_header {key}; add_header {key} {value} always; " for key, value in site.answer)
        where = f"listen 127.0.0.1:{self.https} ssl; ssl_certificate {site.secured}; ssl_certificate_key {site.secured};" if site.secured else f"listen 127.0.0.1:{self.http};"
        locations = "".join(f"location {path} {{ {led} {TOLD}proxy_set_header Host {site.asked}; {edits}}} " for path in ("/", "/api"))
        return f"{upstreams}server {{ {where} server_name {name}; {locations}}}\n"

    def write(self) -> None:
        """The whole file."""
        log = f"{LOG} access_log {self.place}/access.log weir buffer=16k flush=1s;" if self.log else "access_log off;"
        general = (
            f"daemon off; worker_processes {WORKERS}; pid {self.place}/pid; error_log {self.place}/error.log crit; events {{ worker_connections 4096; }}\n"
            f"http {{ {log} server_names_hash_max_size 65536; server_names_hash_bucket_size 128; variables_hash_max_size 65536; keepalive_requests 1000000; proxy_http_version 1.1; proxy_buffering off;\n"
            f"server {{ listen 127.0.0.1:{self.http} default_server; return 404; }}\n"
        )
        (self.place / "new").write_text(general + "".join(self._block(name, site) for name, site in self.sites.items()) + "}\n")
        (self.place / "nginx.conf").write_bytes((self.place / "new").read_bytes())

    def reload(self) -> None:
        """Have it read its file again."""
        self.write()
        self.process.send_signal(signal.SIGHUP)

    def workers(self) -> list[int]:
        return workers_of(self.process.pid)


def workers_of(master: int) -> list[int]:
    """The workers of an NGINX."""
    return [int(one.name) for one in Path("/proc").glob("[0-9]*") if (said := name_of(int(one.name))) is not None and said[1] == master]


@contextlib.contextmanager
def running(made: ByHand) -> Iterator[ByHand]:
    """Runs until the block ends, in a session of its own, as ours does."""
    made.write()
    with child([nginx_binary(), "-c", str(made.place / "nginx.conf"), "-p", str(made.place)], made.place / "out", start_new_session=True) as made.process:
        wait_open(made.http)
        yield made

