"""Neutral nouns to Envoy resources: one small file for each feature. Pure; protobuf messages never leave this package, bytes do."""
