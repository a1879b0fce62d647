"""The name of the control plane, asked of a name server of which one way is lost: Envoy asks again by another way."""

import asyncio
import json
import struct
from pathlib import Path

import pytest
from fleet import Instance, fleet
from served import LB

from weirkeeper.distribute.identity import node_id
from weirkeeper.providers.envoy.bootstrap import BootstrapSettings, Remote, bootstrap
from weirkeeper.providers.envoy.processes import Folder
from weirkeeper.testing.engines.admin import AdminAway
from weirkeeper.testing.eventually import eventually

pytestmark = pytest.mark.engine

NAME = "control-plane.example"
A = 1
HEADER = struct.Struct("!6H")


class DeafAtFirst(asyncio.DatagramProtocol):
    """A name server (RFC 1035) whose answers to whoever asked first never come: that name has one address, 127.0.0.1."""

    def __init__(self) -> None:
        self.ports: dict[int, int] = {}
        """How often each port asked."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.ports[address[1]] = self.ports.get(address[1], 0) + 1
        if address[1] != next(iter(self.ports)):
            self.transport.sendto(answered(data), address)


def answered(question: bytes) -> bytes:
    """With the address, where one of IPv4 is asked for; with nothing else."""
    end = question.index(b"\0", HEADER.size) + 5
    wished = struct.unpack("!H", question[end - 4 : end - 2])[0] == A
    number = HEADER.unpack_from(question)[0]
    record = struct.pack("!HHHIH4s", 0xC00C, A, 1, 60, 4, bytes((127, 0, 0, 1))) if wished else b""
    return HEADER.pack(number, 0x8180, 1, int(wished), 0, 0) + question[HEADER.size : end] + record


def asking(state: Path, port: int) -> bytes:
    """The bootstrap of an Envoy elsewhere, with this name server in place of the machine's."""
    remote = Remote(servers=(f"{NAME}:18000",), server_name=NAME, folder=str(state))
    admin = str(state / "i0" / "admin.sock")
    document = json.loads(bootstrap(BootstrapSettings(node=node_id(LB, "i0"), remote=remote, admin_socket=admin)))
    resolver = document["typed_dns_resolver_config"]["typed_config"]
    resolver["resolvers"] = [{"socket_address": {"address": "127.0.0.1", "port_value": port}}]
    del document["static_resources"]["clusters"][0]["transport_socket"]  # there is nobody to show certificates to
    return json.dumps(document).encode()


def test_a_way_to_the_name_server_that_is_lost_is_not_the_only_one(state: Path) -> None:
    async def story() -> None:
        transport, server = await asyncio.get_running_loop().create_datagram_endpoint(DeafAtFirst, ("127.0.0.1", 0))
        try:
            made = Instance(Folder(state / "i0"), asking(state, transport.get_extra_info("sockname")[1]))

            async def found() -> bool:
                try:
                    stats = await made.admin.stats("cluster.weirkeeper.membership_total")
                except AdminAway:
                    return False
                return stats.get("cluster.weirkeeper.membership_total") == 1

            async with fleet(made):
                await eventually(found, 45, what="the control plane has an address")
        finally:
            transport.close()
        assert len(server.ports) > 1, "the first one was never answered"

    asyncio.run(story())
