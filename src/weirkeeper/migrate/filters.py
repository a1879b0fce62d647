"""Filters of HTTPRoutes from fields of a neutral route: headers and the policy for cross-origin requests."""

from collections.abc import Iterator
from typing import Any

from weirkeeper.migrate.notes import Aspect, Notes, Outcome
from weirkeeper.model.filters import Cors, HeaderEdit
from weirkeeper.model.ids import Ref
from weirkeeper.model.route import Route

Json = dict[str, Any]
MOST_HEADERS, MOST_OF_CORS = 16, 64
SECOND = 1000
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")


def header_filters(route: Route, about: list[Ref], notes: Notes) -> Iterator[Json]:
    """The filters that edit headers of requests and answers."""
    edits = route.request_headers or HeaderEdit()
    pairs = [{"name": str(one.name), "value": str(one.value)} for one in edits.set]
    if route.forwarded_prefix is not None:
        pairs.append({"name": "X-Forwarded-Prefix", "value": str(route.forwarded_prefix)})
        notes.tell(about, Aspect.FORWARDED_PREFIX, Outcome.TRANSLATED, "filter RequestHeaderModifier")
    if pairs:
        yield {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": pairs}}
    if route.request_headers is not None:
        notes.tell(about, Aspect.REQUEST_HEADERS, Outcome.TRANSLATED, "filter RequestHeaderModifier")
    if route.response_headers is not None:
        answers = [{"name": str(one.name), "value": str(one.value)} for one in route.response_headers.set]
        why = (
            f"a filter sets {MOST_HEADERS} headers at most; the rest is left out" if len(answers) > MOST_HEADERS else ""
        )
        notes.tell(
            about,
            Aspect.RESPONSE_HEADERS,
            Outcome.LOST if why else Outcome.TRANSLATED,
            "filter ResponseHeaderModifier",
            why,
        )
        yield {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": answers[:MOST_HEADERS]}}


def cors_filter(cors: Cors, about: list[Ref], notes: Notes) -> Json:
    """The filter that answers cross-origin requests. Lists that Gateway API does not hold whole allow less, never more."""
    origins = ["*"] if "*" in cors.origins else [str(one) for one in cors.origins]
    methods = [str(one) for one in dict.fromkeys(cors.methods)]
    lists = {
        "allowOrigins": origins,
        "allowMethods": ["*"] if "*" in methods else [one for one in methods if one in METHODS],
        "allowHeaders": ["*"] if "*" in cors.headers else [str(one) for one in dict.fromkeys(cors.headers)],
        "exposeHeaders": [str(one) for one in dict.fromkeys(cors.exposed)],
    }
    cut = [name for name, values in lists.items() if len(values) > MOST_OF_CORS]
    strange = [one for one in methods if one not in (*METHODS, "*")]
    said: Json = {name: values[:MOST_OF_CORS] for name, values in lists.items() if values}
    if cors.credentials:
        said["allowCredentials"] = True
    if cors.max_age is not None:
        said["maxAge"] = max(1, cors.max_age // SECOND)
    why = [f"{name} holds {MOST_OF_CORS} values at most" for name in cut]
    why += (
        ["preflight answers are kept for a second at least"]
        if cors.max_age is not None and cors.max_age < SECOND
        else []
    )
    why += [f"there is no method {', '.join(strange)}"] if strange else []
    notes.tell(about, Aspect.CORS, Outcome.DIFFERS if why else Outcome.TRANSLATED, "filter CORS", "; ".join(why))
    return {"type": "CORS", "cors": said}
