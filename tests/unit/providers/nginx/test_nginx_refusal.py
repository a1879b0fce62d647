"""What of NGINX's log says that it does not take a file: as texts, without an NGINX."""

import pytest

from weirkeeper.providers.nginx.supervised import refusal

AT = "2026/01/01 00:00:00 "
TAKEN = f"{AT}[emerg] 7#7: bind() to 0.0.0.0:80 failed (98: Address already in use)\n"
SETTLED = f"{AT}[emerg] 7#7: still could not bind()\n"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", ""),
        (f"{AT}[notice] 7#7: signal process started\n{AT}[warn] 7#7: conflicting server name\n", ""),
        (f"{AT}[error] 8#8: *3 connect() failed (111: Connection refused) while connecting to upstream\n", ""),
        (
            f'{AT}[emerg] 7#7: unknown directive "x" in /run/nginx.conf:3\n',
            'unknown directive "x" in /run/nginx.conf:3',
        ),
        (f"{AT}[emerg] 9#9: initgroups(root, 0) failed (1: Operation not permitted)\n", ""),
        (
            f"{AT}[emerg] 7#7: bind() to 0.0.0.0:80 failed (13: Permission denied)\n",
            "bind() to 0.0.0.0:80 failed (13: Permission denied)",
        ),
        (TAKEN * 3, ""),
        (TAKEN * 5 + SETTLED, "bind() to 0.0.0.0:80 failed (98: Address already in use)"),
        (
            f"{AT}[error] 7#7: init_by_lua error: it holds no entries yet\n",
            "init_by_lua error: it holds no entries yet",
        ),
    ],
)
def test_only_what_ends_the_attempt_is_a_reason(said, why):
    assert refusal(said) == why
