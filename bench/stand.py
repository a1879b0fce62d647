"""What a benchmark stands on: the program with its Envoy, Traefik, a static backend, each running while a block runs.

Comes in: folders and ports. Goes out: running processes, where they listen, their CPU and memory. Everything is on 127.0.0.1.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bench.objects import Folder
from weirkeeper.testing.engines import Admin, traefik_binary, usage_of
from weirkeeper.testing.ports import free_port

WORKERS = 2
STARTING = 120.0


def nginx_binary() -> str:
    """The static backend's binary; says what to install where it is not there."""
    found = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else "")
    if not found:
        raise SystemExit("bench: nginx is missing: it is the backend of all measurements. Install it: apt-get install nginx-light")
    return found


def wrk_binary() -> str:
    """The load generator of B7."""
    found = shutil.which("wrk")
    if not found:
        raise SystemExit("bench: wrk is missing: B7 and B6 need it. Install it: apt-get install wrk (B1, B3, B8 and settle run without it)")
    return found


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def child(command: list[str], log: Path, **more) -> Iterator[subprocess.Popen]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=more.pop("stdout", out), stderr=out, **more)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def backends(folder: Path, names: str = "a", addresses: tuple[str, ...] = ("127.0.0.1",), port: int = 0) -> Iterator[dict[str, int]]:
    """An nginx with a port for each letter, which answers 200 and its letter in `x-answer`; the first letter's may be given. `BENCH_BACKEND=python` is for tries without nginx."""
    ports = {name: port if port and name == names[0] else free_port() for name in names}
    if os.environ.get("BENCH_BACKEND") == "python":
        command = [sys.executable, "-m", "bench.answering", addresses[0], *(f"{name}={one}" for name, one in ports.items())]
        with child(command, folder / "backends.log", cwd=Path(__file__).parent.parent):
            for one in ports.values():
                wait_open(one)
            yield ports
        return
    servers = "".join(
        "server { " + "".join(f"listen {address}:{port} backlog=4096; " for address in addresses)
        + f'access_log off; add_header x-answer {name} always; location / {{ return 200 "{name}\\n"; }} }}\n'
        for name, port in ports.items()
    )
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.err crit;\n"
        "events { worker_connections 16384; }\n"
        f"http {{ access_log off; server_names_hash_max_size 1024; keepalive_requests 100000000; keepalive_timeout 600s;\n{servers} }}\n"
    )
    with child([nginx_binary(), "-c", str(folder / "nginx.conf"), "-p", str(folder)], folder / "nginx.log"):
        for port in ports.values():
            wait_open(port)
        yield ports


def wait_open(port: int, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        time.sleep(0.01)
    raise TimeoutError(f"nothing listens on {port}")


class Plane:
    """The program over a folder, with its Envoy."""

    def __init__(self, name: str, folder: Folder, state: Path, process: subprocess.Popen, http: int, https: int) -> None:
        self.name, self.folder, self.state, self.process, self.http, self.https = name, folder, state, process, http, https
        self._news = threading.Condition()
        self._seen: dict[str, int] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.process.stdout:
            said = json.loads(line)
            with self._news:
                self._seen |= dict.fromkeys(said["names"], said["at"])
                self._news.notify_all()

    def seen(self, name: str, after: int, seconds: float = 10.0) -> int:
        """When the intake was handed the object ("Ingress/i5"), for the last time after that moment."""
        with self._news:
            if not self._news.wait_for(lambda: self._seen.get(name, 0) > after, seconds):
                raise TimeoutError(f"{self.name}: the intake was never handed {name}")
            return self._seen[name]

    def envoy(self) -> int:
        """The engine's process, or its master's; of HAProxy the youngest."""
        record = json.loads(next(self.state.rglob("process.json")).read_text())
        return (record[-1] if isinstance(record, list) else record)["pid"]

    def envoy_log(self) -> Path:
        return next(self.state.rglob("envoy.log"))

    def admin(self, path: str) -> str:
        return asyncio.run(Admin(socket=next(self.state.rglob("admin.sock")), limit=60.0).ask(path))

    def usage(self):
        return usage_of(self.process.pid), usage_of(self.envoy())


@contextlib.contextmanager
def plane(place: Path, folder: Folder, *, name: str = "weir", layout: str = "scoped", access_log: bool = True, provider: str = "envoy") -> Iterator[Plane]:
    state = place / f"s-{name}"
    http, https = free_port(), free_port()
    command = [sys.executable, "-m", "bench.plane", "--folder", str(folder.path), "--state", str(state), "--layout", layout]
    command += ["--provider", provider, "--http", str(http), "--https", str(https), "--workers", str(WORKERS)] + ([] if access_log else ["--no-log"])
    root = str(Path(__file__).parent.parent)
    with child(command, place / f"{name}.log", stdout=subprocess.PIPE, cwd=root) as process:
        made = Plane(name, folder, state, process, http, https)
        try:
            yield made
        finally:
            with contextlib.suppress(StopIteration, OSError, ProcessLookupError):
                pid = made.envoy()
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    os.kill(pid, signal.SIGKILL)  # ours: it stands in the state folder that we made


class Traefik:
    """Traefik with one file of routers, rewritten whole for each change: its file provider knows no smaller step."""

    def __init__(self, place: Path, port: int, process: subprocess.Popen, folder: Path) -> None:
        self.place, self.http, self.process, self._folder = place, port, process, folder

    def put(self, text: str) -> int:
        """Replace the file; when the rename returned."""
        beside = self.place / "traefik.tmp"
        beside.write_text(text)
        beside.rename(self._folder / "routes.yml")
        return time.monotonic_ns()


@contextlib.contextmanager
def traefik(place: Path, name: str, throttle: str, text: str) -> Iterator[Traefik]:
    folder, port = place / f"{name}-routes", free_port()
    folder.mkdir()
    (folder / "routes.yml").write_text(text)
    (place / f"{name}.yml").write_text(
        "global: {checkNewVersion: false, sendAnonymousUsage: false}\n"
        f'entryPoints: {{web: {{address: "127.0.0.1:{port}", transport: {{keepAliveMaxRequests: 0}}}}}}\n'
        f"providers: {{{f'providersThrottleDuration: {throttle}, ' if throttle else ''}file: {{directory: {folder}, watch: true}}}}\nlog: {{level: ERROR}}\n"
    )
    command = [str(traefik_binary()), f"--configfile={place / name}.yml"]
    with child(command, place / f"{name}.log", env={**os.environ, "HOME": str(place)}) as process:
        wait_open(port)
        yield Traefik(place, port, process, folder)
