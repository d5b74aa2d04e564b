"""Events: things that happened to resources, in the order of their commits."""
