"""Which providers a cluster's control plane takes."""

from weirkeeper.app.plugins import cluster_plugins
from weirkeeper.settings import RunSettings


def test_those_with_an_agent_and_envoy_serve_a_cluster():
    names = ["haproxy", "envoy", "nginx"]
    assert [one.name for one in cluster_plugins(RunSettings(providers=tuple(names)), ()).providers] == names
