"""A sweep is many runs of one command line, each in a clone of its own, and each comes back as an
experiment of DVC's.

`plan` names the jobs by what they are made from, `clone` makes a clone and brings its run back,
`jobs` is what runs in it, `engines` hand jobs to what runs them side by side, and `session` leads
the sweep: what is finished is not run again, and what failed is named at the end.

It imports config, provenance, resolve, run, tracking and training.
"""
