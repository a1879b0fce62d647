"""`weir up` as people start it: a process of its own, with the installed plugins and the memory provider."""

import os
import signal
import subprocess
import sys

import pytest

from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.ports import free_ports

INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: shop}}
spec:
  rules:
  - host: {host}
    http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: shop, port: {{number: 80}}}}}}}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: shop}}
spec: {{ports: [{{port: 80}}]}}
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_serves_follows_and_ends_cleanly(tmp_path, number):
    folder, log, out = tmp_path / "in", tmp_path / "log", tmp_path / "out"
    folder.mkdir()
    (folder / "shop.yaml").write_text(INGRESS.format(host="shop.example"))
    http, https = free_ports(2)
    command = [
        sys.executable, "-m", "weirkeeper", "up", str(folder), "--provider", "memory", "--http-port", str(http),
        "--https-port", str(https), "--state-dir", str(tmp_path / "state"),
    ]  # fmt: skip
    with (
        log.open("w") as errors,
        out.open("w") as lines,
        subprocess.Popen(command, stdout=lines, stderr=errors) as process,
    ):
        try:
            poll_until(lambda: f"http://shop.example:{http}/" in out.read_text(), 60, what=log.read_text())
            (folder / ".half").write_text(INGRESS.format(host="blog.example"))
            os.rename(folder / ".half", folder / "shop.yaml")
            poll_until(lambda: "blog.example" in log.read_text(), 60)
            (folder / "bad.yaml").write_text("a: [\n")
            poll_until(lambda: "code=WK001 at=bad.yaml:1:5 " in log.read_text(), 60, what=log.read_text())
            slip = (
                INGRESS.format(host="slip.example")
                .replace("pathType", "pathtype")
                .replace("name: shop", "name: slip", 1)
            )
            (folder / "slip.yaml").write_text(slip)
            poll_until(lambda: "code=WK009 at=slip.yaml:7 " in log.read_text(), 60, what=log.read_text())
            process.send_signal(number)
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert "worker failed" not in log.read_text()
    assert not (tmp_path / "state" / "read.sock").exists()


def test_up_refuses_what_it_cannot_start(tmp_path):
    def up(*options):
        command = [sys.executable, "-m", "weirkeeper", "up", str(tmp_path), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    unknown = up("--provider", "nope")
    assert unknown.returncode == 2
    assert "installed are: " in unknown.stderr
    assert "envoy" in unknown.stderr
    assert up("--address", "shop").returncode == 2
    assert up("--log-level", "loud").returncode == 2


def test_up_says_in_one_sentence_that_its_state_folder_cannot_be_used(tmp_path):
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "weirkeeper", "up", str(tmp_path), "--state-dir", str(tmp_path / "file")]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert str(tmp_path / "file") in refused.stderr
