"""A port that another program holds when `weir` starts: said, and served as soon as it is free."""

import socket

import pytest

from weirkeeper.model.finding import Reason
from weirkeeper.providers.envoy import PROVIDER
from weirkeeper.testing.conformance.rig import Rig
from weirkeeper.testing.conformance.site import Site
from weirkeeper.testing.conformance.stage import Stage
from weirkeeper.testing.eventually import poll_until

pytestmark = pytest.mark.engine


def test_port_of_another_program_is_taken_when_it_is_free(tmp_path, backends):
    stage = Stage(Rig(PROVIDER), tmp_path)
    site = Site(stage, backends, "busy")
    try:
        with socket.create_server(("127.0.0.1", stage.http_port)):
            stage.start()
            site.apply(*site.service("a", backends.a.port), site.ingress())
            poll_until(lambda: refused(stage), 60)
            assert all("choose another port" in one.remedy for one in refused(stage))
        site.answers("a")
        poll_until(lambda: not refused(stage), 60)
    finally:
        stage.stop()


def refused(stage):
    return [f for found in stage.findings().values() for f in found if f.reason is Reason.ENGINE_REJECTED]
