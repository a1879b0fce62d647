"""Meaning: one folder for each source of intent. Folders never import each other; ``shared`` serves all."""
