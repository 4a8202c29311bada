"""Networks of architectures, in torch."""
