"""The public kit for plugin authors: echo backend, exact clients, load, certificates, ports and real engines."""
