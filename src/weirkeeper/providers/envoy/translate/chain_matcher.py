"""Which chain takes a connection, by its server name: exact policy hosts, then suffixes, the longest first, then on demand; then by its address, where a chain believes some only.

What is no host name never reaches the on-demand chain, where it would become a subscription (decision 0003).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from envoy.extensions.matching.common_inputs.network.v3 import network_inputs_pb2
from google.protobuf import wrappers_pb2
from xds.core.v3 import cidr_pb2, extension_pb2
from xds.type.matcher.v3 import ip_pb2, matcher_pb2, regex_pb2, string_pb2

from weirkeeper.providers.envoy.translate.values import packed

Matcher = matcher_pb2.Matcher
HOSTNAME = r"[a-z0-9_-]+(\.[a-z0-9_-]+)*"


class Apart(NamedTuple):
    """A chain is for connections from these ranges alone; all others belong to ``strangers``."""

    ranges: Sequence[Any]
    strangers: str


def chain_matcher(
    policies: Mapping[str, str], on_demand: str | None, fallback: str | None, apart: Mapping[str, Apart]
) -> Any:
    """``policies`` maps host names (exact or ``*.suffix``) to chains, ``apart`` chains to the addresses that they are for. Without a fallback other connections are closed."""

    def led(chain: str) -> Any:
        return Matcher.OnMatch(matcher=by_address(chain, apart[chain])) if chain in apart else _to(chain)

    found = led(on_demand) if on_demand else None
    suffixes = sorted((host for host in policies if host.startswith("*.")), key=lambda host: (-len(host), host))
    if suffixes:
        found = _list([(string_pb2.StringMatcher(suffix=host[1:]), led(policies[host])) for host in suffixes], found)
    exact = {host: chain for host, chain in policies.items() if not host.startswith("*.")}
    if exact:
        tree = Matcher.MatcherTree(input=_server_name())
        for host, chain in exact.items():
            tree.exact_match_map.map[host].CopyFrom(led(chain))
        found = Matcher.OnMatch(matcher=_with(Matcher(matcher_tree=tree), found))
    name = string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(google_re2={}, regex=HOSTNAME))
    if found is None:
        raise ValueError("a port with TLS has no chain")
    return _list([(name, found)], led(fallback) if fallback else None).matcher


def by_address(chain: str, apart: Apart) -> Any:
    """The chain, or that of strangers, by the address that a connection came from (as PROXY protocol tells it, where that is accepted)."""
    ranges = [cidr_pb2.CidrRange(address_prefix=one.address_prefix, prefix_len=one.prefix_len) for one in apart.ranges]
    trusted = ip_pb2.IPMatcher(range_matchers=[ip_pb2.IPMatcher.IPRangeMatcher(ranges=ranges, on_match=_to(chain))])
    tree = Matcher.MatcherTree(
        input=_typed("address", network_inputs_pb2.SourceIPInput()), custom_match=_typed("ranges", trusted)
    )
    return _with(Matcher(matcher_tree=tree), _to(apart.strangers))


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
    return Matcher.OnMatch(action=_typed(chain, wrappers_pb2.StringValue(value=chain)))


def _server_name() -> Any:
    return _typed("sni", network_inputs_pb2.ServerNameInput())


def _typed(name: str, config: Any) -> Any:
    return extension_pb2.TypedExtensionConfig(name=name, typed_config=packed(config))
