"""How an NGINX is started in its pod: a master with workers. Pure.

Comes in: a place, a fleet. Goes out: containers as core/v1 has them (``agent_pod``).
"""

from weirkeeper.fleet import agent_pod
from weirkeeper.fleet.containers import Body
from weirkeeper.fleet.place import FleetPlace
from weirkeeper.model.fleet import FleetWish

SHARED = agent_pod.shared("nginx")
STARTED = """\
until [ -e nginx.conf ]; do sleep 0.1; done
for old in /proc/[0-9]*; do
  [ "$(cat $old/comm 2>/dev/null)" = nginx ] && [ $old/cwd -ef . ] && kill -KILL "${old#/proc/}"
done
rm -f control.sock ask.sock
modules=
for name in ndk_http_module ngx_http_lua_module ngx_stream_module; do
  for folder in /usr/lib/nginx/modules /usr/lib64/nginx/modules /etc/nginx/modules; do
    [ -e $folder/$name.so ] && modules="$modules load_module $folder/$name.so;" && break
  done
done
nginx -p "$PWD" -c nginx.conf -e error.log -g "$modules" &
"""
"""What outlived an earlier master is ended first: it would keep its share of the connections; and the sockets of one that was killed are in the way. Modules lie where this image has them,
or are built in. Between two reloads the file that it starts from is a gate (`docs/nginx.md`)."""
START = f"""\
mkdir -p {SHARED} && cd {SHARED} || exit 1
[ -e access.log ] || ln -s /dev/stdout access.log
{STARTED}trap 'while kill -QUIT $! 2>/dev/null; do sleep 1; done; exit 0' TERM
wait $!
"""
"""Requests are logged as the container's output. A signal is lost on one that only starts: it is told to end until it does."""


def containers(place: FleetPlace, wish: FleetWish) -> Body:
    """NGINX and its agent."""
    return agent_pod.containers(place, wish, "nginx", place.nginx_image, START)
