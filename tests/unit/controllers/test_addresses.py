"""What is judged at a glance is judged as by a closer look."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from weirkeeper.controllers.shared.addresses import ordinary, refused_address

OCTETS = st.integers(min_value=0, max_value=300).map(str)
TEXTS = st.one_of(
    st.lists(OCTETS, min_size=3, max_size=5).map(".".join),
    st.ip_addresses().map(str),
    st.from_regex(r"[0-9a-f.: ]{0,20}", fullmatch=True),
)


@given(TEXTS)
def test_an_ordinary_address_has_no_reason_against_it(text: str) -> None:
    if ordinary(text):
        seen = ipaddress.ip_address(text)
        assert not any((seen.is_loopback, seen.is_link_local, seen.is_multicast, seen.is_unspecified))
        assert refused_address(text) is None


@given(st.ip_addresses(v=4))
def test_every_other_ipv4_address_is_looked_at_closely(address: ipaddress.IPv4Address) -> None:
    bad = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    assert (refused_address(str(address)) is not None) == bad


def test_the_edges_of_the_ranges() -> None:
    refused = (
        "0.0.0.0",
        "127.0.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "239.255.255.255",
        "010.0.0.1",
        "10.0.0.1\n",
        "٣.1.1.1",
    )
    assert all(refused_address(text) for text in refused)
    assert all(map(ordinary, ("10.0.0.1", "126.255.255.255", "128.0.0.1", "223.255.255.255", "240.0.0.1")))
    assert not any(map(ordinary, ("0.1.2.3", "169.1.2.3")))
    assert refused_address("169.1.2.3") is None
