"""The zoo: nets that nobody here wrote, each of a library and described by configuration alone."""
