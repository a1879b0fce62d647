"""Endpoints, certificates, regular expressions, old forms."""

import datetime

import msgspec
import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from weirkeeper.controllers.base import COMMON_KINDS, Inputs
from weirkeeper.controllers.shared.backends import declare_endpoint_sets, endpoint_set, slice_findings
from weirkeeper.controllers.shared.certificates import (
    Pair,
    certificate_result,
    checked_pair,
    clock,
    declare_certificates,
)
from weirkeeper.controllers.shared.old_forms import modernised
from weirkeeper.controllers.shared.parameters import ClassSpec, client_address
from weirkeeper.controllers.shared.regexes import Regex, checked_regex, quoted
from weirkeeper.flow import Graph
from weirkeeper.kube.types import EndpointSlice, Ingress, Secret, Service
from weirkeeper.model.certificate import CertificateWish
from weirkeeper.model.endpoint import Endpoint, EndpointSetWish, EndpointState
from weirkeeper.model.finding import Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import ClientAddress
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Refused
from weirkeeper.testing.certificates import Authority

SERVICE = Ref(kind="Service", namespace="d", name="s")
WISH = EndpointSetWish(id="d/s/80", service=SERVICE, port_name="http")


def a_slice(*endpoints, family="IPv4", ports=None, name="x"):
    ports = ports or [{"name": "http", "port": 8080}, {"name": "rpc", "port": 9090}]
    labels = {"kubernetes.io/service-name": "s"}
    document = {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {"name": name, "namespace": "d", "labels": labels},
        "addressType": family,
        "endpoints": list(endpoints),
        "ports": ports,
    }
    return msgspec.convert(document, EndpointSlice)


def at(address, **conditions):
    return {"addresses": [address], "conditions": conditions}


def found(*slices, **options):
    return [(e.address, e.port, e.state.value) for e in endpoint_set(WISH, slices, **options).endpoints]


def test_endpoints_are_those_of_the_port_over_all_slices_and_families_in_order():
    four, six = a_slice(at("10.0.0.2"), at("10.0.0.1", ready=True)), a_slice(at("2001:db8::1"), family="IPv6")
    assert found(six, four) == [
        ("10.0.0.1", 8080, "ready"),
        ("10.0.0.2", 8080, "ready"),
        ("2001:db8::1", 8080, "ready"),
    ]
    only_four = msgspec.structs.replace(WISH, families=(4,))
    assert len(endpoint_set(only_four, (four, six)).endpoints) == 2


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ({}, EndpointState.READY),
        ({"ready": True}, EndpointState.READY),
        ({"ready": False, "serving": True, "terminating": True}, EndpointState.SERVING),
        ({"ready": False, "serving": True, "terminating": False}, EndpointState.NOT_READY),
        ({"ready": False}, EndpointState.NOT_READY),
    ],
)
def test_conditions_say_whether_it_takes_traffic(conditions, state):
    assert found(a_slice(at("10.0.0.1", **conditions))) == [("10.0.0.1", 8080, state.value)]


def test_an_address_in_two_slices_counts_once_with_its_better_state():
    assert found(a_slice(at("10.0.0.1", ready=False)), a_slice(at("10.0.0.1"))) == [("10.0.0.1", 8080, "ready")]


@pytest.mark.parametrize("address", ["169.254.169.254", "224.0.0.1", "0.0.0.0", "host", ""])
def test_addresses_that_traffic_may_not_be_sent_to_are_left_out_and_told(address):
    bad = a_slice(at(address))
    assert found(bad) == []
    assert [f.reason for f in slice_findings(bad)] == [Reason.ADDRESS_REFUSED]


def test_loopback_is_for_files_only():
    local = a_slice(at("127.0.0.1"))
    assert len(found(local)) == 1
    assert found(local, allow_local=False) == []


def world():
    graph = Graph()
    return graph, Inputs(graph, COMMON_KINDS)


def test_endpoint_sets_follow_their_slices_alone():
    graph, inputs = world()
    wishes = graph.source("wishes")
    sets = declare_endpoint_sets(graph, inputs, wishes)
    graph.put(wishes, "w", WISH)
    graph.put(
        wishes,
        "static",
        EndpointSetWish(id="x", service=SERVICE, port_name="", static=(Endpoint(address="127.0.0.1", port=1),)),
    )
    graph.put(wishes, "service", EndpointSetWish(id="y", service=SERVICE, port_name="", service_port=80))
    service = msgspec.convert(
        {"kind": "Service", "metadata": {"name": "s", "namespace": "d"}, "spec": {"clusterIP": "10.9.0.1"}}, Service
    )
    graph.put(inputs.of(Service), service.ref, service)
    one = a_slice(at("10.0.0.1"))
    graph.put(inputs.of(EndpointSlice), one.ref, one)
    graph.settle()
    assert [len(graph.get(sets, k).endpoints) for k in ("w", "static", "service")] == [1, 1, 1]
    graph.put(inputs.of(EndpointSlice), one.ref, None)
    assert list(graph.settle().changes(sets)) == ["w"]


CA = Authority()
OLD = {
    "not_before": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    "not_after": datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC),
}
CERT_WISH = CertificateWish(
    id="d/t", secret=Ref(kind="Secret", namespace="d", name="t"), hosts=("a.example",), origin=Origin(ref=SERVICE)
)


def texts(pair):
    return pair.certificate.decode(), pair.key.decode()


def test_a_good_pair_is_read():
    pair = checked_pair(*texts(CA.issue("A.example", "*.b.example", chain=True)))
    assert isinstance(pair, Pair)
    assert pair.names == ("*.b.example", "a.example")
    assert certificate_result(CERT_WISH, pair, "2026-01-01T00:00:00Z").problems == ()


@pytest.mark.parametrize(
    "bad",
    [
        lambda: ("", ""),
        lambda: ("garbage", "garbage"),
        lambda: (texts(CA.issue("a"))[0], texts(CA.issue("a"))[1]),
        lambda: texts(CA.issue("a", passphrase=b"x")),
        lambda: (texts(CA.issue("a"))[0][:200], texts(CA.issue("a"))[1]),
        lambda: (texts(CA.issue("a"))[1], texts(CA.issue("a"))[0]),
        lambda: (texts(CA.issue("a"))[0] * 500, texts(CA.issue("a"))[1]),
        lambda: ("\x00" + texts(CA.issue("a"))[0], texts(CA.issue("a"))[1]),
    ],
)
def test_a_bad_pair_is_refused_with_a_reason(bad):
    pair = checked_pair(*bad())
    assert isinstance(pair, Refused)
    [told] = certificate_result(CERT_WISH, pair).problems
    assert told.reason == Reason.INVALID_CERTIFICATE
    assert "BEGIN" not in told.for_user


def test_an_expired_certificate_is_served_and_told_and_a_wrong_name_too():
    expired = certificate_result(CERT_WISH, checked_pair(*texts(CA.issue("a.example", **OLD))), "2026-01-01T00:00:00Z")
    assert expired.certificate is not None
    assert [p.reason for p in expired.problems] == [Reason.CERTIFICATE_EXPIRED]
    near = certificate_result(CERT_WISH, checked_pair(*texts(CA.issue("a.example", **OLD))), "2020-12-25T00:00:00Z")
    assert [p.reason for p in near.problems] == [Reason.CERTIFICATE_NEAR_END]
    other = certificate_result(CERT_WISH, checked_pair(*texts(CA.issue("z.example"))))
    assert [p.reason for p in other.problems] == [Reason.CERTIFICATE_HOST_MISMATCH]


def test_a_missing_secret_is_told_only_when_it_is_known_to_be_missing():
    graph, inputs = world()
    wishes = graph.source("wishes")
    results = declare_certificates(graph, inputs, wishes)
    graph.put(wishes, "w", CERT_WISH)
    graph.settle()
    assert graph.get(results, "w") is None
    assert CERT_WISH.secret in graph.wanted(inputs.of(Secret))
    graph.put(inputs.complete, "Secret", True)
    graph.settle()
    assert [p.reason for p in graph.get(results, "w").problems] == [Reason.SECRET_NOT_FOUND]
    chain, key = texts(CA.issue("a.example"))
    graph.put(
        inputs.of(Secret),
        CERT_WISH.secret,
        msgspec.convert(
            {
                "kind": "Secret",
                "metadata": {"name": "t", "namespace": "d"},
                "stringData": {"tls.crt": chain, "tls.key": key},
            },
            Secret,
        ),
    )
    graph.put(clock(graph), "day", "2026-01-01T00:00:00Z")
    graph.settle()
    assert graph.get(results, "w").certificate.names == ("a.example",)


PIECES = ["a", "/", ".", "(", ")", "[", "]", "{2}", "{2,}", "{3,1}", "*", "+", "?", "|", "^", "$", "\\d", "\\1", "\\Q", "\\b", "-", "^", "(?:", "(?i)", "(?=",
          "(?P<n>", "[:alpha:]", "\\x41", "\\", "{", "}", ",", "9", "{900}", ":", "\\/", "\\-", "a-z", "(?i:", "(?-s:", " "]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=14).map("".join))
@settings(max_examples=1500, deadline=None)
def test_what_passes_compiles_in_re2_with_as_many_groups(text):
    checked = checked_regex(text)
    if isinstance(checked, Regex):
        assert re2.compile(text).groups == checked.groups


@given(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=40).map(str.strip).filter(bool)
)
@settings(max_examples=300, deadline=None)
def test_quoted_text_matches_itself_alone(text):
    checked = checked_regex(quoted(text))
    assert isinstance(checked, Regex), (quoted(text), checked)
    assert re2.fullmatch(quoted(text), text)


@pytest.mark.parametrize(
    "text", ["(a+)+$", "/v[0-9]+/(.*)", "^/(en|de)(/|$)", "/x\\.html$", "[^/]+", "(?i)/A", "\\w{1,20}"]
)
def test_common_expressions_pass(text):
    assert isinstance(checked_regex(text), Regex)


@pytest.mark.parametrize(
    "text",
    [
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?<!a)b",
        "\\1",
        "(?>a)",
        "a++",
        "a{1001}",
        "((a{100}){100})",
        "(" * 60 + ")" * 60,
        "x" * 1025,
        "a\nb",
        "ä",
        "[z-a]",
        "(?R)",
        "\\u0041",
        "*a",
        "(",
        "[a",
    ],
)
def test_what_re2_lacks_or_what_costs_too_much_is_refused(text):
    assert isinstance(checked_regex(text), Refused)


def test_old_ingresses_are_read_as_todays_and_shown():
    old = {
        "apiVersion": "networking.k8s.io/v1beta1",
        "kind": "Ingress",
        "metadata": {"name": "a", "namespace": "d"},
        "spec": {"rules": [{"http": {"paths": [{"backend": {"serviceName": "s", "servicePort": "web"}}]}}]},
    }
    new, told = modernised(old)
    made = msgspec.convert(new, Ingress)
    assert made.spec.rules[0].http.paths[0].backend.service.port.name == "web"
    assert told.reason == Reason.OLD_FORM
    assert "name: web" in told.remedy
    assert old["spec"]["rules"][0]["http"]["paths"][0] == {"backend": {"serviceName": "s", "servicePort": "web"}}
    assert modernised(new) == (new, None)


def test_endpoints_are_read_as_a_slice():
    old = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "s", "namespace": "d"},
        "subsets": [
            {
                "addresses": [{"ip": "10.0.0.1"}],
                "notReadyAddresses": [{"ip": "10.0.0.2"}],
                "ports": [{"name": "http", "port": 8080}],
            }
        ],
    }
    new, told = modernised(old)
    assert found(msgspec.convert(new, EndpointSlice)) == [("10.0.0.1", 8080, "ready"), ("10.0.0.2", 8080, "not-ready")]
    assert told is not None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda s: (
        st.lists(s, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "spec",
                    "rules",
                    "http",
                    "paths",
                    "backend",
                    "serviceName",
                    "servicePort",
                    "subsets",
                    "addresses",
                    "ports",
                    "metadata",
                ]
            ),
            s,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(["spec", "metadata", "subsets", "endpoints"]), ANYTHING),
    st.sampled_from(
        [("extensions/v1beta1", "Ingress"), ("v1", "Endpoints"), ("discovery.k8s.io/v1beta1", "EndpointSlice")]
    ),
)
@settings(max_examples=300, deadline=None)
def test_no_document_makes_the_conversion_raise(document, kind):
    modernised({**document, "apiVersion": kind[0], "kind": kind[1]})


@pytest.mark.parametrize(
    ("hops", "ranges", "believed"),
    [
        (0, (), ClientAddress()),
        (2, (), ClientAddress(trusted_hops=2)),
        (-1, (), ClientAddress()),
        (1, ("10.0.0.0/8", "everybody"), ClientAddress(trusted_hops=1, trusted=("10.0.0.0/8",))),  # type: ignore[arg-type]
        (2, ("everybody",), ClientAddress()),
    ],
)
def test_ranges_of_which_none_is_one_are_believed_by_nobody(hops: int, ranges: tuple[str, ...], believed: ClientAddress) -> None:
    assert client_address(ClassSpec(trusted_hops=hops, trusted_ranges=ranges)) == believed
