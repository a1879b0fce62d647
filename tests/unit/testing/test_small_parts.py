"""Ports, certificates, waiting, PROXY prefixes, WebSocket frames: the small parts of the kit."""

import asyncio
import itertools
import os
import socket
import ssl

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from weirkeeper.testing import websocket
from weirkeeper.testing.certificates import Authority, broken_pairs, questionable_pairs
from weirkeeper.testing.eventually import DeadlinePassed, eventually, poll_until
from weirkeeper.testing.ports import Ports, can_bind, free_ports, listeners
from weirkeeper.testing.proxy_protocol import SIGNATURE, proxy_v1, proxy_v2


def test_ports_are_different_and_two_holders_never_share(tmp_path):
    with Ports(tmp_path) as one, Ports(tmp_path) as two:
        taken = [holder.take() for holder in (one, two) * 20]
        assert len(set(taken)) == 40
    assert len(set(free_ports(5))) == 5


def test_a_reserved_port_is_seen_by_who_does_not_know_of_the_locks_and_servers_may_use_it(tmp_path):
    with Ports(tmp_path) as one:
        port = one.take()
        assert not can_bind(port)
        assert listeners(port) == {}
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        for shares in (False, True):
            for address in ("127.0.0.1", "0.0.0.0"):
                with socket.create_server((address, port), reuse_port=shares) as server:
                    with socket.create_connection(("127.0.0.1", port)):
                        server.accept()[0].close()
                    assert list(listeners(port)) == [os.getpid()]
                    assert "python" in listeners(port)[os.getpid()]
    with socket.create_server(("127.0.0.1", port)):
        assert list(listeners(port)) == [os.getpid()]


def test_a_port_in_use_is_not_free():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        assert not can_bind(listening.getsockname()[1])


def load(pair, folder):
    (folder / "certificate").write_bytes(pair.certificate)
    (folder / "key").write_bytes(pair.key)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
        folder / "certificate", folder / "key", password=lambda: "not the passphrase"
    )


def test_no_server_can_load_a_broken_pair(tmp_path):
    pairs = broken_pairs(Authority(), "a.example")
    assert len(pairs) == 12
    for name, pair in pairs.items():
        try:
            load(pair, tmp_path)
        except (ssl.SSLError, OSError):
            continue
        pytest.fail(f"a server loads the pair that is called broken: {name}")


def test_every_questionable_pair_loads(tmp_path):
    for pair in questionable_pairs(Authority(), "a.example").values():
        load(pair, tmp_path)


def test_a_leaf_is_signed_by_its_authority():
    root = Authority("root")
    middle = Authority("middle", issuer=root)
    pair = middle.issue("a.example", "127.0.0.1", "spiffe://a/b", chain=True)
    leaf, issuer = x509.load_pem_x509_certificates(pair.certificate)
    leaf.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(root.certificate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://a/b"]


def test_polling_returns_the_first_truth_and_tells_what_it_saw():
    numbers = iter(range(5))
    assert poll_until(lambda: next(numbers) == 3) is True
    with pytest.raises(DeadlinePassed, match=r"the moon was not true within 0\.01 s; last seen: ''"):
        poll_until(lambda: "", 0.01, what="the moon")


def test_waiting_gives_up_a_look_that_hangs():
    async def hang():
        await asyncio.Event().wait()

    with pytest.raises(DeadlinePassed, match="did not end"):
        asyncio.run(eventually(hang, 0.02, what="it"))


def test_waiting_returns_the_first_truth():
    numbers = iter(range(5))

    async def look():
        return next(numbers)

    assert asyncio.run(eventually(look, 5, pause=0)) == 1


@pytest.mark.parametrize("nobody", [ConnectionRefusedError("no"), TimeoutError(), FileNotFoundError("not yet")], ids=repr)
def test_a_look_that_finds_nobody_is_not_the_last(nobody):
    looks = iter((nobody, nobody, 7))

    def look():
        found = next(looks)
        if isinstance(found, OSError):
            raise found
        return found

    async def asked():
        return look()

    assert poll_until(look, 5, pause=0) == 7
    looks = iter((nobody, nobody, 8))
    assert asyncio.run(eventually(asked, 5, pause=0)) == 8
    looks = itertools.repeat(nobody)
    with pytest.raises(DeadlinePassed, match=f"last seen: {type(nobody).__name__}"):
        poll_until(look, 0.01)
    with pytest.raises(DeadlinePassed, match=f"last seen: {type(nobody).__name__}"):
        asyncio.run(eventually(asked, 0.05))


def test_any_other_failure_of_a_look_ends_the_wait():
    def look():
        raise AssertionError("this is wrong for good")

    async def asked():
        look()

    with pytest.raises(AssertionError, match="for good"):
        poll_until(look, 5)
    with pytest.raises(AssertionError, match="for good"):
        asyncio.run(eventually(asked, 5))


def test_proxy_prefixes_of_both_versions_and_families():
    assert proxy_v1("192.0.2.1", "192.0.2.2", 1, 2) == b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
    assert proxy_v1("::1", "::2", 1, 2) == b"PROXY TCP6 ::1 ::2 1 2\r\n"
    assert proxy_v2("192.0.2.1", "192.0.2.2", 1, 2) == (
        SIGNATURE + b"\x21\x11\x00\x0c" + bytes([192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 2])
    )
    assert proxy_v2("::1", "::2", 1, 2)[12:16] == b"\x21\x21\x00\x24"


FRAMES = st.builds(websocket.Frame, opcode=st.integers(0, 15), payload=st.binary(max_size=70_000), final=st.booleans())


@given(FRAMES, st.none() | st.binary(min_size=4, max_size=4), st.binary(max_size=5))
def test_a_frame_survives_its_encoding_and_is_read_only_when_whole(frame, mask, more):
    encoded = websocket.encode(frame, mask)
    assert websocket.decode(encoded + more) == (frame, len(encoded))
    assert all(websocket.decode(encoded[:cut]) is None for cut in range(min(len(encoded), 20)))
    assert websocket.decode(encoded[:-1]) is None


def test_the_accept_key_of_the_rfc():
    assert websocket.accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
