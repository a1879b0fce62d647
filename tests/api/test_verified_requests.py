"""The fake API server and a real kube-apiserver answer the same requests alike: reads, writes, lists, refusals.

Every test runs on both; what it expects is written once. The real one carries the marker `cluster`.
"""

import secrets

import pytest
from either import INGRESSES, LEASES, NAMESPACES, SECRETS, Wire, ingress, run_on

MERGE = "application/merge-patch+json"
STEPS = "application/json-patch+json"


def on(server, scenario, user="admin"):
    return run_on(server, scenario, user)


def refusal(answer):
    assert answer.json["kind"] == "Status", answer
    assert answer.json["status"] == "Failure"
    assert answer.json["code"] == answer.status
    return answer.status, answer.json["reason"], answer.json["message"]


def names(answer):
    return [item["metadata"]["name"] for item in answer.json["items"]]


def fields_at_fault(answer):
    return [(cause["field"], cause["reason"]) for cause in answer.json["details"]["causes"]]


def test_create_get_and_what_the_server_adds(either_server):
    async def scenario(wire: Wire):
        made = await wire.post(wire.path(INGRESSES), ingress("a", labels={"app": "x"}))
        assert made.status == 201
        got = await wire.get(wire.path(INGRESSES, "a"))
        assert got.status == 200
        assert got.json == made.json
        assert list(got.json)[:2] == ["kind", "apiVersion"]
        metadata = got.json["metadata"]
        assert (metadata["namespace"], metadata["generation"], metadata["labels"]) == (wire.namespace, 1, {"app": "x"})
        assert len(metadata["uid"]) == 36
        assert metadata["creationTimestamp"].endswith("Z")
        assert int(metadata["resourceVersion"]) > 0
        assert got.json["status"] == {"loadBalancer": {}}
        again = await wire.post(wire.path(INGRESSES), ingress("a"))
        assert refusal(again) == (409, "AlreadyExists", 'ingresses.networking.k8s.io "a" already exists')
        assert again.json["details"] == {"name": "a", "group": "networking.k8s.io", "kind": "ingresses"}

    on(either_server, scenario)


def test_what_users_may_not_set_is_ignored(either_server):
    async def scenario(wire: Wire):
        body = ingress("a")
        body["metadata"] |= {"uid": "mine", "generation": 7, "creationTimestamp": "2001-01-01T00:00:00Z"}
        body["status"] = {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}
        made = (await wire.post(wire.path(INGRESSES), body)).json
        assert made["metadata"]["uid"] != "mine"
        assert made["metadata"]["generation"] == 1
        assert made["metadata"]["creationTimestamp"] > "2020"
        assert made["status"] == {"loadBalancer": {}}
        versioned = ingress("b")
        versioned["metadata"]["resourceVersion"] = "1"
        refused = await wire.post(wire.path(INGRESSES), versioned)
        assert refused.status in (400, 500)
        assert "resourceVersion should not be set on objects to be created" in refused.json["message"]

    on(either_server, scenario)


def test_generated_names_and_defaults_of_secrets(either_server):
    async def scenario(wire: Wire):
        body = {"kind": "Secret", "apiVersion": "v1", "metadata": {"generateName": "gen-"}, "stringData": {"a": "b"}}
        one, two = [(await wire.post(wire.path(SECRETS), body)).json for _ in range(2)]
        assert one["metadata"]["name"].startswith("gen-")
        assert len(one["metadata"]["name"]) == len("gen-") + 5
        assert one["metadata"]["name"] != two["metadata"]["name"]
        assert (one["data"], one["type"], "stringData" in one) == ({"a": "Yg=="}, "Opaque", False)

    on(either_server, scenario)


def test_refused_creates(either_server):
    async def scenario(wire: Wire):
        path = wire.path(INGRESSES)
        nameless = ingress("x")
        del nameless["metadata"]["name"]
        refused = await wire.post(path, nameless)
        assert refusal(refused)[:2] == (422, "Invalid")
        assert fields_at_fault(refused) == [("metadata.name", "FieldValueRequired")]
        wrong = await wire.post(path, ingress("A_"))
        assert refusal(wrong)[:2] == (422, "Invalid")
        assert fields_at_fault(wrong) == [("metadata.name", "FieldValueInvalid")]
        assert wrong.json["message"].startswith(
            'Ingress.networking.k8s.io "A_" is invalid: metadata.name: Invalid value: '
        )
        empty = ingress("e")
        empty["spec"] = {}
        assert fields_at_fault(await wire.post(path, empty)) == [("spec", "FieldValueInvalid")]
        assert refusal(await wire.post(path, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}}))[
            :2
        ] == (
            400,
            "BadRequest",
        )
        assert refusal(await wire.ask("POST", path, b"{"))[:2] == (400, "BadRequest")
        foreign = ingress("f")
        foreign["metadata"]["namespace"] = "other"
        message = "the namespace of the provided object does not match the namespace sent on the request"
        assert refusal(await wire.post(path, foreign)) == (400, "BadRequest", message)
        nowhere = f"/apis/networking.k8s.io/v1/namespaces/no-{wire.namespace}/ingresses"
        missing = await wire.post(nowhere, ingress("n"))
        assert refusal(missing) == (404, "NotFound", f'namespaces "no-{wire.namespace}" not found')

    on(either_server, scenario)


def test_what_is_not_there(either_server):
    async def scenario(wire: Wire):
        path = wire.path(INGRESSES, "nope")
        expected = (404, "NotFound", 'ingresses.networking.k8s.io "nope" not found')
        assert refusal(await wire.get(path)) == expected
        assert refusal(await wire.delete(path)) == expected
        assert refusal(await wire.patch(path, {"metadata": {"annotations": {"a": "b"}}})) == expected
        assert refusal(await wire.put(path, ingress("nope"))) == expected
        assert refusal(await wire.get(wire.path(SECRETS, "nope"))) == (404, "NotFound", 'secrets "nope" not found')
        unknown = "the server could not find the requested resource"
        assert refusal(await wire.get("/apis/networking.k8s.io/v1/nopes")) == (404, "NotFound", unknown)
        assert (await wire.get("/apis/nope.io/v1/things")).status == 404
        assert refusal(await wire.post(wire.path(INGRESSES, "a"), ingress("a")))[:2] == (405, "MethodNotAllowed")
        assert (await wire.get(wire.path(SECRETS, "nope", "status"))).status == 404

    on(either_server, scenario)


def test_replace_and_its_preconditions(either_server):
    async def scenario(wire: Wire):
        first = (await wire.post(wire.path(INGRESSES), ingress("a"))).json
        path = wire.path(INGRESSES, "a")
        changed = await wire.put(path, first | {"spec": ingress("a", service="t")["spec"]})
        assert changed.status == 200
        assert changed.json["metadata"]["generation"] == 2
        assert changed.json["metadata"]["uid"] == first["metadata"]["uid"]
        assert int(changed.json["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
        why = "the object has been modified; please apply your changes to the latest version and try again"
        stale = await wire.put(path, first)
        message = f'Operation cannot be fulfilled on ingresses.networking.k8s.io "a": {why}'
        assert refusal(stale) == (409, "Conflict", message)
        other = ingress("a")
        other["metadata"]["uid"] = "11111111-1111-1111-1111-111111111111"
        refused = await wire.put(path, other)
        assert refusal(refused)[:2] == (409, "Conflict")
        assert "Precondition failed: UID in precondition" in refused.json["message"]
        unconditional = await wire.put(path, ingress("a", annotations={"x": "y"}))
        assert unconditional.status == 200
        assert unconditional.json["metadata"]["generation"] == 3  # the specification went back
        message = "the name of the object (b) does not match the name on the URL (a)"
        assert refusal(await wire.put(path, ingress("b"))) == (400, "BadRequest", message)
        assert refusal(await wire.put(path, {}))[:2] == (400, "BadRequest")

    on(either_server, scenario)


def test_a_write_that_changes_nothing_makes_no_revision(either_server):
    async def scenario(wire: Wire):
        first = (await wire.post(wire.path(INGRESSES), ingress("a", annotations={"x": "y"}))).json
        path = wire.path(INGRESSES, "a")
        for answer in (
            await wire.put(path, first),
            await wire.put(path, ingress("a", annotations={"x": "y"})),
            await wire.patch(path, {"metadata": {"annotations": {"x": "y"}}}),
        ):
            assert answer.status == 200
            assert answer.json["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    on(either_server, scenario)


def test_merge_patch(either_server):
    async def scenario(wire: Wire):
        first = (await wire.post(wire.path(INGRESSES), ingress("a", annotations={"x": "y", "z": "1"}))).json
        path = wire.path(INGRESSES, "a")
        done = (await wire.patch(path, {"metadata": {"annotations": {"x": None, "n": "2"}}})).json
        assert done["metadata"]["annotations"] == {"z": "1", "n": "2"}
        assert done["metadata"]["generation"] == 1
        stale = await wire.patch(
            path, {"metadata": {"resourceVersion": first["metadata"]["resourceVersion"], "labels": {"l": "1"}}}
        )
        assert refusal(stale)[:2] == (409, "Conflict")
        fresh = {"resourceVersion": done["metadata"]["resourceVersion"], "labels": {"l": "1"}}
        assert (await wire.patch(path, {"metadata": fresh})).json["metadata"]["labels"] == {"l": "1"}
        assert refusal(await wire.ask("PATCH", path, b"{", {"Content-Type": MERGE}))[:2] == (400, "BadRequest")
        assert refusal(await wire.ask("PATCH", path, b"{}", {"Content-Type": "application/json"}))[:2] == (
            415,
            "UnsupportedMediaType",
        )

    on(either_server, scenario)


def test_json_patch(either_server):
    async def scenario(wire: Wire):
        await wire.post(wire.path(INGRESSES), ingress("a", annotations={"x": "y", "a/b": "1"}))
        path = wire.path(INGRESSES, "a")

        async def steps(*steps):
            return await wire.patch(path, list(steps), STEPS)

        done = await steps(
            {"op": "test", "path": "/metadata/annotations/x", "value": "y"},
            {"op": "replace", "path": "/metadata/annotations/a~1b", "value": "2"},
            {"op": "add", "path": "/metadata/annotations/new", "value": "3"},
            {"op": "remove", "path": "/metadata/annotations/x"},
        )
        assert done.json["metadata"]["annotations"] == {"a/b": "2", "new": "3"}
        for wrong in (
            {"op": "test", "path": "/metadata/annotations/new", "value": "4"},
            {"op": "remove", "path": "/metadata/annotations/x"},
            {"op": "replace", "path": "/metadata/nope/x", "value": "4"},
        ):
            assert refusal(await steps(wrong))[:2] == (422, "Invalid")
        stale = await steps({"op": "replace", "path": "/metadata/resourceVersion", "value": "1"})
        assert refusal(stale)[:2] == (409, "Conflict")

    on(either_server, scenario)


def test_the_status_is_written_apart(either_server):
    async def scenario(wire: Wire):
        first = (await wire.post(wire.path(INGRESSES), ingress("a"))).json
        status = {"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}
        wished = first | {"status": status, "spec": ingress("a", service="other")["spec"]}
        done = await wire.put(wire.path(INGRESSES, "a", "status"), wished)
        assert done.status == 200
        assert (done.json["status"], done.json["spec"]) == (status, first["spec"])
        assert done.json["metadata"]["generation"] == 1
        assert refusal(await wire.put(wire.path(INGRESSES, "a", "status"), wished))[:2] == (409, "Conflict")
        ignored = (await wire.patch(wire.path(INGRESSES, "a"), {"status": {"loadBalancer": {"ingress": None}}})).json
        assert ignored["status"] == status
        assert ignored["metadata"]["resourceVersion"] == done.json["metadata"]["resourceVersion"]
        patched = await wire.patch(wire.path(INGRESSES, "a", "status"), {"status": {"loadBalancer": {"ingress": None}}})
        assert patched.json["status"] == {"loadBalancer": {}}
        assert (await wire.get(wire.path(INGRESSES, "a", "status"))).json == patched.json

    on(either_server, scenario)


def test_delete_and_its_preconditions(either_server):
    async def scenario(wire: Wire):
        first = (await wire.post(wire.path(INGRESSES), ingress("a"))).json
        path = wire.path(INGRESSES, "a")
        uid = first["metadata"]["uid"]
        wrong = await wire.delete(path, {"preconditions": {"uid": "x"}})
        assert refusal(wrong)[:2] == (409, "Conflict")
        assert f"the UID in the precondition (x) does not match the UID in record ({uid})" in wrong.json["message"]
        stale = await wire.delete(path, {"preconditions": {"resourceVersion": "1"}})
        assert refusal(stale)[:2] == (409, "Conflict")
        assert "the ResourceVersion in the precondition (1) does not match" in stale.json["message"]
        fine = {"uid": uid, "resourceVersion": first["metadata"]["resourceVersion"]}
        done = await wire.delete(path, {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": fine})
        assert done.status == 200
        about = {"name": "a", "group": "networking.k8s.io", "kind": "ingresses", "uid": uid}
        assert (done.json["status"], done.json["details"]) == ("Success", about)
        assert (await wire.get(path)).status == 404

    on(either_server, scenario)


def test_a_finalizer_keeps_an_object(either_server):
    async def scenario(wire: Wire):
        body = ingress("a")
        body["metadata"]["finalizers"] = ["example.com/mine"]
        await wire.post(wire.path(INGRESSES), body)
        path = wire.path(INGRESSES, "a")
        waiting = (await wire.delete(path)).json
        assert waiting["kind"] == "Ingress"
        assert waiting["metadata"]["deletionTimestamp"]
        assert (await wire.get(path)).status == 200
        assert (await wire.patch(path, {"metadata": {"finalizers": None}})).status == 200
        assert (await wire.get(path)).status == 404

    on(either_server, scenario)


def test_delete_of_many(either_server):
    async def scenario(wire: Wire):
        for name, label in (("a", "x"), ("b", "y"), ("c", "x")):
            await wire.post(wire.path(INGRESSES), ingress(name, labels={"l": label}))
        done = await wire.ask("DELETE", wire.path(INGRESSES), query={"labelSelector": "l=x"})
        assert (done.status, names(done)) == (200, ["a", "c"])
        assert names(await wire.get(wire.path(INGRESSES))) == ["b"]

    on(either_server, scenario)


def test_leases_are_replaced_with_their_revision_alone(either_server):
    async def scenario(wire: Wire):
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {}}
        first = await wire.put(wire.path(LEASES, "l"), lease)  # created by a replace
        assert first.status == 201
        blind = await wire.put(wire.path(LEASES, "l"), lease | {"spec": {"holderIdentity": "x"}})
        assert refusal(blind)[:2] == (422, "Invalid")
        assert fields_at_fault(blind) == [("metadata.resourceVersion", "FieldValueInvalid")]
        taken = await wire.put(wire.path(LEASES, "l"), first.json | {"spec": {"holderIdentity": "x"}})
        assert (taken.status, taken.json["spec"]) == (200, {"holderIdentity": "x"})
        assert refusal(await wire.put(wire.path(LEASES, "l"), first.json | {"spec": {"holderIdentity": "y"}}))[0] == 409

    on(either_server, scenario)


def test_lists_in_pages_are_of_one_moment(either_server):
    async def scenario(wire: Wire):
        for name in "abcde":
            await wire.post(wire.path(INGRESSES), ingress(name))
        whole = await wire.get(wire.path(INGRESSES))
        assert (names(whole), whole.json["kind"]) == (list("abcde"), "IngressList")
        assert not {"kind", "apiVersion"} & whole.json["items"][0].keys()
        first = await wire.get(wire.path(INGRESSES), limit="2")
        assert (names(first), first.json["metadata"]["remainingItemCount"]) == (["a", "b"], 3)
        await wire.post(wire.path(INGRESSES), ingress("bb"))
        await wire.delete(wire.path(INGRESSES, "d"))
        proceed = {"limit": "2", "continue": first.json["metadata"]["continue"]}
        second = await wire.get(wire.path(INGRESSES), **proceed)
        assert names(second) == ["c", "d"]
        assert second.json["metadata"]["resourceVersion"] == first.json["metadata"]["resourceVersion"]
        third = await wire.get(wire.path(INGRESSES), limit="2", **{"continue": second.json["metadata"]["continue"]})
        assert names(third) == ["e"]
        assert "continue" not in third.json["metadata"]
        assert names(await wire.get(wire.path(INGRESSES))) == ["a", "b", "bb", "c", "e"]
        message = "specifying resource version is not allowed when using continue"
        refused = await wire.get(wire.path(INGRESSES), resourceVersion="5", **proceed)
        assert refusal(refused) == (400, "BadRequest", message)
        assert refusal(await wire.get(wire.path(INGRESSES), **{"continue": "junk", "limit": "1"}))[:2] == (
            400,
            "BadRequest",
        )

    on(either_server, scenario)


def test_resource_versions_of_lists(either_server):
    async def scenario(wire: Wire):
        await wire.post(wire.path(INGRESSES), ingress("a"))
        revision = (await wire.get(wire.path(INGRESSES))).json["metadata"]["resourceVersion"]
        await wire.post(wire.path(INGRESSES), ingress("b"))
        path = wire.path(INGRESSES)
        exact = await wire.get(path, resourceVersion=revision, resourceVersionMatch="Exact")
        assert (names(exact), exact.json["metadata"]["resourceVersion"]) == (["a"], revision)
        later = await wire.get(path, resourceVersion=revision, resourceVersionMatch="NotOlderThan")
        assert names(later) == ["a", "b"]
        assert names(await wire.get(path, resourceVersion=revision)) == ["a", "b"]
        assert names(await wire.get(path, resourceVersion=revision, limit="5")) == ["a"]
        any_age = await wire.get(path, resourceVersion="0", limit="1")
        assert names(any_age) == ["a", "b"]  # the watch cache knows no limit
        assert "continue" not in any_age.json["metadata"]

    on(either_server, scenario)


MATCH = "resourceVersionMatch"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({MATCH: "Exact"}, (MATCH, "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided")),
        (
            {MATCH: "Exact", "resourceVersion": "0"},
            (MATCH, 'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
        ),
        (
            {MATCH: "Nope", "resourceVersion": "1"},
            (MATCH, 'Unsupported value: "Nope": supported values: "Exact", "NotOlderThan", ""'),
        ),
        (
            {"sendInitialEvents": "true"},
            ("sendInitialEvents", "Forbidden: sendInitialEvents is forbidden for list"),
        ),
        (
            {"watch": "1", "sendInitialEvents": "true"},
            (MATCH, "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        ),
        (
            {"watch": "1", MATCH: "NotOlderThan"},
            (MATCH, "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"),
        ),
    ],
)
def test_parameters_that_contradict_each_other(either_server, query, expected):
    async def scenario(wire: Wire):
        answer = await wire.ask("GET", wire.path(INGRESSES), query=query)
        field, why = expected
        assert refusal(answer) == (422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {field}: {why}')
        assert [cause["field"] for cause in answer.json["details"]["causes"]] == [field]

    on(either_server, scenario)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"resourceVersion": "abc"}, (400, "BadRequest", "invalid resource version: resourceVersion: ")),
        ({"resourceVersion": "99999999"}, (504, "Timeout", "Timeout: Too large resource version: 99999999, current: ")),
        ({"fieldSelector": "spec.foo=a"}, (400, "BadRequest", '"spec.foo" is not a known field selector: only ')),
        ({"labelSelector": "==="}, (400, "BadRequest", "")),
    ],
)
def test_parameters_that_make_no_sense(either_server, query, expected):
    async def scenario(wire: Wire):
        answer = await wire.ask("GET", wire.path(INGRESSES), query=query)
        status, reason, message = refusal(answer)
        assert (status, reason) == expected[:2]
        assert message.startswith(expected[2])
        if status == 504:
            causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
            assert answer.json["details"] == {"causes": causes, "retryAfterSeconds": 1}

    on(either_server, scenario)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=a", "a"),
        ("app==a", "a"),
        ("app!=a", "bcd"),
        ("app in (a,b)", "ab"),
        ("app notin (a, b)", "cd"),
        ("app", "abc"),
        ("!app", "d"),
        ("app in (a,b),tier=x", "a"),
        ("tier", "ad"),
        ("example.com/role=web", "d"),
    ],
)
def test_label_selectors(either_server, selector, expected):
    async def scenario(wire: Wire):
        for name, labels in {
            "a": {"app": "a", "tier": "x"},
            "b": {"app": "b"},
            "c": {"app": "c"},
            "d": {"tier": "y", "example.com/role": "web"},
        }.items():
            await wire.post(wire.path(INGRESSES), ingress(name, labels=labels))
        assert names(await wire.get(wire.path(INGRESSES), labelSelector=selector)) == list(expected)

    on(either_server, scenario)


def test_field_selectors(either_server):
    async def scenario(wire: Wire):
        for name, kind in (("a", "Opaque"), ("b", "example.com/x")):
            secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name}, "type": kind}
            assert (await wire.post(wire.path(SECRETS), secret)).status == 201
        path = wire.path(SECRETS)
        assert names(await wire.get(path, fieldSelector="type=Opaque")) == ["a"]
        assert names(await wire.get(path, fieldSelector="type!=Opaque")) == ["b"]
        assert names(await wire.get(path, fieldSelector="metadata.name=b")) == ["b"]
        assert names(await wire.get(path, fieldSelector="metadata.name=b,type=Opaque")) == []
        everywhere = {"fieldSelector": f"metadata.namespace={wire.namespace}"}
        assert names(await wire.get("/api/v1/secrets", **everywhere)) == ["a", "b"]

    on(either_server, scenario)


def test_metadata_only(either_server):
    async def scenario(wire: Wire):
        await wire.post(wire.path(INGRESSES), ingress("a", labels={"x": "y"}))
        accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        listed = await wire.ask("GET", wire.path(INGRESSES), headers={"Accept": accept})
        assert (listed.json["kind"], listed.json["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
        item = listed.json["items"][0]
        assert set(item) == {"kind", "apiVersion", "metadata"}
        assert (item["kind"], item["metadata"]["labels"]) == ("PartialObjectMetadata", {"x": "y"})
        accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        one = await wire.ask("GET", wire.path(INGRESSES, "a"), headers={"Accept": accept})
        assert set(one.json) == {"kind", "apiVersion", "metadata"}

    on(either_server, scenario)


def test_who_may_not(either_server):
    async def scenario(wire: Wire):
        path = wire.path(INGRESSES)
        place = f'in API group "networking.k8s.io" in the namespace "{wire.namespace}"'
        why = f'User "user" cannot list resource "ingresses" {place}'
        listed = await wire.get(path)
        assert refusal(listed) == (403, "Forbidden", f"ingresses.networking.k8s.io is forbidden: {why}")
        one = await wire.get(wire.path(SECRETS, "s"))
        why = f'User "user" cannot get resource "secrets" in API group "" in the namespace "{wire.namespace}"'
        assert refusal(one) == (403, "Forbidden", f'secrets "s" is forbidden: {why}')
        cluster = await wire.get("/apis/networking.k8s.io/v1/ingressclasses", watch="1")
        assert refusal(cluster)[:2] == (403, "Forbidden")
        assert cluster.json["message"].endswith("at the cluster scope")
        status = await wire.put(wire.path(INGRESSES, "a", "status"), ingress("a"))
        assert 'cannot update resource "ingresses/status"' in status.json["message"]

    on(either_server, scenario, "user")


def test_an_unknown_token(either_server):
    async def scenario(wire: Wire):
        refused = await wire.ask("GET", wire.path(INGRESSES), headers={"Authorization": "Bearer wrong"})
        assert refusal(refused) == (401, "Unauthorized", "Unauthorized")

    on(either_server, scenario)


def test_token_reviews(either_server):
    async def scenario(wire: Wire):
        path = "/apis/authentication.k8s.io/v1/tokenreviews"
        review = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1"}
        known = await wire.post(path, review | {"spec": {"token": wire.tokens["other"]}})
        assert known.status == 201
        status = known.json["status"]
        assert (status["authenticated"], status["user"]["username"]) == (True, "other")
        assert "system:authenticated" in status["user"]["groups"]
        unknown = (await wire.post(path, review | {"spec": {"token": "wrong"}})).json["status"]
        assert (unknown["user"], unknown.get("authenticated", False)) == ({}, False)
        assert unknown["error"]
        elsewhere = {"spec": {"token": wire.tokens["other"], "audiences": ["weirkeeper"]}}
        assert not (await wire.post(path, review | elsewhere)).json["status"].get("authenticated", False)

    on(either_server, scenario)


def test_discovery(either_server):
    async def scenario(wire: Wire):
        assert (await wire.get("/api")).json["versions"] == ["v1"]
        groups = {group["name"]: group for group in (await wire.get("/apis")).json["groups"]}
        assert groups["networking.k8s.io"]["preferredVersion"]["version"] == "v1"
        assert (await wire.get("/apis/networking.k8s.io")).json["kind"] == "APIGroup"
        listed = (await wire.get("/apis/networking.k8s.io/v1")).json
        assert (listed["kind"], listed["groupVersion"]) == ("APIResourceList", "networking.k8s.io/v1")
        found = {resource["name"]: resource for resource in listed["resources"]}
        for name, kind, namespaced in (("ingresses", "Ingress", True), ("ingressclasses", "IngressClass", False)):
            assert (found[name]["kind"], found[name]["namespaced"]) == (kind, namespaced)
            assert {"get", "list", "watch"} <= set(found[name]["verbs"])
        assert found["ingresses/status"]["kind"] == "Ingress"
        core = {resource["name"]: resource for resource in (await wire.get("/api/v1")).json["resources"]}
        assert (core["services"]["kind"], core["nodes"]["namespaced"]) == ("Service", False)
        assert (await wire.get("/apis/nope.io/v1")).status == 404
        assert (await wire.get("/version")).json["major"] == "1"

    on(either_server, scenario)


def test_a_definition_brings_its_kind(either_server):
    async def scenario(wire: Wire):
        group = f"g{secrets.token_hex(4)}.example.com"
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        version = {"name": "v1", "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
        names_ = {"plural": "things", "singular": "thing", "kind": "Thing"}
        definition = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"things.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": names_, "versions": [version]},
        }
        made = await wire.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        assert made.status == 201
        path = f"/apis/{group}/v1/namespaces/{wire.namespace}/things"
        thing = {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": {"a": 1}}
        created = await wire.until(lambda: wire.post(path, thing), lambda answer: answer.status == 201)
        listed = await wire.get(path)
        assert listed.json["kind"] == "ThingList"
        assert listed.json["items"][0]["kind"] == "Thing"  # custom resources say what they are, in lists too
        wished = created.json | {"status": {"ok": True}, "spec": {"a": 2}}
        wished["metadata"] = created.json["metadata"] | {"annotations": {"n": "1"}}
        done = (await wire.put(f"{path}/t/status", wished)).json
        assert (done["status"], done["spec"], "annotations" in done["metadata"]) == ({"ok": True}, {"a": 1}, False)
        blind = {key: value for key, value in wished.items() if key != "status"} | {"metadata": {"name": "t"}}
        assert refusal(await wire.put(f"{path}/t", blind))[:2] == (422, "Invalid")
        found = {entry["name"] for entry in (await wire.get(f"/apis/{group}/v1")).json["resources"]}
        assert found == {"things", "things/status"}

    on(either_server, scenario)


def test_namespaces(either_server):
    async def scenario(wire: Wire):
        found = await wire.get(f"{NAMESPACES}/{wire.namespace}")
        assert found.json["metadata"]["labels"] == {"kubernetes.io/metadata.name": wire.namespace}
        assert found.json["status"]["phase"] == "Active"

    on(either_server, scenario)
