"""conf/ composes to params.yaml, whose values are typed and checked before anything runs.

`composition` composes conf/ as Hydra does, `merge` keeps what the user has set in params.yaml, and
`reading` makes frozen dataclasses of the values: `params` has one for each stage, whose sections
are in `data_params`, `model_params`, `train_params` and the like. `targets` says what a `_target_`
may name, and `component` makes it. `earlier` reads what older versions wrote.

It imports provenance and untrusted.
"""
