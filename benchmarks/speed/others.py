"""Contenders from other systems, where they are installed: JAX, ONNX Runtime, Keras.

Each gets Rondo's weights and must give Rondo's outputs before it is timed. They are shown beside the others;
no target is against them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rondo.exchange import onnx_operator, to_keras, to_onnx
from rondo.testing.speed.layers import Case, Contender
from rondo.testing.speed.timing import Run

ALLOWED = 1e-4


def runs(case: Case, ours: Contender, x: Tensor, outer: Tensor) -> Mapping[str, Run]:
    """The calls by name. A system that is missing, or does not have the cell, is left out."""
    if case.cell.name not in ("gru", "lstm", "rnn"):
        return {}
    names = [f"{p.name}_l0" for p in case.cell.parameters]
    weights = {name: value.detach().numpy() for name, value in zip(names, ours.parameters, strict=True)}
    with torch.no_grad():
        expected = ours.outputs(x).numpy()
    found = {}
    for name, make in {"jax scan": _jax, "onnxruntime": _onnxruntime, "keras": _keras}.items():
        try:
            made = make(case, weights, x.detach().numpy(), outer.numpy())
        except ImportError:
            continue
        if made is not None:
            run, outputs = made
            error = float(np.abs(np.asarray(outputs()) - expected).max())
            if not error <= ALLOWED:
                print(f"  {name} is left out: its {case.cell.name} gives other outputs, by {error:.1g}", flush=True)
                continue
            found[name] = run
    return found


Made = tuple[Run, Callable[[], Any]] | None
"""What is timed, and the outputs that must be right."""


def _jax(case: Case, weights: Mapping[str, Any], x: Any, outer: Any) -> Made:
    """``lax.scan`` with the input product for all steps before it, compiled."""
    import jax
    import jax.numpy as jnp

    W, U, b, c = (jnp.asarray(weights[f"{name}_l0"]) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))

    def gru(h: Any, a: Any, U: Any, c: Any) -> Any:
        (ar, az, an), (hr, hz, hn) = jnp.split(a, 3, -1), jnp.split(h[0] @ U.T + c, 3, -1)
        z = jax.nn.sigmoid(az + hz)
        n = jnp.tanh(an + jax.nn.sigmoid(ar + hr) * hn)
        return ((1 - z) * n + z * h[0],)

    def lstm(state: Any, a: Any, U: Any, c: Any) -> Any:
        i, f, g, o = jnp.split(a + state[0] @ U.T + c, 4, -1)
        cell = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(cell), cell

    def rnn(state: Any, a: Any, U: Any, c: Any) -> Any:
        return (jnp.tanh(a + state[0] @ U.T + c),)

    step = {"gru": gru, "lstm": lstm, "rnn": rnn}[case.cell.name]
    start = tuple(jnp.zeros((case.shape.B, case.shape.H)) for _ in case.cell.state_parts)

    def outputs(parameters: Any, x: Any) -> Any:
        W, U, b, c = parameters

        def body(state: Any, a: Any) -> Any:
            after = step(state, a, U, c)
            return after, after[0]

        return jax.lax.scan(body, start, jnp.swapaxes(x @ W.T + b, 0, 1))[1].swapaxes(0, 1)

    parameters, given, weighting = (W, U, b, c), jnp.asarray(x), jnp.asarray(outer)
    forward = jax.jit(outputs)
    whole = jax.jit(jax.grad(lambda p, x: (outputs(p, x) * weighting).sum()))
    call = whole if case.train else forward
    return (lambda: jax.block_until_ready(call(parameters, given))), (lambda: forward(parameters, given))


def _onnxruntime(case: Case, weights: Mapping[str, Any], x: Any, outer: Any) -> Made:
    """The operator of ONNX, time first as it wants it."""
    if case.train:
        return None
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    operator, attributes = onnx_operator(case.cell.name)
    arrays = to_onnx(case.cell.name, weights)
    node = helper.make_node(operator, ["x", *arrays], ["y"], hidden_size=case.shape.H, **attributes)
    B, T, I, H = case.shape.to_list()
    graph = helper.make_graph(
        [node], "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [T, B, I])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [T, 1, B, H])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = min(model.ir_version, 9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    given = {"x": np.ascontiguousarray(x.transpose(1, 0, 2))}
    return (lambda: session.run(None, given)), (lambda: session.run(None, given)[0][:, 0].transpose(1, 0, 2))


def _keras(case: Case, weights: Mapping[str, Any], x: Any, outer: Any) -> Made:
    """A layer of Keras, compiled as ``predict_on_batch`` and ``train_on_batch`` do it (with plain SGD on a mean
    squared error, which the others do not have to compute)."""
    if "KERAS_BACKEND" not in os.environ:
        os.environ["KERAS_BACKEND"] = _keras_backend()
    import keras

    kind = {"gru": "GRU", "lstm": "LSTM", "rnn": "SimpleRNN"}[case.cell.name]
    layer = getattr(keras.layers, kind)(case.shape.H, return_sequences=True)
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    layer.set_weights(to_keras(case.cell.name, weights))
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    train = lambda: model.train_on_batch(x, outer)  # noqa: E731
    forward = lambda: model.predict_on_batch(x)  # noqa: E731
    return (train if case.train else forward), forward


def _keras_backend() -> str:
    """The compiled backend that is there; torch runs Keras' layers as a plain loop."""
    from importlib.util import find_spec

    for name in ("tensorflow", "jax"):
        if find_spec(name):
            return name
    raise ImportError("Keras has no compiled backend here")
