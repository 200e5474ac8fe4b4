"""Training of every codec family, on top of `jaxnvc`."""
