"""Every case under this folder, for every provider whose words are pinned."""

from pathlib import Path

import pytest

from weirkeeper.controllers.gateway import CONTROLLER as GATEWAY
from weirkeeper.controllers.ingress import CONTROLLER as INGRESS
from weirkeeper.controllers.manifests import CONTROLLER as MANIFESTS
from weirkeeper.providers.envoy import PROVIDER as ENVOY
from weirkeeper.providers.haproxy import PROVIDER as HAPROXY
from weirkeeper.providers.nginx import PROVIDER as NGINX
from weirkeeper.testing import golden

HERE = Path(__file__).parent
CASES = golden.cases(HERE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_is_as_it_is_written_down(case: Path, request: pytest.FixtureRequest, golden_seed: int) -> None:
    controllers = (GATEWAY,) if case.name.startswith("gateway-") else (INGRESS, MANIFESTS)
    files = golden.produced(case, controllers, (ENVOY, HAPROXY, NGINX), golden_seed)
    if request.config.getoption("write_golden", default=False):
        golden.write(case, files)
    found = golden.differences(case, files)
    assert not found, f"(--golden-seed {golden_seed})\n" + "\n\n".join(one.diff for one in found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_has_a_title(case: Path) -> None:
    assert len(golden.title(case)) > 10, "in.yaml begins with a comment that says what the case shows"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_private_key_is_printed(case: Path) -> None:
    for path in case.iterdir():
        if path.name != golden.INPUT:
            assert "PRIVATE KEY" not in path.read_text(), path


def test_every_folder_is_a_case() -> None:
    folders = {path.name for path in HERE.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders == {case.name for case in CASES}


def test_an_orphan_is_found(tmp_path: Path) -> None:
    (tmp_path / golden.INPUT).write_text("# a case\n")
    (tmp_path / "haproxy.cfg").write_text("left behind\n")
    assert [one.file for one in golden.differences(tmp_path, {})] == ["haproxy.cfg"]
