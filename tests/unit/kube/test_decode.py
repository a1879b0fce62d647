"""Lists, events and errors as bytes: every object alone, and nothing of a broken one harms another."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weirkeeper.kube.decode import Bookmark, Changed, Decoder, plain, status_failure
from weirkeeper.kube.errors import ApiFailure, BadAnswer, Gone, NotFound, ServerFailure, TooManyRequests
from weirkeeper.kube.resources import KNOWN
from weirkeeper.kube.types import Ingress, Namespace, Secret, Service
from weirkeeper.model.ids import Ref

SERVICES = Decoder(KNOWN["", "Service"], Service)
INGRESSES = Decoder(KNOWN["networking.k8s.io", "Ingress"], Ingress, "east")


def bytes_of(value: object) -> bytes:
    return json.dumps(value).encode()


def service(name: str = "a", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": "7"}, **more}


def listed(*items: object, **metadata: str) -> bytes:
    return bytes_of({"kind": "ServiceList", "apiVersion": "v1", "metadata": {"resourceVersion": "9", **metadata}, "items": items})


def test_an_item_of_a_list_gets_its_kind_and_cluster() -> None:
    item = INGRESSES.item(bytes_of(service()))
    assert item.object is not None
    assert item.object.ref == Ref(cluster="east", group="networking.k8s.io", kind="Ingress", namespace="shop", name="a")
    assert item[:4] == ("a", "shop", "uid-a", "7")


def test_no_object_passes_for_another_kind_or_cluster() -> None:
    item = SERVICES.item(bytes_of({"kind": "Secret", "apiVersion": "x/v9", "cluster": "west", **service()}))
    assert item.object is not None
    assert item.object.ref == Ref(kind="Service", namespace="shop", name="a")


def test_one_that_does_not_fit_is_a_problem_and_its_neighbours_are_there() -> None:
    page = SERVICES.page(listed(service("a"), service("b", spec={"ports": [{"port": "http"}]}), service("c")))
    assert [(item.name, item.object is not None) for item in page.items] == [("a", True), ("b", False), ("c", True)]
    broken = page.items[1]
    assert broken[:4] == ("b", "shop", "uid-b", "7")
    assert "spec.ports[0].port" in broken.problem


@pytest.mark.parametrize("odd", [{}, [], 7, "x", None, {"metadata": None}, {"metadata": {}}, {"metadata": {"name": 5}}, {"metadata": {"name": ["a"]}}])
def test_odd_items_are_problems(odd: object) -> None:
    page = SERVICES.page(listed(odd, service("b")))
    assert page.items[0].object is None
    assert page.items[0].problem
    assert page.items[1].object is not None


def test_pages() -> None:
    page = SERVICES.page(listed(service(), **{"continue": "abc", "remainingItemCount": "3"}))
    assert (page.resource_version, page.continues, page.token) == ("9", True, "abc")
    last = SERVICES.page(b'{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"9"},"items":null}')
    assert (last.items, last.continues) == ((), False)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"<html>", b'{"kind":"Service","items":[]}', b'{"kind":"ServiceList"}', b'{"kind":"ServiceList","items":{}}', b'{"kind":"ServiceList","items":[{}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_list_is_never_an_empty_one(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        SERVICES.page(body)


def test_kubectls_copy_and_managed_fields_are_not_kept() -> None:
    copy = {"kubectl.kubernetes.io/last-applied-configuration": "{}" * 500}
    metadata = {"name": "a", "namespace": "shop", "managedFields": [{"manager": "kubectl"}]}
    alone = SERVICES.item(bytes_of({"metadata": {**metadata, "annotations": copy}})).object
    beside = SERVICES.item(bytes_of({"metadata": {**metadata, "annotations": {**copy, "x": "y"}}})).object
    assert alone is not None
    assert beside is not None
    assert alone.metadata.annotations is None
    assert beside.metadata.annotations == {"x": "y"}
    assert b"manager" not in msgspec.json.encode(alone)


def test_repeated_texts_are_shared() -> None:
    first, second = (SERVICES.item(bytes_of(service(name))).object for name in "ab")
    assert first is not None
    assert second is not None
    assert first.kind is second.kind
    assert first.api_version is second.api_version


def event(kind: str, value: object) -> bytes:
    return bytes_of({"type": kind, "object": value})


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED"])
def test_events(kind: str) -> None:
    seen = SERVICES.event(event(kind, service()))
    assert isinstance(seen, Changed)
    assert (seen.type, seen.item.name, seen.item.resource_version) == (kind, "a", "7")


def test_a_deletion_of_what_can_not_be_read_is_a_deletion() -> None:
    seen = SERVICES.event(event("DELETED", service(spec=5)))
    assert isinstance(seen, Changed)
    assert (seen.type, seen.item.name, seen.item.object) == ("DELETED", "a", None)


def test_bookmarks() -> None:
    assert SERVICES.event(event("BOOKMARK", {"metadata": {"resourceVersion": "12"}})) == Bookmark("12", False)
    ending = {"metadata": {"resourceVersion": "13", "annotations": {"k8s.io/initial-events-end": "true"}}}
    assert SERVICES.event(event("BOOKMARK", ending)) == Bookmark("13", True)


def test_an_error_event_is_the_failure_that_it_tells() -> None:
    seen = SERVICES.event(event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}))
    assert isinstance(seen, Gone)
    assert (seen.status, seen.reason, seen.message) == (410, "Expired", "too old")


@pytest.mark.parametrize("line", [b"", b"{", b"null", b'{"type":"ADDED"}', b'{"type":"NEW","object":{}}', b'{"type":"BOOKMARK","object":5}', b"\xff\xfe"])
def test_a_line_that_is_no_event_is_a_value_too(line: bytes) -> None:
    assert isinstance(SERVICES.event(line), BadAnswer)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["metadata", "name", "spec", "data", "type", "object", "kind"]), inner, max_size=4)).map(bytes_of))
def test_nothing_that_comes_makes_an_item_or_an_event_raise(body: bytes) -> None:
    decoder = Decoder(KNOWN["", "Secret"], Secret)
    item = decoder.item(body)
    assert (item.object is None) == bool(item.problem)
    assert isinstance(decoder.event(body), Changed | Bookmark | ApiFailure)


def test_metadata_alone() -> None:
    body = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "shop", "labels": {"a": "b"}}}
    found = Decoder(KNOWN["", "Namespace"], Namespace).item(bytes_of(body)).object
    assert found is not None
    assert (found.ref, found.metadata.labels) == (Ref(kind="Namespace", name="shop"), {"a": "b"})


def test_failures_from_bodies() -> None:
    told = status_failure(bytes_of({"kind": "Status", "code": 429, "reason": "TooManyRequests", "message": "later", "details": {"retryAfterSeconds": 3}}), 429)
    assert isinstance(told, TooManyRequests)
    assert (told.retry_after, str(told)) == (3, "429 TooManyRequests: later")
    assert isinstance(status_failure(b"404 page not found\n", 404), NotFound)
    assert not NotFound("x", status=404).of_object
    html = status_failure(b"<html>\x00" + b"x" * 5000, 502)
    assert isinstance(html, ServerFailure)
    assert len(html.message) < 400
    assert html.message.isprintable()
    assert isinstance(status_failure(b"", 0), ServerFailure)


@pytest.mark.parametrize("body", [b"", b"[1]", b"nope", b'"x"'])
def test_an_answer_that_is_no_object(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        plain(body)
