"""Attempts on `saved_model/` to have run what nothing seems to call, and to look up what no list
names."""

import contextlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from testing.formats import form as plugin
from tests.formats.conftest import Exported
from tests.hostile.conftest import copied, refused

form = plugin("saved_model")
Change = Callable[[Any], Any]
TEXT, FLOAT, INT32, RESOURCE, VARIANT = 7, 1, 3, 20, 21


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Path:
    return copied(exported / "dense", tmp_path / "copy")


def change(directory: Path, edit: Change) -> None:
    content = form.read_graphs(directory / form.FOLDER)
    edit(content.meta_graphs[0])
    (directory / form.FILE).write_bytes(content.SerializeToString(deterministic=True))


def function(graph: Any, stem: str) -> Any:
    library = graph.graph_def.library.function
    return next(each for each in library if each.signature.name.startswith(f"__inference_{stem}"))


def saver(graph: Any) -> tuple[Any, Any]:
    """The nodes that call its two functions."""
    said, nodes = graph.saver_def, {node.name: node for node in graph.graph_def.node}
    return nodes[said.save_tensor_name.split(":")[0]], nodes[said.restore_op_name]


def constant(place: Any, name: str, value: Any) -> Any:
    node = place.node_def.add() if hasattr(place, "node_def") else place.node.add()
    node.name, node.op = name, "Const"
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    node.attr["dtype"].type = node.attr["value"].tensor.dtype
    return node


def writes(function: Any, path: str) -> None:
    """Adds an operator that saves to `path`, whatever the function is given."""
    constant(function, "to", path)
    for name, value in (("names", [b"x"]), ("slices", [b""]), ("values", [b"any bytes"])):
        constant(function, name, value)
    node = function.node_def.add(name="saves", op="SaveV2")
    node.input.extend([f"{each}:output:0" for each in ("to", "names", "slices", "values")])
    node.attr["dtypes"].list.type.append(TEXT)
    function.signature.control_output.append("saves")
    function.control_ret["saves"] = "saves"


def by_device(graph: Any, path: str) -> None:
    """Grappler puts a function that nothing calls in the place of one that says the same."""
    served = function(graph, "serve")
    other = graph.graph_def.library.function.add()
    other.CopyFrom(served)
    other.signature.name = "__inference_serve_99"
    for each, device in ((served, b"GPU"), (other, b"CPU")):
        each.attr["api_implements"].s = b"the_same"
        each.attr["api_preferred_device"].s = device
    writes(other, path)


def as_version_1(graph: Any, path: str) -> None:
    """What says that it is the saver runs while version 1 loads."""
    library, before = graph.graph_def.library, saver(graph)[0]
    library.function.remove(function(graph, "_traced_save"))
    graph.graph_def.node.remove(before)
    added = library.function.add()
    added.signature.name = "__inference_init_7"
    added.signature.is_stateful = True
    writes(added, path)
    node = graph.graph_def.node.add(name="init", op="StatefulPartitionedCall")
    node.attr["f"].func.name = added.signature.name
    node.attr["Tin"].list.SetInParent()
    node.attr["Tout"].list.SetInParent()
    graph.saver_def.save_tensor_name = "init:0"
    graph.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = "init"
    graph.ClearField("object_graph_def")


WORKING = {"a function chosen by its device": by_device, "version 1's init operator": as_version_1}


@pytest.mark.parametrize("attack", WORKING)
def test_what_it_hides_is_refused_and_would_have_acted(
    attack: str, copy: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(copy, lambda graph: WORKING[attack](graph, str(mark)))
    refused(form, copy, mark, "saved_model")
    part = importlib.import_module("formats.saved_model.load")
    monkeypatch.setattr(part, "screen", lambda directory: None)
    with contextlib.suppress(Exception):
        form.load(copy)({"pixels": np.ones((1, 12), np.float32)})
    assert list(mark.parent.glob(f"{mark.name}*"))


def attribute(scope: str, name: str, **value: Any) -> Change:
    def edit(graph: Any) -> None:
        served = function(graph, "serve")
        places = {
            "function": served,
            "node": served.node_def[-1],
            "outer": next(n for n in graph.graph_def.node if n.op == "StatefulPartitionedCall"),
            "argument": served.arg_attr[0],
        }
        attributes = places[scope].attr
        attributes[name].CopyFrom(tf.compat.v1.AttrValue(**value))

    return edit


def calls(name: str | None, **attributes: Any) -> Change:
    """Another call of a function, None: of the saver's."""

    def edit(graph: Any) -> None:
        saving = saver(graph)[0].attr["f"].func.name
        node = function(graph, "serve").node_def.add(name="x", op="StatefulPartitionedCall")
        node.attr["f"].func.name = name or saving
        for key, value in attributes.items():
            node.attr["f"].func.attr[key].s = value

    return edit


def called_by_name(graph: Any) -> None:
    node = function(graph, "serve").node_def.add(name="x")
    node.op = saver(graph)[0].attr["f"].func.name


def called_again(graph: Any) -> None:
    graph.graph_def.node.add().CopyFrom(saver(graph)[0])
    graph.graph_def.node[-1].name = "again"


def twice(graph: Any) -> None:
    graph.graph_def.node.add().CopyFrom(saver(graph)[0])


def depends(prefix: str, end: int) -> Change:
    def edit(graph: Any) -> None:
        graph.graph_def.node.add(name="x", op="NoOp").input.append(prefix + saver(graph)[end].name)

    return edit


def fetched(graph: Any) -> None:
    signature = graph.signature_def["serving_default"]
    signature.outputs["path"].name = graph.saver_def.save_tensor_name
    signature.outputs["path"].dtype = TEXT


def init_signature(graph: Any) -> None:
    outputs = graph.signature_def["__saved_model_init_op"].outputs
    outputs["__saved_model_init_op"].name = saver(graph)[1].name


def main_op(graph: Any) -> None:
    graph.collection_def["saved_model_main_op"].node_list.value[:] = [saver(graph)[0].name]


def collection(name: str) -> Change:
    return lambda graph: graph.collection_def[name].node_list.value.append("NoOp")


def swapped(graph: Any) -> None:
    """A loader that restores would save."""
    graph.saver_def.restore_op_name = saver(graph)[0].name


def both(graph: Any) -> None:
    saver(graph)[1].attr["f"].func.name = saver(graph)[0].attr["f"].func.name


def in_the_other(graph: Any) -> None:
    writes(function(graph, "_traced_restore"), "/tmp/never")


def elsewhere(graph: Any) -> None:
    writes(function(graph, "_traced_save"), "/tmp/never")


def joined(graph: Any) -> None:
    """The path that it is given, and a way out of it."""
    saving = function(graph, "_traced_save")
    texts = [node for node in saving.node_def if node.op == "Const"]
    part = next(n for n in texts if list(n.attr["value"].tensor.string_val) == [b"_temp/part"])
    part.attr["value"].tensor.string_val[:] = [b"/../../../../tmp/never"]


def joined_unseen(graph: Any) -> None:
    """TensorFlow reads the packed texts of a constant, and not those that stand one by one."""
    saving = function(graph, "_traced_save")
    texts = [node for node in saving.node_def if node.op == "Const"]
    part = next(n for n in texts if list(n.attr["value"].tensor.string_val) == [b"_temp/part"])
    part.attr["value"].tensor.tensor_content = b"\x0e/../../../never"


def joined_otherwise(graph: Any) -> None:
    saving = function(graph, "_traced_save")
    node = next(each for each in saving.node_def if each.op == "StringJoin")
    node.attr["separator"].s = b"/../../"


def read_elsewhere(graph: Any) -> None:
    restoring = function(graph, "_traced_restore")
    constant(restoring, "from", "/etc/secret")
    next(n for n in restoring.node_def if n.op == "RestoreV2").input[0] = "from:output:0"


def another_argument(graph: Any) -> None:
    restoring = function(graph, "_traced_restore")
    restoring.signature.input_arg.add(name="other", type=TEXT)
    next(n for n in restoring.node_def if n.op == "RestoreV2").input[0] = "other"


def path_given(graph: Any) -> None:
    """Its path is a constant of the graph's."""
    place = next(n for n in graph.graph_def.node if n.name == "saver_filename")
    graph.graph_def.node.remove(place)
    constant(graph.graph_def, "saver_filename", "/tmp/never")


def path_of_another(graph: Any) -> None:
    constant(graph.graph_def, "elsewhere", "/tmp/never")
    saver(graph)[0].input[0] = "elsewhere"


def deletes(graph: Any) -> None:
    saving = function(graph, "_traced_save")
    merge = next(each for each in saving.node_def if each.op == "MergeV2Checkpoints")
    merge.attr["delete_old_dirs"].b = False


def no_saver(graph: Any) -> None:
    """Its functions stay."""
    graph.ClearField("saver_def")


def objects(edit: Change) -> Change:
    return lambda graph: edit(graph.object_graph_def)


def child(name: str) -> Change:
    return objects(lambda o: o.nodes[0].children.add(node_id=1, local_name=name))


def same_name(graph: Any) -> None:
    """The first of two functions acts, the second is read."""
    library = graph.graph_def.library
    harmless = function(graph, "serve")
    first = tf.compat.v1.GraphDef().library.function.add()
    first.CopyFrom(harmless)
    first.node_def.add(name="x", op="WriteFile")
    rest = list(library.function)
    del library.function[:]
    library.function.extend([first, *rest])


def const(kind: int) -> Change:
    def edit(graph: Any) -> None:
        node = function(graph, "serve").node_def.add(name="x", op="Const")
        node.attr["dtype"].type = kind
        tensor = node.attr["value"].tensor
        tensor.dtype = kind
        if kind == VARIANT:
            tensor.variant_val.add(type_name="tensorflow::TensorList")
        else:
            tensor.resource_handle_val.add(name="x", container="localhost")

    return edit


def gradient(kind: str, by: str | None = None) -> Change:
    def edit(graph: Any) -> None:
        named = by or saver(graph)[0].attr["f"].func.name
        graph.graph_def.library.registered_gradients.add(
            registered_op_type=kind, gradient_func=named
        )

    return edit


def operators_own_gradient(graph: Any) -> None:
    function(graph, "serve").node_def[-1].attr["_gradient_op_type"].s = b"EagerPyFunc"


def unknown_field(graph: Any) -> None:
    graph.graph_def.node[0].MergeFromString(b"\xfa\x3e\x01x")


def device(name: str) -> Change:
    return lambda graph: setattr(function(graph, "serve").node_def[-1], "device", name)


def spec(graph: Any) -> None:
    item = next(each for each in graph.object_graph_def.nodes if each.HasField("function"))
    item.function.function_spec.jit_compile = 1


def type_spec(graph: Any) -> None:
    item = next(each for each in graph.object_graph_def.nodes if each.HasField("function"))
    value = item.function.function_spec.input_signature.tuple_value.values.add()
    value.type_spec_value.type_spec_class_name = "planted.Spec"


UNKNOWN = ("api_implements", "api_preferred_device", "_implements", "_XlaMustCompile", "_kernel")
UNKNOWN += ("_XlaCompile", "_xla_compile_id", "_tpu_replicate", "experimental_x", "_future_thing")
REFUSED: dict[str, Change] = {
    f"the attribute {name} of a {scope}": attribute(scope, name, s=b"x")
    for scope in ("function", "node", "argument")
    for name in UNKNOWN
}
REFUSED |= {
    f"the attribute {name} of a call": attribute("outer", name, s=b"x")
    for name in ("config_proto", "config", "executor_type", "container", "_XlaMustCompile")
}
REFUSED |= {
    "an attribute of another kind": attribute("node", "T", s=b"x"),
    "an attribute left open": attribute("node", "T", placeholder="x"),
    "a function that is an attribute's text": attribute(
        "function", "forward_function_name", s=b"__inference__traced_save_0"
    ),
    "another context": attribute("function", "_construction_context", s=b"kTPU"),
    "a call of the saver": calls(None),
    "a call of what is not there": calls("__inference_elsewhere_1"),
    "a call with attributes": calls("__inference_serve_0", api_implements=b"x"),
    "a call of the saver by its name": called_by_name,
    "a second caller of the saver": called_again,
    "the saver's caller twice": twice,
    "an edge from what saves": depends("", 0),
    "a control edge from what saves": depends("^", 0),
    "a control edge from what restores": depends("^", 1),
    "an answer that saves": fetched,
    "an init signature that restores": init_signature,
    "a main operator that saves": main_op,
    "another main operator": collection("legacy_init_op"),
    "a collection of queues": collection("queue_runners"),
    "restoring that saves": swapped,
    "restoring and saving in one": both,
    "saving in what restores": in_the_other,
    "saving elsewhere": elsewhere,
    "a path and a way out of it": joined,
    "a path and a way out of it, unseen": joined_unseen,
    "a path joined by another": joined_otherwise,
    "a path to read from": read_elsewhere,
    "a path from another argument": another_argument,
    "a path in the graph": path_given,
    "a path of another node": path_of_another,
    "old files": deletes,
    "a saver that none is said to be": no_saver,
    "two functions of one name": same_name,
    "a variant that is decoded": const(VARIANT),
    "a handle to a resource": const(RESOURCE),
    "a gradient that saves": gradient("CustomGradient-7"),
    "a gradient of an operator": gradient("MatMul", "__inference_serve_0"),
    "a gradient of version 1": lambda g: g.graph_def.library.gradient.add(
        function_name="__inference_serve_0", gradient_func="__inference_serve_0"
    ),
    "the gradient of Python's operator": operators_own_gradient,
    "a field that no message has": unknown_field,
    "other tags": lambda g: g.meta_info_def.tags.append("train"),
    "an alias": lambda g: g.meta_info_def.function_aliases.update({"__inference_serve_0": "x"}),
    "any message": lambda g: g.meta_info_def.any_info.SetInParent(),
    "another signature": lambda g: g.signature_def["planted"].SetInParent(),
    "another method": lambda g: setattr(g.signature_def["serve"], "method_name", "x"),
    "a default for a signature": lambda g: g.signature_def["serve"].defaults["x"].SetInParent(),
    "a device elsewhere": device("/job:worker/replica:0/task:0/device:CPU:0"),
    "a device that compiles": device("/device:XLA_CPU:0"),
    "no objects": lambda g: g.ClearField("object_graph_def"),
    "an object with a saver": objects(
        lambda o: setattr(o.nodes[0], "registered_saver", "Custom.saver")
    ),
    "an object that saves by functions": objects(
        lambda o: setattr(o.nodes[0].saveable_objects["x"], "save_function", 1)
    ),
    "a registered object": objects(lambda o: setattr(o.nodes[0], "registered_name", "Keras.x")),
    "an object of a class": objects(
        lambda o: setattr(o.nodes[0].user_object, "identifier", "_tf_keras_layer")
    ),
    "an object's own data": objects(lambda o: setattr(o.nodes[0].user_object, "metadata", "{}")),
    "an object that is the saver's function": objects(
        lambda o: o.concrete_functions["__inference__traced_save_0"].SetInParent()
    ),
    "an attribute in a method's place": child("_restore_from_tensors"),
    "an attribute of Python's": child("__class__"),
    "slots": objects(lambda o: o.nodes[0].slot_variables.add(slot_name="m")),
    "a function that is compiled": spec,
    "a class of a type": type_spec,
}


@pytest.mark.parametrize("attack", REFUSED)
def test_it_is_refused_before_it_acts(attack: str, copy: Path, mark: Path) -> None:
    change(copy, REFUSED[attack])
    refused(form, copy, mark, "saved_model")


def test_what_is_written_anew_unchanged_passes(copy: Path) -> None:
    """So that it is the change that the others are refused for."""
    change(copy, lambda graph: None)
    form.screen(copy)
