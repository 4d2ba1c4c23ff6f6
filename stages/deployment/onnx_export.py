"""Write a network as a file for use: ONNX, with its model card inside, the same bytes every time."""

import warnings
from pathlib import Path

import onnx

from stages.deployment.model_card import ModelCard, to_texts
from stages.network.backend import keras
from stages.runtime.replacing import replacing

INPUT, OUTPUT = "picture", "probability"


def write_onnx(network: keras.Model, card: ModelCard, path: Path) -> None:
    """Write the network as ONNX, with input `picture` and output `probability`; the card is in `metadata_props`."""
    signature = [keras.InputSpec(shape=network.input_shape, dtype="float32", name=INPUT)]
    with replacing(path) as file:
        with warnings.catch_warnings():
            # Keras looks whether numpy still has np.object, which tf2onnx used.
            warnings.simplefilter("ignore", FutureWarning)
            network.export(file, format="onnx", verbose=False, input_signature=signature)
        model = canonical(onnx.load(file))
        onnx.helper.set_model_props(model, to_texts(card))
        onnx.checker.check_model(model, full_check=True)
        file.write_bytes(model.SerializeToString(deterministic=True))


def canonical(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with names and order that follow from its graph alone; tf2onnx's differ from run to run."""
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    constants = {constant.name: constant for constant in graph.initializer}
    names = {graph.input[0].name: INPUT, graph.output[0].name: OUTPUT}
    nodes: list[onnx.NodeProto] = []
    tensors: list[onnx.TensorProto] = []
    seen, todo = set(), [graph.output[0].name]
    # Not by recursion: Python stops at a thousand nodes in a row.
    while todo:
        name = todo[-1]
        if missing := [source for source in (makers[name].input if name in makers else ()) if source not in seen]:
            todo.append(missing[0])
            continue
        seen.add(todo.pop())
        if name in constants:
            tensor = onnx.TensorProto()
            tensor.CopyFrom(constants[name])
            tensor.name = names[name] = f"constant{len(tensors)}"
            tensors.append(tensor)
        elif name in makers:
            names.setdefault(name, f"value{len(nodes)}")
            nodes.append(makers[name])
    renamed = onnx.helper.make_graph(
        [_renamed_node(node, number, names) for number, node in enumerate(nodes)],
        "emotion",
        [_batch_of(graph.input[0], INPUT)],
        [_batch_of(graph.output[0], OUTPUT)],
        tensors,
    )
    opsets = [onnx.helper.make_opsetid("", opset.version) for opset in model.opset_import if opset.domain == ""]
    return onnx.helper.make_model(renamed, opset_imports=opsets, ir_version=model.ir_version)


def _renamed_node(node: onnx.NodeProto, number: int, names: dict[str, str]) -> onnx.NodeProto:
    result = onnx.NodeProto(op_type=node.op_type, domain=node.domain, name=f"{node.op_type}{number}")
    result.input.extend(names[name] for name in node.input)
    result.output.extend(names[name] for name in node.output)
    result.attribute.extend(sorted(node.attribute, key=lambda attribute: attribute.name))
    return result


def _batch_of(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    sizes = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", *sizes[1:]])
