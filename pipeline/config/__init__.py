"""conf/ composes to params.yaml, whose values are typed and checked before anything runs."""
