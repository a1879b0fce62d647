from weirkeeper.model.address import PublicAddress
from weirkeeper.model.ids import Ref
from weirkeeper.model.observation import LoadBalancerObservation, StatusWish
from weirkeeper.status.ingress import ingress_status


def seen(*addresses, instances=1):
    return LoadBalancerObservation(
        load_balancer="ingress/c", provider="envoy", addresses=addresses, instances=instances
    )


REF = Ref(kind="Ingress", namespace="d", name="i")


def test_a_status_lists_addresses_in_order_once_an_instance_has_acknowledged():
    two = (PublicAddress(ip="10.0.0.2", ports=(443, 80)), PublicAddress(hostname="lb.example", ports=(80,)))
    assert ingress_status(REF, seen(*two)) == StatusWish(
        ref=REF, addresses=(("", "lb.example"), ("10.0.0.2", "")), ports=(80, 443)
    )
    assert ingress_status(REF, seen(*two, instances=0)) == StatusWish(ref=REF)
    assert ingress_status(REF, None) == StatusWish(ref=REF)
