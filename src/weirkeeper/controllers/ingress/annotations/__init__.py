"""Annotations as one table: a name, how it is read, where it goes, how risky it is, and a sentence for people."""
