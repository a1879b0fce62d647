"""The objects that benchmarks feed: Ingresses, Services, EndpointSlices, Secrets as manifest text, one Ingress a file.

Comes in: numbers and names. Goes out: text. Every Ingress has two rules of path, a header edit on its answers (a ConfigMap that its annotation names) and one on
its requests (`upstream-vhost`). A revision is which ConfigMap it names: an answer tells it by its header `x-rev`.
"""

import base64
from collections.abc import Iterable
from pathlib import Path

import msgspec

REVISIONS = 8
PREFIX = "weirkeeper.io/"
CLASS = "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: weirkeeper}\nspec: {controller: weirkeeper.io/ingress}\n"


def rev(number: int) -> str:
    """What an answer of this revision carries in `x-rev`."""
    return f"r{number % REVISIONS}"


def config_maps(header: str = "x-rev") -> str:
    """The ConfigMaps with the headers of all revisions."""
    return "---\n".join(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: rev-{n}, namespace: default}}\ndata: {{{header}: {rev(n)}}}\n" for n in range(REVISIONS)
    )


def ingress(
    name: str,
    host: str,
    service: str,
    *,
    revision: int | None = 0,
    paths: Iterable[str] = ("/", "/api"),
    secret: str = "",
    more: Iterable[tuple[str, str]] = (),
    default: str = "",
) -> str:
    """One Ingress as YAML."""
    notes = dict(more)
    if revision is not None:
        notes |= {"custom-headers": f"default/rev-{revision % REVISIONS}", "upstream-vhost": f"{name}.internal"}
    lines = ["apiVersion: networking.k8s.io/v1", "kind: Ingress", "metadata:", f"  name: {name}", "  namespace: default"]
    if notes:
        lines += ["  annotations:", *(f'    {PREFIX}{key}: "{value}"' for key, value in notes.items())]
    lines += ["spec:", "  ingressClassName: weirkeeper"]
    if default:
        lines.append(f"  defaultBackend: {{service: {{name: {default}, port: {{number: 80}}}}}}")
    if secret:
        lines.append(f'  tls: [{{hosts: ["{host}"], secretName: {secret}}}]')
    if host:
        lines += ["  rules:", f'    - host: "{host}"', "      http:", "        paths:"]
        lines += [f"          - {{path: {path}, pathType: Prefix, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}" for path in paths]
    return "\n".join(lines) + "\n"


def service(name: str) -> str:
    """A Service with one port."""
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\nspec:\n  ports:\n    - {{name: http, port: 80}}\n"


def endpoints(name: str, addresses: Iterable[str], port: int) -> str:
    """The EndpointSlice of a Service."""
    listed = "".join(f"  - {{addresses: [{address}], conditions: {{ready: true}}}}\n" for address in addresses) or "  []\n"
    return (
        f"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {name}-1\n  namespace: default\n"
        f"  labels: {{kubernetes.io/service-name: {name}}}\naddressType: IPv4\nports:\n  - {{name: http, port: {port}}}\nendpoints:\n{listed}"
    )


def tls_secret(name: str, certificate: bytes, key: bytes) -> str:
    """A TLS Secret."""
    crt, private = (base64.b64encode(value).decode("ascii") for value in (certificate, key))
    return (
        f"apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: {name}, namespace: default}}\n"
        f"data:\n  tls.crt: {crt}\n  tls.key: {private}\n"
    )


class Folder:
    """A folder of manifests. Writes are atomic: beside, then renamed, as editors and `kubectl`-like tools do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._beside = path.parent / f".{path.name}.new"
        self.put("class.yaml", CLASS)

    def put(self, name: str, text: str) -> None:
        """Write one file whole."""
        self._beside.write_text(text)
        self._beside.rename(self.path / name)

    def take(self, name: str) -> None:
        """Remove a file."""
        (self.path / name).unlink()

    def many(self, name: str, texts: Iterable[str], size: int = 500) -> None:
        """Write objects that nobody will change, `size` a file."""
        held = list(texts)
        for start in range(0, len(held), size):
            self.put(f"{name}-{start:05}.yaml", "---\n".join(held[start : start + size]))


def services(count: int, port: int, addresses: Iterable[str] = ("127.0.0.1",)) -> list[str]:
    """Services `s0`, `s1`, ... and their endpoints."""
    held = tuple(addresses)
    return [text for n in range(count) for text in (service(f"s{n}"), endpoints(f"s{n}", held, port))]


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A raw measurement of a change."""

    system: str
    case: str
    size: int
    change: str
    number: int
    ms: float
    from_rename_ms: float = 0.0
    workers: int = 0
