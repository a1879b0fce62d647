"""Which headers of a service's answer a request may get: written without negation, in programs as short as Envoy takes."""

import re

import pytest
import re2

from weirkeeper.providers.envoy.translate.external_auth import ALL_OTHERS

ENVOY_TAKES = 100
PATTERNS = [one.safe_regex.regex for one in ALL_OTHERS.patterns]


def taken(name: str) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in PATTERNS)


@pytest.mark.parametrize(
    "name",
    [":status", "connection", "content-length", "content-type", "date", "host", "keep-alive", "server", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade", "x-envoy-upstream-service-time"],
)  # fmt: skip
def test_headers_of_the_answer_itself_stay(name: str) -> None:
    assert not taken(name)


@pytest.mark.parametrize("name", ["x-user", "authorization", "tenant", "tea", "t", "cont", "consumer", "dat", "services", "keep", "up", "x-envo", "traces", "cookie"])  # fmt: skip
def test_all_others_go_on(name: str) -> None:
    assert taken(name)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_envoy_takes_their_expressions(pattern: str) -> None:
    """A longer program ends the process: Envoy compiles settings of routes when a request comes."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    assert re2.compile(pattern.encode("latin-1"), options).programsize <= ENVOY_TAKES
