"""How a HAProxy is started in its pod: a master with workers. Pure.

Comes in: a place, a fleet. Goes out: containers as core/v1 has them (``agent_pod``).
"""

from weirkeeper.fleet import agent_pod
from weirkeeper.fleet.containers import Body
from weirkeeper.fleet.place import FleetPlace
from weirkeeper.model.fleet import FleetWish

SHARED = agent_pod.shared("haproxy")
START = f"""\
mkdir -p {SHARED} && cd {SHARED} || exit 1
old=/proc/$(cat haproxy.pid 2>/dev/null)
[ "$(cat $old/comm 2>/dev/null)" = haproxy ] && kill -KILL "-$(cut -d ' ' -f 5 $old/stat)"
until [ -e haproxy.cfg ]; do sleep 0.1; done
haproxy -W -p haproxy.pid -S unix@master.sock,mode,600 -f haproxy.cfg 2>>complaints.log &
trap 'while kill -USR1 $! 2>/dev/null; do sleep 1; done; exit 0' TERM
wait $!
"""
"""What outlived an earlier life of this shell is ended first, with its group: it would keep its share of the connections. Complaints go to a file: HAProxy 2.6
tells them nobody else. A signal is lost on one that only starts: it is told to end until it does. Between two reloads the file that it starts from is a gate
(`docs/haproxy.md`)."""


def containers(place: FleetPlace, wish: FleetWish) -> Body:
    """HAProxy and its agent."""
    return agent_pod.containers(place, wish, "haproxy", place.haproxy_image, START)
