"""The reference: what the trained model answers, to which `verify` holds every format.

`checkpoint` alone can ask the source. Whatever a check needs of it is written here, as plain arrays
in reference/, and `verify` reads the arrays:

<batch>.npz      inputs and answers of 1, 7 and many rows, and of edge values
wide.npz         the same of inputs far and wide, where the rows of `many` are answered alike
shortest.npz, longest.npz, between.npz, apart.npz    the same in these sizes of what varies
tokenized.json   texts, and the ids that the model was trained with, where a tokenizer made them
influence.npz    weights that were changed, by how much, and the answers then
questions.npz    rows that no data should have, and whether the model answers them or refuses
notes.json       what a person should know of it all, a line each
training.npz, trained.npz    some more steps, and what came of them

It imports data, frameworks and sandbox.
"""
