"""HAProxy: maps and servers through its runtime socket, and a reload only for what it cannot be told while it runs."""

from weirkeeper.providers.haproxy.provider import HaproxyProvider as HaproxyProvider

PROVIDER = HaproxyProvider()
