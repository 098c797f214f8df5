"""The reader of .tsv."""

from pipeline.data.tables import csv


class Reader(csv.Reader):
    """A .tsv is a CSV with tabs between its cells."""

    SEPARATOR = "\t"
