"""A filter that an internal header of ours switches off for one request. Clients cannot send such headers: they are removed first."""

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
    skip = xds_extension.TypedExtensionConfig(name="skip", typed_config=packed(skip_action_pb2.SkipFilter()))
    field = matcher_pb2.Matcher.MatcherList.FieldMatcher(
        predicate=matcher_pb2.Matcher.MatcherList.Predicate(single_predicate=single),
        on_match=matcher_pb2.Matcher.OnMatch(action=skip),
    )
    return extension_matcher_pb2.ExtensionWithMatcher(
        extension_config=extension_pb2.TypedExtensionConfig(name=name, typed_config=packed(config)),
        xds_matcher=matcher_pb2.Matcher(matcher_list=matcher_pb2.Matcher.MatcherList(matchers=[field])),
    )
