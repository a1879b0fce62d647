"""`weir migrate`: where manifests and report go, and its exit codes."""

from pathlib import Path

import pytest
import yaml

NGINX = "nginx.ingress.kubernetes.io/"


def test_manifests_go_out_and_the_report_beside(weir, shop: Path) -> None:
    said = weir("migrate", "ingress", shop)
    assert [one["kind"] for one in yaml.safe_load_all(said.out)] == ["GatewayClass", "Gateway", "HTTPRoute"]
    assert said.err.splitlines() == ["Ingress default/shop → HTTPRoute default/shop", "1 object migrated"]
    assert said.code == 0


def test_what_is_made_can_be_checked_and_explained(weir, shop: Path) -> None:
    (shop / "gateway.yaml").write_text(weir("migrate", "ingress", shop).out)
    (shop / "shop.yaml").unlink()
    assert weir("check", shop).code == 0
    assert "default/cart/80" in weir("explain", "http://shop.example/cart", shop).out


def test_what_has_no_equivalent_is_exit_code_1_and_stands_in_the_report(weir, shop: Path, tmp_path: Path) -> None:
    text = (shop / "shop.yaml").read_text().replace("  name: shop\n", f"  name: shop\n  annotations: {{{NGINX}limit-rps: '5'}}\n")
    (shop / "shop.yaml").write_text(text)
    report, folder = tmp_path / "report.txt", tmp_path / "made"
    said = weir("migrate", "ingress", shop, "--report", report, "-o", folder)
    assert (said.code, said.out, said.err) == (1, "", "")
    assert f"no equivalent  {NGINX}limit-rps" in report.read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["cluster.yaml", "default.yaml"]
    entries = weir("migrate", "ingress", shop, "--json").json["report"]["entries"]
    assert [(one["field"], one["outcome"]) for one in entries] == [(f"{NGINX}limit-rps", "no equivalent")]


@pytest.mark.parametrize("arguments", [("gateway", "."), ("ingress",), ("ingress", ".", "--live"), ("ingress", "no-such-folder"), ("ingress", ".", "--context", "x")])
def test_a_wrong_wish_is_exit_code_2(weir, arguments: tuple[str, ...]) -> None:
    assert weir("migrate", *arguments).code == 2


def test_a_cluster_that_is_not_there_is_exit_code_2(weir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    said = weir("migrate", "ingress", "--live")
    assert said.code == 2
    assert "KUBECONFIG" in said.err
