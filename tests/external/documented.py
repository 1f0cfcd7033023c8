"""One layer of Keras and of ONNX, computed step by step as their documentation says, in NumPy.

Written from those systems' documents alone, with the names used there and their default activations.
Keras 3: `SimpleRNNCell`, `LSTMCell`, `GRUCell`, `Bidirectional`. ONNX, operator set 22: `RNN`, `LSTM`, `GRU`.
Nothing of Rondo is used.
"""

from __future__ import annotations

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def keras_simple_rnn(x, kernel, recurrent_kernel, bias=0.0):
    """x (B, T, I) -> outputs (B, T, units), as with return_sequences=True."""
    h = np.zeros((len(x), recurrent_kernel.shape[0]))
    outputs = []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ kernel + bias + h @ recurrent_kernel)
        outputs.append(h)
    return np.stack(outputs, 1)


def keras_lstm(x, kernel, recurrent_kernel, bias=0.0):
    units = recurrent_kernel.shape[0]
    h = c = np.zeros((len(x), units))
    outputs = []
    for t in range(x.shape[1]):
        z = x[:, t] @ kernel + h @ recurrent_kernel + bias
        z0, z1, z2, z3 = z[:, :units], z[:, units : 2 * units], z[:, 2 * units : 3 * units], z[:, 3 * units :]
        i, f = sigmoid(z0), sigmoid(z1)
        c = f * c + i * np.tanh(z2)
        o = sigmoid(z3)
        h = o * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, 1)


def keras_gru(x, kernel, recurrent_kernel, bias=None, *, reset_after):
    units = recurrent_kernel.shape[0]
    input_bias = recurrent_bias = np.zeros(3 * units)
    if bias is not None:
        input_bias, recurrent_bias = bias if reset_after else (bias, recurrent_bias)
    h = np.zeros((len(x), units))
    outputs = []
    for t in range(x.shape[1]):
        matrix_x = x[:, t] @ kernel + input_bias
        x_z, x_r, x_h = matrix_x[:, :units], matrix_x[:, units : 2 * units], matrix_x[:, 2 * units :]
        k_z, k_r = recurrent_kernel[:, :units], recurrent_kernel[:, units : 2 * units]
        k_h = recurrent_kernel[:, 2 * units :]
        z = sigmoid(x_z + h @ k_z + recurrent_bias[:units])
        r = sigmoid(x_r + h @ k_r + recurrent_bias[units : 2 * units])
        if reset_after:
            recurrent_h = r * (h @ k_h + recurrent_bias[2 * units :])
        else:
            recurrent_h = (r * h) @ k_h
        hh = np.tanh(x_h + recurrent_h)
        h = z * h + (1 - z) * hh
        outputs.append(h)
    return np.stack(outputs, 1)


def keras_bidirectional(layer, x, arrays):
    """Bidirectional(layer, merge_mode="concat"): the second half of the weights reads x from its end."""
    half = len(arrays) // 2
    forward = layer(x, *arrays[:half])
    backward = layer(x[:, ::-1], *arrays[half:])[:, ::-1]
    return np.concatenate([forward, backward], -1)


def onnx_rnn(X, W, R, B=None):
    """X (T, B, I) -> Y (T, directions, B, hidden); two directions if W, R and B have two."""

    def direction(X, W, R, Wb, Rb):
        H = np.zeros((X.shape[1], R.shape[1]))
        for Xt in X:
            H = np.tanh(Xt @ W.T + H @ R.T + Wb + Rb)
            yield H

    return _onnx(direction, X, W, R, B)


def onnx_lstm(X, W, R, B=None, P=None):
    def direction(X, W, R, Wb, Rb, P=None):
        hidden = R.shape[1]
        Wi, Wo, Wf, Wc = np.split(W, 4)
        Ri, Ro, Rf, Rc = np.split(R, 4)
        Wbi, Wbo, Wbf, Wbc = np.split(Wb, 4)
        Rbi, Rbo, Rbf, Rbc = np.split(Rb, 4)
        Pi, Po, Pf = np.split(np.zeros(3 * hidden) if P is None else P, 3)
        H = C = np.zeros((X.shape[1], hidden))
        for Xt in X:
            it = sigmoid(Xt @ Wi.T + H @ Ri.T + Pi * C + Wbi + Rbi)
            ft = sigmoid(Xt @ Wf.T + H @ Rf.T + Pf * C + Wbf + Rbf)
            ct = np.tanh(Xt @ Wc.T + H @ Rc.T + Wbc + Rbc)
            C = ft * C + it * ct
            ot = sigmoid(Xt @ Wo.T + H @ Ro.T + Po * C + Wbo + Rbo)
            H = ot * np.tanh(C)
            yield H

    return _onnx(direction, X, W, R, B, *([] if P is None else [P]))


def onnx_gru(X, W, R, B=None, *, linear_before_reset):
    def direction(X, W, R, Wb, Rb):
        Wz, Wr, Wh = np.split(W, 3)
        Rz, Rr, Rh = np.split(R, 3)
        Wbz, Wbr, Wbh = np.split(Wb, 3)
        Rbz, Rbr, Rbh = np.split(Rb, 3)
        H = np.zeros((X.shape[1], R.shape[1]))
        for Xt in X:
            zt = sigmoid(Xt @ Wz.T + H @ Rz.T + Wbz + Rbz)
            rt = sigmoid(Xt @ Wr.T + H @ Rr.T + Wbr + Rbr)
            if linear_before_reset:
                ht = np.tanh(Xt @ Wh.T + rt * (H @ Rh.T + Rbh) + Wbh)
            else:
                ht = np.tanh(Xt @ Wh.T + (rt * H) @ Rh.T + Rbh + Wbh)
            H = (1 - zt) * ht + zt * H
            yield H

    return _onnx(direction, X, W, R, B)


def _onnx(direction, X, W, R, B, *more):
    rows = W.shape[1]
    B = np.zeros((len(W), 2 * rows)) if B is None else B
    Y = []
    for d in range(len(W)):
        read = X if d == 0 else X[::-1]
        H = np.stack(list(direction(read, W[d], R[d], B[d, :rows], B[d, rows:], *[m[d] for m in more])))
        Y.append(H if d == 0 else H[::-1])
    return np.stack(Y, 1)
