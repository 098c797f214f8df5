"""What can go wrong, done on purpose and counted. The folder is the registry: a module a fault."""
