"""Filters that are skipped for one request: by an internal header of ours, which clients cannot send, or by the route configuration that was found.

Settings of a route for such a filter are more specific than the skip of its configuration, and take its place.
"""

from collections.abc import Collection
from typing import Any

from envoy.config.core.v3 import extension_pb2
from envoy.extensions.common.matching.v3 import extension_matcher_pb2
from envoy.extensions.filters.common.matcher.action.v3 import skip_action_pb2
from envoy.type.matcher.v3 import http_inputs_pb2
from xds.core.v3 import extension_pb2 as xds_extension
from xds.type.matcher.v3 import matcher_pb2, string_pb2

from weirkeeper.providers.envoy import names
from weirkeeper.providers.envoy.translate.values import packed


def unless(word: str, name: str, config: Any) -> Any:
    """The filter, skipped where the key filter has left this word."""
    header_input = http_inputs_pb2.HttpRequestHeaderMatchInput(header_name=names.STATE_HEADER)
    single = matcher_pb2.Matcher.MatcherList.Predicate.SinglePredicate(
        input=xds_extension.TypedExtensionConfig(name="header", typed_config=packed(header_input)),
        value_match=string_pb2.StringMatcher(contains=word),
    )
    field = matcher_pb2.Matcher.MatcherList.FieldMatcher(
        predicate=matcher_pb2.Matcher.MatcherList.Predicate(single_predicate=single),
        on_match=_skip(),
    )
    return extension_matcher_pb2.ExtensionWithMatcher(
        extension_config=extension_pb2.TypedExtensionConfig(name=name, typed_config=packed(config)),
        xds_matcher=matcher_pb2.Matcher(matcher_list=matcher_pb2.Matcher.MatcherList(matchers=[field])),
    )


def switched_off(wished: Collection[str]) -> str:
    """The header's text for a route with settings for these filters: the names of the others."""
    return " ".join(["done", *(name for name in names.DEMANDING if name not in wished)])


def always_skipped() -> Any:
    """What skips such a filter, put into a route configuration."""
    return packed(
        extension_matcher_pb2.ExtensionWithMatcherPerRoute(xds_matcher=matcher_pb2.Matcher(on_no_match=_skip()))
    )


def _skip() -> Any:
    action = xds_extension.TypedExtensionConfig(name="skip", typed_config=packed(skip_action_pb2.SkipFilter()))
    return matcher_pb2.Matcher.OnMatch(action=action)
