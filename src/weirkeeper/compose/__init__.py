"""One configuration: what several objects wish is merged, ordered, fitted to the provider and checked. Pure."""
