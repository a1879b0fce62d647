"""A folder of manifests, and the command line as a function."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from weirkeeper.cli.main import app

SHOP = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
spec:
  ingressClassName: weirkeeper
  rules:
  - host: shop.example
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: web, port: {number: 80}}}
      - path: /cart
        pathType: Prefix
        backend: {service: {name: cart, port: {number: 80}}}
"""

SERVICE = """\
---
apiVersion: v1
kind: Service
metadata:
  name: NAME
spec:
  ports:
  - port: 80
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: NAME-1
  labels: {kubernetes.io/service-name: NAME}
addressType: IPv4
ports:
- port: 8080
endpoints:
- addresses: ["10.0.0.1"]
"""


class Said(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def weir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs `weir ARGUMENTS`."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: str, text: str | None = None) -> Said:
        done = CliRunner().invoke(app, [str(one) for one in arguments], input=text)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Said(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A good folder."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop.yaml").write_text(SHOP)
    (folder / "services.yaml").write_text(SERVICE.replace("NAME", "web") + SERVICE.replace("NAME", "cart"))
    return folder
