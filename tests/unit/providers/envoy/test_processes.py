"""What is pure about Envoy's process: its limits, the place of its sockets, the addresses that it answers at, and its log cut short."""

import stat
from pathlib import Path

import pytest
from envoy.config.listener.v3 import listener_pb2

from weirkeeper.errors import StartRefused
from weirkeeper.providers.base import EngineSettings
from weirkeeper.providers.envoy.engine import LONGEST_SOCKET, EnvoyEngine, addresses, short
from weirkeeper.providers.envoy.limits import ProcessLimits, process_limits
from weirkeeper.providers.envoy.processes import Folder, trim


def test_limits_are_read_and_the_rest_depends_on_the_machine() -> None:
    assert process_limits({}, 1000) == ProcessLimits(heap_bytes=800)
    found = process_limits({"max-heap-bytes": "5", "max-connections": " 7 ", "max-log-bytes": "9"}, 1000)
    assert found == ProcessLimits(heap_bytes=5, connections=7, log_bytes=9)


@pytest.mark.parametrize("text", ["", "many", "-1", "0", "1.5", "1_000", "٣", "9" * 17, "9" * 5000])
def test_a_limit_that_is_no_number_refuses_the_start_by_name(text: str) -> None:
    with pytest.raises(StartRefused, match="max-connections"):
        process_limits({"max-connections": text}, 1000)


def test_an_engine_with_a_bad_option_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="max-heap-bytes"):
        EnvoyEngine(EngineSettings(state_directory=str(tmp_path), options={"max-heap-bytes": "much"}))


def test_an_unknown_option_refuses_the_start_and_the_known_are_listed() -> None:
    with pytest.raises(StartRefused, match="'max-conections' is not known; known are: max-connections, max-heap-bytes"):
        process_limits({"max-conections": "7"}, 1000)


def listening(*places: tuple[str, int]) -> list[bytes]:
    made = []
    for address, port in places:
        one = listener_pb2.Listener()
        one.address.socket_address.address, one.address.socket_address.port_value = address, port
        made.append(one.SerializeToString())
    return made


def test_a_listener_on_all_addresses_answers_on_loopback() -> None:
    found = addresses(listening(("0.0.0.0", 80), ("::", 80), ("127.0.0.1", 443), ("192.0.2.1", 80)))
    assert [(one.ip, one.ports) for one in found] == [("127.0.0.1", (80, 443)), ("192.0.2.1", (80,)), ("::1", (80,))]


def test_a_short_socket_path_stays_and_a_long_one_moves_to_a_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = Path("/run/weir/admin.sock")
    assert short(near) == near
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    far, other = (Path("/") / (letter * 120) / "admin.sock" for letter in "ab")
    moved = short(far)
    assert moved.name == "admin.sock"
    assert moved.parent.parent == tmp_path
    assert len(str(moved.relative_to(tmp_path))) < LONGEST_SOCKET // 2
    assert stat.S_IMODE(moved.parent.stat().st_mode) == 0o700
    assert short(far) == moved
    assert short(other) != moved


def test_a_folder_that_others_may_enter_is_not_trusted_with_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    far = Path("/") / ("a" * 120) / "admin.sock"
    short(far).parent.chmod(0o755)
    with pytest.raises(PermissionError, match="private"):
        short(far)


def test_a_log_is_begun_anew_when_it_is_too_large_and_its_end_is_kept(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    trim(folder, 10)
    folder.log.write_bytes(b"0123456789")
    with folder.log.open("ab") as writer:
        trim(folder, 10)
        assert not folder.older_log.exists()
        writer.write(b"abcdef")
        writer.flush()
        trim(folder, 10)
        assert (folder.log.read_bytes(), folder.older_log.read_bytes()) == (b"", b"6789abcdef")
        writer.write(b"next")
    assert folder.log.read_bytes() == b"next"
