"""The command `weir`: thin commands over the same functions that the running program uses."""
