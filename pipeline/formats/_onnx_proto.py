"""Numbers of the fields in onnx.proto, by message, and its dtypes as numpy names them."""


class Model:
    GRAPH, OPSET_IMPORT, FUNCTION = 7, 8, 25


class OperatorSet:
    DOMAIN = 1


class Function:
    NAME, DOMAIN = 1, 10


class Graph:
    NODE, INITIALIZER = 1, 5


class Node:
    OPERATOR, ATTRIBUTE, DOMAIN = 4, 5, 7


class Attribute:
    NAME, TEXT, TENSOR, FLOATS, REFERENCE = 1, 4, 5, 7, 21


class Tensor:
    DIMS, DATA_TYPE, NAME, RAW_DATA, EXTERNAL_DATA, LOCATION = 1, 2, 8, 9, 13, 14


class Entry:
    KEY, VALUE = 1, 2


# What numpy lacks is given as unsigned integers of its size.
DTYPES = {1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64"}
DTYPES |= {9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64"}
DTYPES |= {15: "complex128", 16: "uint16"}
HALF_BYTES = (21, 22, 23)  # two elements lie in a byte
KINDS = range(1, 25)
"""Of elements: also strings, and numbers of eight bits and fewer."""
