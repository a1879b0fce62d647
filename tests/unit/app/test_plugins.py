"""Which providers a cluster's control plane takes."""

import pytest

from weirkeeper.app.plugins import cluster_plugins
from weirkeeper.errors import StartRefused
from weirkeeper.settings import RunSettings


def test_a_provider_without_an_agent_does_not_serve_a_cluster():
    with pytest.raises(StartRefused, match=r"nginx has no agent yet.*weir up"):
        cluster_plugins(RunSettings(providers=("envoy", "nginx")), ())


def test_those_that_can_do():
    assert [one.name for one in cluster_plugins(RunSettings(providers=("haproxy", "envoy")), ()).providers] == ["haproxy", "envoy"]
