"""A model from elsewhere is loaded in a process that has given up its files, network and programs.

`supervisor` starts the process and watches it (`watch`, `disk`); `launcher` is what it runs first,
to give up what it does not need; `worker` is what it then does with a model, from a copy beside a
copy of formats/; `reports` reads what it answered, with care. `programs` runs what is no Python of
ours, a compiler or Node, under the same limits.

It imports config.
"""
