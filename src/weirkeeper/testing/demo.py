"""`python -m weirkeeper.testing.demo DIR`: `weir up DIR` with an echo backend behind every endpoint on loopback, so that an example answers at once.

Comes in: a folder of manifests, and options that go on to `weir up`. Goes out: its exit code. What a user edits stays in the folder; only what cannot be
committed is made here: backends for the EndpointSlices on loopback, and certificates for the TLS Secrets that Ingresses name and that are not there
(`tls.yaml`, with its authority in `ca.crt`, kept for the next time). No decision about load balancing may live here: `weir up` is the product as it is.
"""

import argparse
import asyncio
import base64
import contextlib
import ipaddress
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import yaml

from weirkeeper.feeds.names import manifests
from weirkeeper.kube.types import EndpointSlice, Ingress, KubeObject, Secret
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.echo import EchoServer

SERVICE = "kubernetes.io/service-name"
TOUR = "tour.sh"
WRITTEN_FOR = (("examples/shop", "folder"), (":8080", "http"), (":8443", "https"))
T = TypeVar("T", bound=KubeObject)


class Pod(NamedTuple):
    """A backend to start."""

    name: str
    host: str
    port: int


def read_objects(folder: Path, kind: type[T]) -> Iterator[T]:
    """The objects of a kind in a folder; what cannot be read is `weir up`'s to complain about."""
    for path in manifests(str(folder)):
        with contextlib.suppress(yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError):
            for document in yaml.safe_load_all(Path(path).read_text("utf-8")):
                if isinstance(document, dict) and document.get("kind") == kind.__name__:
                    yield msgspec.convert(document, kind, strict=False)


def pods(slices: Iterable[EndpointSlice]) -> list[Pod]:
    """A backend for each loopback address and port, ready or not: `web`, and `web-2` where a Service has another."""
    found: list[Pod] = []
    count: dict[str, int] = {}
    for one in slices:
        service = (one.metadata.labels or {}).get(SERVICE, one.metadata.name)
        for address in (a for endpoint in one.endpoints or () for a in endpoint.addresses if _is_loopback(a)):
            for port in (p.port for p in one.ports or () if p.port):
                count[service] = count.get(service, 0) + 1
                name = service if count[service] == 1 else f"{service}-{count[service]}"
                found.append(Pod(name, address, port))
    return found


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def absent_secrets(ingresses: Iterable[Ingress], secrets: Iterable[Secret]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The TLS Secrets (namespace, name) that Ingresses name and nobody wrote, with their hosts."""
    there = {(one.metadata.namespace, one.metadata.name) for one in secrets}
    return {
        (one.metadata.namespace, tls.secret_name): tls.hosts
        for one in ingresses
        for tls in one.spec.tls or ()
        if tls.hosts and tls.secret_name and (one.metadata.namespace, tls.secret_name) not in there
    }


def tls_manifest(wished: dict[tuple[str, str], tuple[str, ...]], authority: Authority) -> str:
    """The wished Secrets as YAML, each with a new certificate for its hosts."""
    documents = []
    for (namespace, name), hosts in sorted(wished.items()):
        pair = authority.issue(*hosts)
        values = {"tls.crt": pair.certificate, "tls.key": pair.key}
        documents.append({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": name, "namespace": namespace},
            "data": {key: base64.b64encode(value).decode("ascii") for key, value in values.items()},
        })  # fmt: skip
    return yaml.safe_dump_all(documents, sort_keys=False)


def write_certificates(folder: Path) -> None:
    """Writes `tls.yaml` and `ca.crt` when a Secret is absent."""
    wished = absent_secrets(read_objects(folder, Ingress), read_objects(folder, Secret))
    if wished:
        authority = Authority("authority of a Weirkeeper demo")
        (folder / "ca.crt").write_bytes(authority.pem())
        (folder / "tls.yaml").touch(mode=0o600)
        (folder / "tls.yaml").write_text(tls_manifest(wished, authority), "utf-8")


def tour(folder: Path, http_port: int, https_port: int) -> str:
    """What to try, for this folder and these ports; nothing when the folder has no tour."""
    path = folder / TOUR
    if not path.is_file():
        return ""
    wished = {"folder": str(folder), "http": f":{http_port}", "https": f":{https_port}"}
    text = path.read_text("utf-8")
    for written, name in WRITTEN_FOR:
        text = text.replace(written, wished[name])
    return text


async def serve(options: argparse.Namespace, more: list[str]) -> int:
    """Backends, then `weir up` in front of them until it ends; its exit code."""
    folder: Path = options.folder
    async with contextlib.AsyncExitStack() as stack:
        for pod in pods(read_objects(folder, EndpointSlice)):
            try:
                await stack.enter_async_context(EchoServer(name=pod.name, host=pod.host, port=pod.port, keep=0))
            except OSError as error:
                print(f"demo: {pod.name} cannot listen on {pod.host}:{pod.port}: {error.strerror}", file=sys.stderr)
                return 2
        ports = ["--http-port", str(options.http_port), "--https-port", str(options.https_port)]
        print(f"Serving {folder}. Once it is live, try these in another terminal; edit a file there and ask again.\n")
        print(tour(folder, options.http_port, options.https_port), flush=True)
        return await run(sys.executable, "-m", "weirkeeper", "up", str(folder), *ports, *more)


async def run(*command: str) -> int:
    """The exit code of a child that hears of every signal to end that we hear of."""
    child = await asyncio.create_subprocess_exec(*command)

    def tell(number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, tell, number)
    return await child.wait()


def main() -> None:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(
        prog="python -m weirkeeper.testing.demo",
        description="`weir up` with an echo backend behind every endpoint on loopback.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--http-port", type=int, default=8080)
    parser.add_argument("--https-port", type=int, default=8443)
    options, more = parser.parse_known_args()
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is no folder")
    write_certificates(options.folder)
    sys.exit(asyncio.run(serve(options, more)))


if __name__ == "__main__":
    main()
