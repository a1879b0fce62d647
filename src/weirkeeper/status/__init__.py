"""What users are told. Pure."""
