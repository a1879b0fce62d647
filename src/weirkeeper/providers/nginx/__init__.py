"""NGINX: routes, endpoints and certificates in a shared dictionary that its Lua reads, and a reload only for what stands in its file."""

from weirkeeper.providers.nginx.provider import NginxProvider as NginxProvider

PROVIDER = NginxProvider()
