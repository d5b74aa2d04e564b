"""Partners: who may call the service, their clients, keys and persons."""
