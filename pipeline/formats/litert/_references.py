"""Whether what the parts of a file refer to is there: tensors, operators and graphs."""

from . import _schema as schema
from ._flatbuffer import Table
from ._names import ENDPOINT
from ._parts import VALUES, check_fields

CALLS = {int(line.split()[0]): tuple(map(int, line.split()[1:])) for line in VALUES["calls"]}
"""By operator that calls graphs: the kind of its options, and how many they name."""
MISSING = -1  # an input that an operator is not given


def check_graphs(graphs: list[Table], codes: list[int]) -> None:
    """Raises ValueError for a reference to nothing, and for graphs that call each other in a
    circle: LiteRT would prepare them until its stack ends."""
    calls = [_check_graph(graph, codes, len(graphs)) for graph in graphs]
    waiting = {number: set(called) for number, called in enumerate(calls)}
    while waiting:
        done = {number for number, called in waiting.items() if not called & set(waiting)}
        if not done:
            raise ValueError(f"its graphs {sorted(waiting)[:9]} call each other in a circle")
        waiting = {number: called for number, called in waiting.items() if number not in done}


def _check_graph(graph: Table, codes: list[int], graphs: int) -> set[int]:
    """Returns the numbers of the graphs that it calls."""
    check_fields(graph, "SubGraph")
    tensors, called = graph.count(schema.TENSORS), set[int]()
    ends = [*graph.shape(schema.INPUTS, tensors), *graph.shape(schema.OUTPUTS, tensors)]
    for operator in graph.tables(schema.OPERATORS):
        check_fields(operator, "Operator")
        code = operator.number(schema.CODE_INDEX, "I")
        if code >= len(codes):
            raise ValueError(f"an operator is number {code} of {len(codes)}")
        takes = operator.shape(schema.TAKES, tensors)
        ends += [each for each in takes if each != MISSING]
        ends += operator.shape(schema.GIVES, tensors) + operator.shape(schema.BETWEEN, tensors)
        if codes[code] in CALLS:
            called |= _called(operator, *CALLS[codes[code]])
    if any(not 0 <= each < tensors for each in ends) or any(each >= graphs for each in called):
        raise ValueError(f"refers to tensors or graphs that are not there: {tensors}, {graphs}")
    return called


def _called(operator: Table, kind: int, count: int) -> set[int]:
    options = list(operator.inner(schema.OPTIONS))
    if operator.number(schema.OPTIONS_KIND, "B") != kind or not options:
        raise ValueError(f"an operator that calls graphs has options of another kind than {kind}")
    named = [options[0].number(field, "i") for field in range(count)]
    if min(named) < 0:
        raise ValueError(f"an operator calls the graphs {named}")
    return set(named)


def check_signatures(model: Table, graphs: list[Table]) -> None:
    """Raises ValueError for another signature than the one that is written here."""
    for signature in model.tables(schema.SIGNATURES):
        check_fields(signature, "SignatureDef")
        key, graph = signature.text(schema.KEY, 200), signature.number(schema.GRAPH, "I")
        if key != ENDPOINT or graph >= len(graphs):
            raise ValueError(f"has the signature {key!r} of graph {graph}, expected {ENDPOINT!r}")
        for side in (schema.SIGNATURE_INPUTS, schema.SIGNATURE_OUTPUTS):
            for named in signature.tables(side):
                check_fields(named, "TensorMap")
                index = named.number(schema.TENSOR_INDEX, "I")
                if index >= graphs[graph].count(schema.TENSORS) or not named.has(schema.MAP_NAME):
                    raise ValueError(f"its signature {key!r} names a tensor that is not there")
