"""PyTorch: attention, and the product and the bias of a dense layer in one operation; in float32 on a CPU, by oneDNN.

PyTorch gives float32 products on CPUs to MKL, which on AMD's processors takes twice as long as oneDNN does; it has oneDNN on board, and
torch.compile takes it for linear layers, but nothing public asks for it in full precision. So this calls the operator that
torch.compile calls. Its gradient is written out and cannot be differentiated again: of such a layer only first derivatives are had.
"""

from typing import Any

import torch

_ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise") and torch.backends.mkldnn.is_available()


def affine(h: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Product and bias, `h @ kernel + bias`: (..., in), (in, out), (out,) to (..., out)."""
    rows = h.reshape(-1, kernel.shape[0])
    of_onednn = _ONEDNN and rows.dtype == kernel.dtype == torch.float32 and rows.device.type == "cpu"
    by_onednn = of_onednn and rows.numel() > 0 and not _is_traced()
    out = _OneDNNAffine.apply(rows, kernel, bias) if by_onednn else torch.addmm(bias, rows, kernel)
    return out.view(*h.shape[:-1], kernel.shape[1])


def normalise(h: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, width: tuple[int], epsilon: float) -> torch.Tensor:
    """Layer norm over the last axis: (..., width) to the same. The width is a number: one that is read off h is none to who traces this."""
    return torch.nn.functional.layer_norm(h, width, gamma, beta, epsilon)


def attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Softmax attention by PyTorch's kernel, which keeps no scores: (batch, tokens, heads, head_dim), like the queries."""
    by_head = (tensor.transpose(1, 2) for tensor in (queries, keys, values))
    return torch.nn.functional.scaled_dot_product_attention(*by_head).transpose(1, 2)


def _is_traced() -> bool:
    """Whether a compiler or an export, to ONNX say, watches: neither may find oneDNN's operator and a gradient of ours."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


class _OneDNNAffine(torch.autograd.Function):
    """The three products of a dense layer, forward and backward."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(rows, kernel)
        return _product(rows, kernel.t(), bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, kernel = ctx.saved_tensors
        for_rows, for_kernel, for_bias = ctx.needs_input_grad
        return (
            _product(upstream, kernel) if for_rows else None,
            _product(rows.t(), upstream.t()) if for_kernel else None,
            upstream.sum(0) if for_bias else None,
        )


def _product(left: torch.Tensor, right: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """The product `left @ right.T + bias`, as the operator has it: (n, k), (m, k), (m,) to (n, m)."""
    return torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")
