"""What statuses say: nothing while nobody serves, then the addresses of the chosen source, in one order."""

import pytest

from weirkeeper.kube.types import (
    AddressStatus,
    LoadBalancerStatus,
    Metadata,
    ObjectStatus,
    PortStatus,
    Service,
    ServicePort,
    ServiceSpec,
)
from weirkeeper.model.address import PublicAddress, Published
from weirkeeper.model.ids import Ref
from weirkeeper.model.observation import InstanceObservation, LoadBalancerObservation, StatusWish
from weirkeeper.status.addresses import Addresses, front_addresses
from weirkeeper.status.ingress import entries, ingress_status

REF = Ref(kind="Ingress", namespace="d", name="i")


def local(*addresses, instances=1):
    return LoadBalancerObservation(
        load_balancer="ingress/c", provider="envoy", addresses=addresses, instances=instances
    )


def instance(name, *addresses, replica="r"):
    return InstanceObservation(
        load_balancer="ingress/c", provider="envoy", instance=name, replica=replica, addresses=addresses
    )


def found(published=None, seen=None, instances=(), service=None, ports=(443, 80)):
    return front_addresses(published, seen=seen, instances=instances, service=service, ports=ports)


def service(kind="LoadBalancer", given=(), ports=(80,), **spec):
    return Service(
        kind="Service",
        metadata=Metadata(name="s"),
        spec=ServiceSpec(type=kind, ports=tuple(ServicePort(port=p) for p in ports), **spec),
        status=ObjectStatus(load_balancer=LoadBalancerStatus(ingress=given)),
    )


def test_a_local_engine_says_its_own_addresses_and_ports():
    two = (PublicAddress(ip="10.0.0.2", ports=(443, 80)), PublicAddress(hostname="lb.example", ports=(80,)))
    assert found(seen=local(*two)) == Addresses(places=(("", "lb.example"), ("10.0.0.2", "")), ports=(80, 443))
    assert found(seen=local(*two, instances=0)) is None


def test_instances_count_once_however_many_replicas_see_them():
    seen = [instance("a", "10.0.0.2"), instance("a", "10.0.0.2", replica="q"), instance("b", "10.0.0.1", "fd00::1")]
    assert found(instances=seen) == Addresses(
        places=(("10.0.0.1", ""), ("10.0.0.2", ""), ("fd00::1", "")), ports=(80, 443)
    )


FIXED = Published(addresses=(PublicAddress(hostname="lb.example"), PublicAddress(ip="192.0.2.1")))
FRONT = Published(service=Ref(kind="Service", namespace="d", name="s"))


def test_no_source_says_anything_while_no_instance_serves():
    for published in (None, FIXED, FRONT):
        assert found(published, service=service(given=(AddressStatus(ip="192.0.2.9"),))) is None


def test_fixed_addresses_take_the_listeners_ports():
    assert found(FIXED, instances=[instance("a", "10.0.0.1")]) == Addresses(
        places=(("", "lb.example"), ("192.0.2.1", "")), ports=(80, 443)
    )


@pytest.mark.parametrize(
    ("front", "places"),
    [
        (service(given=(AddressStatus(ip="192.0.2.9"), AddressStatus(hostname="a.example"))), (("", "a.example"), ("192.0.2.9", ""))),
        (service(given=(AddressStatus(hostname="not a host"),)), None),
        (service(), None),
        (service(given=(AddressStatus(ip="192.0.2.9"),), external_i_ps=("192.0.2.8",)), (("192.0.2.8", ""), ("192.0.2.9", ""))),
        (service("NodePort", cluster_i_p="10.96.0.1", external_i_ps=("192.0.2.8",)), (("192.0.2.8", ""),)),
        (service("ClusterIP", cluster_i_p="10.96.0.1", cluster_i_ps=("10.96.0.1", "fd00::9")), (("10.96.0.1", ""), ("fd00::9", ""))),
        (service("ClusterIP", cluster_i_p="None", cluster_i_ps=("None",)), None),
        (service("ExternalName", external_name="lb.example"), (("", "lb.example"),)),
        (None, None),
    ],
)  # fmt: skip
def test_a_service_in_front_says_its_addresses_and_its_own_ports(front, places):
    told = found(FRONT, instances=[instance("a", "10.0.0.1")], service=front)
    assert told == (None if places is None else Addresses(places=places, ports=(80,)))


def test_a_status_has_an_entry_for_each_place():
    wish = ingress_status(REF, Addresses(places=(("", "lb.example"), ("10.0.0.2", "")), ports=(80, 443)))
    ports = (PortStatus(port=80), PortStatus(port=443))
    assert entries(wish) == (
        AddressStatus(hostname="lb.example", ports=ports),
        AddressStatus(ip="10.0.0.2", ports=ports),
    )
    assert ingress_status(REF, None) == StatusWish(ref=REF)
