"""Benchmarks of the whole program and of what it makes of an engine, each beside a peer in the same run. `python -m bench --help`."""
