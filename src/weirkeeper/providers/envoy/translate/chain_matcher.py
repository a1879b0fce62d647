"""Which chain takes a connection, by its server name: exact policy hosts, then suffixes, the longest first, then on demand.

What is no host name never reaches the on-demand chain, where it would become a subscription (decision 0003).
"""

from collections.abc import Mapping
from typing import Any

from envoy.extensions.matching.common_inputs.network.v3 import network_inputs_pb2
from google.protobuf import wrappers_pb2
from xds.core.v3 import extension_pb2
from xds.type.matcher.v3 import matcher_pb2, regex_pb2, string_pb2

from weirkeeper.providers.envoy.translate.values import packed

Matcher = matcher_pb2.Matcher
HOSTNAME = r"[a-z0-9_-]+(\.[a-z0-9_-]+)*"


def chain_matcher(policies: Mapping[str, str], on_demand: str | None, fallback: str | None) -> Any:
    """``policies`` maps host names (exact or ``*.suffix``) to chains. Without a fallback other connections are closed."""
    found = _to(on_demand) if on_demand else None
    suffixes = sorted((host for host in policies if host.startswith("*.")), key=lambda host: (-len(host), host))
    if suffixes:
        found = _list([(string_pb2.StringMatcher(suffix=host[1:]), _to(policies[host])) for host in suffixes], found)
    exact = {host: chain for host, chain in policies.items() if not host.startswith("*.")}
    if exact:
        tree = Matcher.MatcherTree(input=_server_name())
        for host, chain in exact.items():
            tree.exact_match_map.map[host].CopyFrom(_to(chain))
        found = Matcher.OnMatch(matcher=_with(Matcher(matcher_tree=tree), found))
    name = string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(google_re2={}, regex=HOSTNAME))
    if found is None:
        raise ValueError("a port with TLS has no chain")
    return _list([(name, found)], _to(fallback) if fallback else None).matcher


def _list(rows: list[tuple[Any, Any]], otherwise: Any | None) -> Any:
    fields = [
        Matcher.MatcherList.FieldMatcher(
            predicate=Matcher.MatcherList.Predicate(
                single_predicate=Matcher.MatcherList.Predicate.SinglePredicate(input=_server_name(), value_match=match)
            ),
            on_match=then,
        )
        for match, then in rows
    ]
    return Matcher.OnMatch(matcher=_with(Matcher(matcher_list=Matcher.MatcherList(matchers=fields)), otherwise))


def _with(matcher: Any, otherwise: Any | None) -> Any:
    if otherwise is not None:
        matcher.on_no_match.CopyFrom(otherwise)
    return matcher


def _to(chain: str) -> Any:
    return Matcher.OnMatch(
        action=extension_pb2.TypedExtensionConfig(
            name=chain, typed_config=packed(wrappers_pb2.StringValue(value=chain))
        )
    )


def _server_name() -> Any:
    return extension_pb2.TypedExtensionConfig(name="sni", typed_config=packed(network_inputs_pb2.ServerNameInput()))
