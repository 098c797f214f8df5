"""What is around a stage, so that the stage itself is a plain function from directories to a
directory.

`stage` wraps it: `arguments` reads the command line and params.yaml, `lock` lets one process write
an output, `signals` says how a stage ends, `children` has what was begun end with it, `dvc` ends
after its stage, `resume_state` and `backup` say what a killed one goes on from. `parent`, `start`
and `command` say what else a training is made from: a complete model, a checkpoint, a command of
the user's.

It imports config, formats and provenance.
"""
