from weirkeeper.model.address import PublicAddress
from weirkeeper.model.observation import LoadBalancerObservation
from weirkeeper.status.ingress import ingress_status


def seen(*addresses, instances=1):
    return LoadBalancerObservation(
        load_balancer="ingress/c", provider="envoy", addresses=addresses, instances=instances
    )


def test_a_status_lists_addresses_in_order_once_an_instance_has_acknowledged():
    two = (PublicAddress(ip="10.0.0.2", ports=(443, 80)), PublicAddress(hostname="lb.example"))
    ports = [{"port": 80, "protocol": "TCP"}, {"port": 443, "protocol": "TCP"}]
    assert ingress_status(seen(*two)) == ({"hostname": "lb.example"}, {"ip": "10.0.0.2", "ports": ports})
    assert ingress_status(seen(*two, instances=0)) == ()
    assert ingress_status(None) == ()
