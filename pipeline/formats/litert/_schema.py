"""Numbers of fields and values in LiteRT's schema, as tables name them."""

MARK = b"TFL3"
CODES, GRAPHS, BUFFERS = 1, 2, 4  # of the model
DEPRECATED_CODE, CUSTOM_CODE, CODE = 0, 1, 3  # of an operator's code
TENSORS, OPERATORS = 0, 3  # of a graph
SHAPE, KIND, BUFFER, NAME, SPARSITY = 0, 1, 2, 3, 6  # of a tensor
DATA, OFFSET, SIZE = 0, 1, 2  # of a buffer

CUSTOM, DELEGATE, LAST_BUILTIN = 32, 51, 250
"""Operators that are not built in, and the number behind all that are."""
PACKED = {5, 13, 14, 17, 19}
"""Kinds of text, of resources, of variants and of what is smaller than a byte."""
DTYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16"}
DTYPES |= {8: "complex64", 9: "int8", 10: "float64", 11: "complex128", 12: "uint64", 15: "uint32"}
DTYPES |= {16: "uint16", 18: "uint16"}
"""By kind; what numpy lacks is an unsigned integer of its size."""
