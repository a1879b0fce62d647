"""HAProxy itself accepts what every golden case becomes."""

import subprocess
from pathlib import Path

import pytest

from weirkeeper.controllers.gateway import CONTROLLER as GATEWAY
from weirkeeper.controllers.ingress import CONTROLLER as INGRESS
from weirkeeper.controllers.manifests import CONTROLLER as MANIFESTS
from weirkeeper.providers.haproxy import PROVIDER
from weirkeeper.providers.haproxy.assembly import Assembly
from weirkeeper.providers.haproxy.binary import haproxy_binary
from weirkeeper.providers.haproxy.files import files
from weirkeeper.providers.haproxy.translate.skeleton import Frame
from weirkeeper.testing import golden

CASES = golden.cases(Path(__file__).parents[2] / "golden")


@pytest.mark.engine
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_haproxy_takes_the_case(case: Path, tmp_path: Path) -> None:
    controllers = (GATEWAY,) if case.name.startswith("gateway-") else (INGRESS, MANIFESTS)
    program = golden._settled(case, controllers, PROVIDER, seed=1)
    wished = Assembly()
    wished.take(program.graph.rows(program.program.items[PROVIDER.name]))
    for name, text in files(wished, Frame()).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    binary = haproxy_binary()
    assert binary is not None, "install haproxy"
    command = [str(binary), "-c", "-C", str(tmp_path), "-f", "haproxy.cfg"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
