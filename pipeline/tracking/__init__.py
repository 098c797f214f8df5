"""MLflow: what is logged of a complete model, where, and how it is found again.

`content` says what a run shows, from the artifacts alone; `projection` makes it so in `store`, in
the parts that `run_parts`, `run_files` and `upload` log; `registry` keeps a registered model's
versions and their alias. A run is found by its complete model's digest, so that it is never made
twice.

It imports complete_model, config, provenance, resolve and run.
"""
