"""Numbers of fields and values in LiteRT's schema, as tables name them."""

MARK = b"TFL3"
CODES, GRAPHS, BUFFERS, METADATA, SIGNATURES = 1, 2, 4, 6, 7  # of the model
DEPRECATED_CODE, CUSTOM_CODE, CODE = 0, 1, 3  # of an operator's code
TENSORS, INPUTS, OUTPUTS, OPERATORS = 0, 1, 2, 3  # of a graph
CODE_INDEX, TAKES, GIVES, OPTIONS_KIND, OPTIONS, BETWEEN = 0, 1, 2, 3, 4, 8  # of one
SHAPE, KIND, BUFFER, NAME, QUANTIZATION = 0, 1, 2, 3, 4  # of a tensor
DATA, OFFSET, SIZE = 0, 1, 2  # of a buffer
SIGNATURE_INPUTS, SIGNATURE_OUTPUTS, KEY, GRAPH = 0, 1, 2, 4  # of a signature
MAP_NAME, TENSOR_INDEX = 0, 1  # of a name in it
METADATA_NAME, METADATA_BUFFER = 0, 1

TEXT = 5
DTYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16"}
DTYPES |= {8: "complex64", 9: "int8", 10: "float64", 11: "complex128", 12: "uint64", 15: "uint32"}
DTYPES |= {16: "uint16", 18: "uint16"}
"""By kind; what numpy lacks is an unsigned integer of its size."""
