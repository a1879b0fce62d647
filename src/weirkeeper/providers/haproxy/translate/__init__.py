"""From neutral values to HAProxy's words. Pure."""
