"""NumPy twins of the layers and of the whole model: float64, one sample and one head at a time, written from the paper's formulas.

They share no code and no trick with the layers: windows are sliced in loops, weights are looked up by their path.
"""

import math

import numpy as np

erf = np.vectorize(math.erf, otypes=[float])

ACTIVATIONS = {
    "gelu": lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.where(x > 0, x, 0.0),
}


def pool(h, stride, pooling):
    """(1 + patches, width): the class token, then one row for each window of patches, the last one smaller if need be."""
    reduce = {"mean": np.mean, "max": np.max}[pooling]
    rows = [h[0]]
    for start in range(1, len(h), stride):
        rows.append(reduce(h[start : min(start + stride, len(h))], axis=0))
    return np.stack(rows)


def layer_norm(x, weights, prefix, epsilon):
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * weights[f"{prefix}/gamma"] + weights[f"{prefix}/beta"]


def dense(x, weights, prefix):
    return x @ weights[f"{prefix}/kernel"] + weights[f"{prefix}/bias"]


def softmax(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def attention_block(h, states, weights, name, num_heads, epsilon=1e-6):
    """(queries, width) and (keys, width) to (queries, width); states may be h."""
    normed, source = (layer_norm(x, weights, f"{name}/norm", epsilon) for x in (h, states))
    query, key, value = (
        dense(normed, weights, f"{name}/query"),
        dense(source, weights, f"{name}/key"),
        dense(source, weights, f"{name}/value"),
    )
    size = h.shape[1] // num_heads
    heads = []
    for head in range(num_heads):
        part = slice(head * size, (head + 1) * size)
        shares = softmax(query[:, part] @ key[:, part].T / math.sqrt(size))
        heads.append(shares @ value[:, part])
    return h + dense(np.concatenate(heads, axis=1), weights, f"{name}/projection")


def mlp_block(h, weights, name, activation="gelu", epsilon=1e-6):
    hidden = ACTIVATIONS[activation](dense(layer_norm(h, weights, f"{name}/norm", epsilon), weights, f"{name}/expand"))
    return h + dense(hidden, weights, f"{name}/contract")


def forward(arch, weights, image):
    """Logits of one image, (height, width, channels)."""
    size = arch.patch_size
    kernel, bias = weights["patches/kernel"], weights["patches/bias"]
    rows = [weights["class_token/token"][0, 0]]
    for top in range(0, image.shape[0], size):
        for left in range(0, image.shape[1], size):
            patch = image[top : top + size, left : left + size]
            rows.append(np.tensordot(patch, kernel, axes=3) + bias)
    h = np.stack(rows) + weights["positions/positions"][0]
    for index, stage in enumerate(arch.stages):
        if h.shape[1] != stage.width:
            h = dense(h, weights, f"stage{index}_projection")
        states = None
        if stage.pool_stride > 1:
            states = h
            h = pool(h, stage.pool_stride, stage.pooling)
        for block in range(stage.depth):
            name = f"stage{index}_block{block}"
            reads_states = block == 0 and states is not None and arch.pool_query_only
            h = attention_block(h, states if reads_states else h, weights, f"{name}_attention", stage.num_heads, arch.norm_epsilon)
            h = mlp_block(h, weights, f"{name}_mlp", arch.activation, arch.norm_epsilon)
    return dense(layer_norm(h[0], weights, "norm", arch.norm_epsilon), weights, "head")


def weights_of(layer):
    """A Keras layer's or model's weights by path, float64."""
    return {weight.path: np.asarray(weight.numpy() if hasattr(weight, "numpy") else weight, dtype=np.float64) for weight in layer.weights}
