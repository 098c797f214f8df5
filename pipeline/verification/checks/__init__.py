"""A module a check: check(evidence) returns every fault it found and what it measured."""
