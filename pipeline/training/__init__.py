"""Training: the model's parts, the loop, the metrics, and the checkpoints that it goes on from.

`parts` builds what params.yaml names; `trial` takes one batch through it before the first epoch;
`loop` goes epoch by epoch, or `ranks` does so over several processes, or a `command` of the user's
own in the loop's place. `start` begins from a checkpoint. In the place of a framework `parent`
trains a complete model on, and `program` takes one that only answers. `history`, `metrics` and
`decision` judge an epoch.

It imports config, data, examine, foreign, formats, frameworks, provenance, run and sandbox.
"""
