"""Raw data are files of columns; declared, checked and split they are the arrays of `prepare`.

`raw` makes one table of whatever the configuration names: readers in `tables`, a folder of `media`,
a function of the user's (`yielded`). `declared` compares its columns with the configuration,
`columns` makes arrays of them, and `splits` says which row is whose. The stages after `prepare`
read its output through `arrays`, rows that differ in size through `ragged`.

It imports config.
"""
