"""Workloads as backends: by `backend.resource`, as Rancher 2 named them, several on one path; and which pods are theirs."""

import base64
import hashlib
import json

import msgspec
import pytest
from build import SHOP, World, ingress, notes, path

from weirkeeper.controllers.base import COMMON_KINDS, Inputs
from weirkeeper.controllers.ingress import IngressSettings
from weirkeeper.controllers.ingress.controller import WORKLOAD_KINDS
from weirkeeper.controllers.shared.backends import declare_endpoint_sets
from weirkeeper.controllers.shared.workloads import declare_selections
from weirkeeper.feeds.kube.problems import not_listed
from weirkeeper.flow import Graph
from weirkeeper.kube.errors import Forbidden
from weirkeeper.kube.workloads import Deployment, Pod, PodSelection, workload_of
from weirkeeper.model.endpoint import EndpointSetWish, PodsOf
from weirkeeper.model.finding import Reason
from weirkeeper.model.ids import Part, Ref
from weirkeeper.model.route import Respond

RANCHER = "field.cattle.io/ingressState"


def ref(kind, name, namespace="d"):
    return Ref(group="apps", kind=kind, namespace=namespace, name=name)


def workload(kind, name, *ports, selector=None):
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": "d"},
        "spec": {
            "selector": selector or {"matchLabels": {"app": name}},
            "template": {"spec": {"containers": [{"ports": list(ports)}]}},
        },
    }


def resource(name, kind="Deployment", group="apps", at="/"):
    return (
        f"{{path: '{at}', pathType: Prefix, backend: {{resource: {{apiGroup: {group}, kind: {kind}, name: {name}}}}}}}"
    )


HTTP = {"name": "http", "containerPort": 8080}
PLAIN = {"containerPort": 8080}
WEB = workload("Deployment", "web", HTTP)


def world(*documents, settings=None):
    made = World(SHOP, *documents, settings=settings)
    for kind in ("Deployment", "StatefulSet", "DaemonSet"):
        made.graph.put(made.inputs.complete, kind, True)
    made.graph.settle()
    return made


def intent(*documents, **options):
    return world(*documents, **options).intents()["i"]


def reasons(found):
    return [f.reason for f in found.findings]


def actions(found):
    return [hosted.route.action for hosted in found.routes]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_workload_is_a_backend_without_a_service(kind):
    found = intent(workload(kind, "web", HTTP), ingress(resource("web", kind)))
    (wish,), (backend,), (action,) = found.endpoint_sets, found.backends, actions(found)
    assert wish.workloads == (PodsOf(workload=ref(kind, "web"), port_name="http"),)
    assert [weighted.backend for weighted in action.backends] == [backend.id] == [wish.id]
    assert [origin.ref for origin in backend.origins] == [ref(kind, "web")]
    assert reasons(found) == []


@pytest.mark.parametrize(
    ("annotation", "wished"),
    [
        ("9090", PodsOf(workload=ref("Deployment", "web"), port=9090)),
        ("admin", PodsOf(workload=ref("Deployment", "web"), port_name="admin")),
        ("other=1, web=admin", PodsOf(workload=ref("Deployment", "web"), port_name="admin")),
        ("7070, web=9090", PodsOf(workload=ref("Deployment", "web"), port=9090)),
    ],
)
def test_the_annotation_says_the_port(annotation, wished):
    two = workload("Deployment", "web", HTTP, {"name": "admin", "containerPort": 9000})
    said = json.dumps({"weirkeeper.io/workload-port": annotation})
    found = intent(two, ingress(resource("web"), annotations=said))
    assert [wish.workloads for wish in found.endpoint_sets] == [(wished,)]
    assert reasons(found) == []


def test_the_only_port_without_a_name_is_taken_by_its_number():
    udp = {"containerPort": 53, "protocol": "UDP"}
    found = intent(workload("Deployment", "web", PLAIN, udp), ingress(resource("web")))
    assert [wish.workloads for wish in found.endpoint_sets] == [(PodsOf(workload=ref("Deployment", "web"), port=8080),)]


@pytest.mark.parametrize(("ports", "annotation"), [((), None), ((HTTP, PLAIN), None), ((HTTP,), "admin")])
def test_a_port_that_is_not_settled_is_told_of_and_answered_503(ports, annotation):
    said = json.dumps({"weirkeeper.io/workload-port": annotation} if annotation else {})
    found = intent(workload("Deployment", "web", *ports), ingress(resource("web"), annotations=said))
    assert (actions(found), reasons(found)) == ([Respond(status=503)], [Reason.PORT_NOT_FOUND])
    assert "weirkeeper.io/workload-port" in found.findings[0].remedy


@pytest.mark.parametrize("text", ["0", "65536", "HTTP", "a b", "web=", "=80", "web=80=90", "much-too-long-a-name"])
def test_a_port_that_is_none_is_told_of(text):
    said = json.dumps({"weirkeeper.io/workload-port": text})
    assert Reason.INVALID_ANNOTATION in reasons(intent(WEB, ingress(resource("web"), annotations=said)))


def test_a_missing_workload_is_told_of_and_answered_503():
    found = intent(ingress(resource("web")))
    assert (actions(found), reasons(found)) == ([Respond(status=503)], [Reason.WORKLOAD_NOT_FOUND])
    assert found.findings[0].origin.path == "spec.rules[0].http.paths[0].backend.resource"
    assert found.endpoint_sets == ()


def test_of_a_workload_that_is_not_known_yet_nothing_is_said():
    found = World(SHOP, ingress(resource("web"))).intents()["i"]
    assert reasons(found) == []
    assert [wish.workloads for wish in found.endpoint_sets] == [(PodsOf(workload=ref("Deployment", "web")),)]


@pytest.mark.parametrize(("kind", "group"), [("ReplicaSet", "apps"), ("Deployment", "example.org"), ("Bucket", "''")])
def test_other_kinds_are_no_backends(kind, group):
    assert reasons(intent(WEB, ingress(resource("web", kind, group)))) == [Reason.UNSUPPORTED_BACKEND]


def test_an_install_without_workloads_says_which_component_is_missing():
    made = World(SHOP, ingress(resource("web")), settings=IngressSettings(workloads=False))
    found = made.intents()["i"]
    assert (actions(found), reasons(found)) == ([Respond(status=503)], [Reason.BACKENDS_NOT_READ])
    assert "component workloads" in found.findings[0].remedy


def test_how_the_ingress_speaks_to_backends_holds_for_workloads_too():
    said = notes(backend_protocol="GRPC", service_upstream="true")
    (backend,) = intent(WEB, ingress(resource("web"), annotations=said)).backends
    assert (backend.protocol, backend.source.id) == ("grpc", "d/workloads/Deployment:d:web:0")


def rancher(ids, host="a.example", port=8080):
    """The Service's name and the annotation that Rancher 2 makes of a path with workloads."""
    key = f"i/d/{host}///{port}".encode()
    state = {base64.urlsafe_b64encode(key).decode(): ids}
    return f"ingress-{hashlib.md5(key).hexdigest()}", json.dumps({RANCHER: json.dumps(state)})


def test_ranchers_annotation_names_several_workloads_behind_one_path():
    name, said = rancher("deployment:d:web/statefulset:d:db")
    found = intent(
        WEB, workload("StatefulSet", "db", PLAIN),
        ingress(path(service=name, port="{number: 8080}"), annotations=said),
    )  # fmt: skip
    assert [wish.workloads for wish in found.endpoint_sets] == [
        (PodsOf(workload=ref("Deployment", "web"), port=8080), PodsOf(workload=ref("StatefulSet", "db"), port=8080))
    ]
    assert reasons(found) == []


def test_two_ingresses_that_name_the_same_workloads_share_a_backend_whatever_their_order():
    name, said = rancher("deployment:d:web/statefulset:d:db")
    _, other = rancher("statefulset:d:db/deployment:d:web")
    to = path(service=name, port="{number: 8080}")
    made = world(
        WEB, workload("StatefulSet", "db", PLAIN), ingress(to, annotations=said), ingress(to, name="j", host="b.example", annotations=other)
    ).intents()  # fmt: skip
    assert made["i"].endpoint_sets == made["j"].endpoint_sets
    assert made["i"].backends == made["j"].backends


def test_the_name_of_the_service_is_ranchers():
    """As an export of a real cluster has it."""
    key = "dGVzdDM1NjJuZ2lueC90ZXN0MzU2Mi9uZ2lueC5kZXZvcHMtY29tbW9ucy5pYS5hbGYudWsvL3Rlc3QzNTYyLzgwODA="
    said = json.dumps({RANCHER: json.dumps({key: "deployment:d:web"})})
    name = "ingress-d73337797b0dbe4259c955dd6eae86e5"
    found = intent(WEB, ingress(path(service=name, port="{number: 8080}"), annotations=said))
    assert [len(wish.workloads) for wish in found.endpoint_sets] == [1]


def test_one_of_several_is_missing_and_the_others_serve():
    name, said = rancher("deployment:d:web/deployment:d:gone/cronjob:d:x/deployment:other:web")
    found = intent(WEB, ingress(path(service=name, port="{number: 8080}"), annotations=said))
    assert [[one.workload.name for one in wish.workloads] for wish in found.endpoint_sets] == [["web"]]
    assert reasons(found) == [Reason.UNSUPPORTED_BACKEND, Reason.CROSS_NAMESPACE, Reason.WORKLOAD_NOT_FOUND]
    assert all("the other workloads serve" in f.for_user for f in found.findings)


def test_a_thousand_workloads_behind_one_path_are_too_many():
    name, said = rancher("/".join(f"deployment:d:web-{n}" for n in range(1000)))
    found = World(SHOP, ingress(path(service=name, port="{number: 8080}"), annotations=said)).intents()["i"]
    assert [len(wish.workloads) for wish in found.endpoint_sets] == [100]
    assert reasons(found) == [Reason.TOO_LARGE]


def test_a_workload_that_may_not_be_read_is_told_of_and_not_called_missing():
    made = World(SHOP, ingress(resource("web")))
    refused = not_listed(
        Ref(kind="Feed", name="x"), "the Deployment d/web", Forbidden("no", status=403), ref("Deployment", "web")
    )
    made.graph.put(made.inputs.problems, refused.ref, (refused.problem,))
    made.graph.settle()
    found = made.intents()["i"]
    assert (actions(found), reasons(found)) == ([Respond(status=503)], [Reason.NOT_LISTED])


def test_a_path_to_a_service_is_one_whatever_ranchers_annotation_says_of_others():
    _, said = rancher("")
    found = intent(ingress(path(), annotations=said))
    assert [wish.service.kind for wish in found.endpoint_sets] == ["Service"]


@pytest.mark.parametrize("text", ["[]", "{", '{"%": "deployment:d:web"}'])
def test_an_annotation_that_is_not_ranchers_is_told_of_once(text):
    found = intent(ingress(path(), path("/a"), annotations=json.dumps({RANCHER: text})))
    assert reasons(found) == [Reason.INVALID_ANNOTATION]
    assert len(found.endpoint_sets) == 1


def test_the_service_that_rancher_made_serves_where_workloads_are_not_read():
    name, said = rancher("deployment:d:web")
    made = f"kind: Service\nmetadata: {{name: {name}, namespace: d}}\nspec: {{ports: [{{port: 8080}}]}}"
    one = ingress(path(service=name, port="{number: 8080}"), annotations=said)
    without = World(made, one, settings=IngressSettings(workloads=False)).intents()["i"]
    assert [wish.service.kind for wish in without.endpoint_sets] == ["Service"]
    assert [len(wish.workloads) for wish in world(made, one, WEB).intents()["i"].endpoint_sets] == [1]


def pod(name, ip="10.0.0.1", *, owner=("ReplicaSet", "web-77"), ready="True", phase="Running", deleted=None, port=8080):
    kind, of = owner
    labels = {"pod-template-hash": "77"} if kind == "ReplicaSet" else {}
    return msgspec.convert(
        {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "name": name, "namespace": "d", "labels": labels, "deletionTimestamp": deleted,
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": of, "controller": True}],
            },
            "spec": {"nodeName": "n1", "containers": [{"ports": [{"name": "http", "containerPort": port}]}]},
            "status": {"phase": phase, "podIP": ip, "conditions": [{"type": "Ready", "status": ready}]},
        },
        Pod,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("owner", "kind", "name"),
    [
        (("ReplicaSet", "web-77"), "Deployment", "web"),
        (("ReplicaSet", "web-b-77"), "Deployment", "web-b"),
        (("StatefulSet", "db"), "StatefulSet", "db"),
        (("DaemonSet", "log"), "DaemonSet", "log"),
    ],
)
def test_a_pod_is_of_the_workload_that_controls_it(owner, kind, name):
    one = pod("x", owner=owner)
    assert workload_of(one.ref, one) == ref(kind, name)


@pytest.mark.parametrize("owner", [("ReplicaSet", "web-78"), ("ReplicaSet", "-77"), ("Job", "web")])
def test_a_pod_of_another_controller_is_of_none(owner):
    one = pod("x", owner=owner)
    assert workload_of(one.ref, one) is None


class Sets:
    """The endpoint set of one wish for workloads, over pods."""

    def __init__(self, *workloads):
        self.graph = Graph()
        self.inputs = Inputs(self.graph, (*COMMON_KINDS, *WORKLOAD_KINDS))
        wishes = self.graph.source("wishes")
        self.sets = declare_endpoint_sets(self.graph, self.inputs, wishes, allow_local=False)
        self.selections = declare_selections(self.graph, self.inputs, wishes)
        wish = EndpointSetWish(id="x", service=workloads[0].workload, port_name="", workloads=workloads)
        self.graph.put(wishes, Part("lb", "x"), wish)

    def put(self, *objects):
        for one in objects:
            self.graph.put(self.inputs.of(type(one)), one.ref, one)
        self.graph.settle()
        return [(e.address, e.port, e.state.value) for e in self.graph.get(self.sets, Part("lb", "x")).endpoints]


BY_NAME = PodsOf(workload=ref("Deployment", "web"), port_name="http")


@pytest.mark.parametrize(
    ("made", "members"),
    [
        (pod("a"), [("10.0.0.1", 8080, "ready")]),
        (pod("a", port=9090), [("10.0.0.1", 9090, "ready")]),
        (pod("a", ready="False"), [("10.0.0.1", 8080, "not-ready")]),
        (pod("a", deleted="2026-01-01T00:00:00Z"), [("10.0.0.1", 8080, "serving")]),
        (pod("a", ready="False", deleted="2026-01-01T00:00:00Z"), [("10.0.0.1", 8080, "not-ready")]),
        (pod("a", phase="Failed"), []),
        (pod("a", ""), []),
        (pod("a", "127.0.0.1"), []),
        (pod("a", owner=("ReplicaSet", "other-77")), []),
    ],
)
def test_pods_are_members_as_they_are(made, members):
    assert Sets(BY_NAME).put(made) == members


def test_pods_of_several_workloads_are_members_together():
    sets = Sets(BY_NAME, PodsOf(workload=ref("StatefulSet", "db"), port=5000))
    assert sets.put(pod("a"), pod("b", "10.0.0.2", owner=("StatefulSet", "db"))) == [
        ("10.0.0.1", 8080, "ready"),
        ("10.0.0.2", 5000, "ready"),
    ]


def test_pods_are_asked_for_by_the_labels_of_workloads_that_are_there():
    sets = Sets(BY_NAME)
    sets.put()
    assert sets.graph.rows(sets.selections) == {}
    conditions = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "old", "operator": "DoesNotExist"},
    ]
    selector = {"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": conditions}
    sets.put(msgspec.convert({**workload("Deployment", "web", selector=selector), "apiVersion": "apps/v1"}, Deployment))
    assert list(sets.graph.rows(sets.selections)) == [PodSelection("local", "d", "a=1,b=2,tier in (a,b),!old")]
