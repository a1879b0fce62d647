"""What is written into a shared list, by law: others' entries stay as they are, ours are exactly what is wished, and a right list is left alone."""

from hypothesis import given
from hypothesis import strategies as st

from weirkeeper.kube.statuses import as_json, last_writer, merged, normal, status_patch
from weirkeeper.kube.types import AddressStatus, LoadBalancerStatus, ObjectStatus, PortStatus, VersionedMetadata
from weirkeeper.model.ids import Ref
from weirkeeper.model.observation import StatusWish
from weirkeeper.status.desk import Desk

PORTS = (PortStatus(port=80),)
ENTRIES = [AddressStatus(ip=f"10.0.0.{n}", ports=ports) for n in range(4) for ports in (PORTS, ())]
REF = Ref(group="networking.k8s.io", kind="Ingress", namespace="d", name="i")
OURS = AddressStatus(ip="10.0.0.1", ports=PORTS)
NEW = AddressStatus(ip="10.0.0.2", ports=PORTS)
THEIRS = AddressStatus(ip="10.0.0.1")

some = st.lists(st.sampled_from(ENTRIES), max_size=6)


@given(
    current=some,
    wished=st.lists(st.sampled_from(ENTRIES), unique=True, max_size=4),
    ours=st.sets(st.sampled_from(ENTRIES)),
)
def test_a_list_is_changed_no_more_than_needed(current, wished, ours):
    written = merged(tuple(current), tuple(wished), ours)
    after = tuple(current) if written is None else written
    foreign = [entry for entry in current if entry not in ours and entry not in wished]
    assert [entry for entry in after if entry not in ours and entry not in wished] == foreign
    assert set(wished) <= set(after)
    assert not (set(after) & ours) - set(wished)
    assert merged(after, tuple(wished), ours) is None
    kept = [entry for entry in current if entry in after]
    assert list(after[: len(kept)]) == kept, "what stays keeps its place; what is new comes behind"


def wish(*ips):
    return StatusWish(ref=REF, addresses=tuple((ip, "") for ip in ips), ports=(80,))


def desk(*entries, record=()):
    made = Desk(dict.fromkeys(record))
    saw(made, *entries)
    return made


def saw(one, *entries):
    status = ObjectStatus(load_balancer=LoadBalancerStatus(ingress=entries))
    one.found(REF, VersionedMetadata(name="i", namespace="d", uid="u", resource_version="7"), status)


def test_a_cautious_desk_takes_away_only_what_it_has_seen_wished():
    one = desk(OURS, record=[OURS, NEW])
    one.begin()
    one.wished(REF, wish("10.0.0.2"))
    assert one.next(REF) == (OURS, NEW)
    one.cautious = False
    assert one.next(REF) == (NEW,)
    one.begin()
    one.wished(REF, wish("10.0.0.1"))
    one.wished(REF, wish("10.0.0.2"))
    assert one.next(REF) == (NEW,)


def test_an_object_that_ceases_to_be_ours_is_cleared_once():
    one = desk(OURS, THEIRS, record=[OURS])
    assert one.next(REF) is None
    one.wished(REF, wish("10.0.0.1"))
    one.wished(REF, None)
    assert one.next(REF) == (THEIRS,)
    saw(one, THEIRS)
    assert one.next(REF) is None
    saw(one, OURS)  # from now on, whoever writes that writes it for himself
    assert one.next(REF) is None
    assert one.left_behind() == (REF,)
    one.leave(REF)
    assert one.next(REF) == ()


def test_an_object_that_is_gone_or_has_no_version_is_not_written():
    one = desk()
    one.wished(REF, wish("10.0.0.1"))
    assert one.next(REF) == (OURS,)
    one.gone(REF)
    assert one.next(REF) is None
    one.found(REF, VersionedMetadata(name="i"), None)
    assert one.next(REF) is None


def test_leaving_wishes_for_nothing():
    one = desk(OURS, THEIRS, record=[OURS])
    one.wished(REF, wish("10.0.0.1"))
    one.clearing = True
    assert one.next(REF) == (THEIRS,)


def test_entries_are_written_as_the_api_has_them():
    with_error = AddressStatus(hostname="h", ports=(PortStatus(port=1, protocol="UDP", error="no"),))
    assert status_patch("7", (OURS, with_error)) == {
        "metadata": {"resourceVersion": "7"},
        "status": {"loadBalancer": {"ingress": [
            {"ip": "10.0.0.1", "ports": [{"port": 80, "protocol": "TCP"}]},
            {"hostname": "h", "ports": [{"port": 1, "protocol": "UDP", "error": "no"}]},
        ]}},
    }  # fmt: skip
    assert status_patch("7", ())["status"] == {"loadBalancer": {"ingress": None}}
    assert as_json(THEIRS) == {"ip": "10.0.0.1"}
    assert normal([AddressStatus(ip="a", ports=None)]) == (AddressStatus(ip="a"),)
    assert normal(None) == ()


def test_the_servers_book_names_the_last_writer_of_the_list():
    def row(manager, fields, subresource="status"):
        return {"manager": manager, "operation": "Update", "subresource": subresource, "fieldsV1": fields}

    listed = {"f:status": {"f:loadBalancer": {"f:ingress": {}}}}
    assert (
        last_writer({"metadata": {"managedFields": [row("kubectl", {"f:spec": {}}, ""), row("weir", listed)]}})
        == "weir"
    )
    assert last_writer({"metadata": {"managedFields": [row("x", {"f:status": {"f:loadBalancer": {}}})]}}) == ""
    assert last_writer({"metadata": {}}) == ""
