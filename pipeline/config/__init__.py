"""params.yaml as typed values: what each means, how it is read, what a `_target_` may name."""
