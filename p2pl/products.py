"""W x for one exchange: the weights of all links with the (K, P) tensors that they carry.

    out = own * now + links * then        then: what arrives, of `now` itself or of an earlier step

By torch and scipy here, or by `p2pl.native`.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Protocol

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from p2pl.memory import empty_like
from p2pl.native.library import Library
from p2pl.native.mixing import NativeProduct
from p2pl.transmission import Weights

DENSE_ABOVE = 0.06  # share of non-zero weights above which a dense product is the faster one, measured on a CPU
FEW = 128  # devices for whose packets dense matrices are the faster ones on a CPU
NATIVE_BELOW = 0.5  # and below which the native one is faster than either (with a packet axis it always is)


class Product(Protocol):
    def __call__(self, now: Tensor, then: Tensor, packet: int) -> Tensor:
        """(K, P) from (K, P) both; `then` is `now` itself if nothing is late.

        packet: how many columns a packet of the message has, where the weights have a packet axis.
        """
        ...


def product(weights: Weights, like: Tensor, library: Library | None) -> Product:
    """The fastest product of these weights with tensors like that one."""
    share = np.count_nonzero(weights.link) / max(1, weights.link.size) * len(weights.link) / len(weights.own) ** 2
    if library is not None and like.dtype == torch.float32 and (share < NATIVE_BELOW or weights.link.ndim == 2):
        return NativeProduct(library, weights)
    return TorchProduct(weights, like)


class TorchProduct:
    """Any kind of number: one matrix, or one for each packet."""

    def __init__(self, weights: Weights, like: Tensor) -> None:
        self.weights = weights
        self.whole = None if weights.link.ndim == 2 else Operator(weights.matrix(), like)

    def __call__(self, now: Tensor, then: Tensor, packet: int) -> Tensor:
        if self.whole is None:
            return self._packets(now, then, packet)
        if then is now:
            return self.whole @ now
        own = torch.from_numpy(self.weights.own).to(now)[:, None]
        links = replace(self.weights, own=np.zeros_like(self.weights.own))
        return own * now + Operator(links.matrix(), now) @ then

    def _packets(self, now: Tensor, then: Tensor, width: int) -> Tensor:
        if len(now) <= FEW:
            return self._packets_at_once(now, then, width)
        result = empty_like(now)
        for packet in range(self.weights.link.shape[1]):
            part = slice(packet * width, (packet + 1) * width)
            own = self.weights.own[:, packet]
            links = sp.csr_array(self.weights.matrix(packet) - sp.diags_array(own))
            held = torch.from_numpy(own).to(now)[:, None] * now[:, part]
            result[:, part] = held + Operator(links, now) @ then[:, part]
        return result

    def _packets_at_once(self, now: Tensor, then: Tensor, width: int) -> Tensor:
        """A dense matrix for each packet, made where the tensors are; the last may be short."""
        weights, packets = self.weights, -(-now.shape[1] // width)  # of a longer message these may be the first ones
        own, link = (torch.from_numpy(part[:, :packets].T.copy()).to(now) for part in (weights.own, weights.link))
        receivers, senders = (torch.from_numpy(part).to(now.device) for part in (weights.receivers, weights.senders))
        matrices = now.new_zeros((packets, len(now), len(now)))
        matrices[:, receivers, senders] = link
        if then is now:
            matrices.diagonal(dim1=1, dim2=2).copy_(own)
        result, cut = empty_like(now), (packets - 1) * width
        whole = slice(0, cut), slice(0, packets - 1)
        for part, some in (*([whole] if cut else []), (slice(cut, None), slice(packets - 1, packets))):
            count = some.stop - some.start
            held, heard = (x[:, part].reshape(len(x), count, -1).transpose(0, 1) for x in (now, then))
            mixed = torch.bmm(matrices[some], heard)
            if then is not now:
                mixed += own[some, :, None] * held
            result[:, part].view(len(now), count, -1).copy_(mixed.transpose(0, 1))
        return result


class Operator:
    """A (K, K) matrix that multiplies (K, P) tensors from the left, where they lie: dense or sparse by its density."""

    def __init__(self, matrix: sp.csr_array, like: Tensor) -> None:
        self.dense: Tensor | None = None
        self.sparse: sp.csr_array | Tensor = matrix.astype(np.float64 if like.dtype == torch.float64 else np.float32)
        if matrix.nnz > DENSE_ABOVE * matrix.shape[0] ** 2:
            self.dense = torch.from_numpy(matrix.toarray()).to(like)
        elif like.device.type != "cpu":
            self.sparse = sparse_tensor(self.sparse, like.device)

    def __matmul__(self, x: Tensor) -> Tensor:
        if self.dense is not None:
            return torch.mm(self.dense, x, out=empty_like(x))
        if isinstance(self.sparse, Tensor):
            return torch.mm(self.sparse, x)
        return torch.from_numpy(self.sparse @ x.numpy())


def sparse_tensor(matrix: sp.csr_array, device: torch.device) -> Tensor:
    """The same matrix as torch's."""
    ordered = matrix.sorted_indices()
    parts = ordered.indptr, ordered.indices, ordered.data
    rows, columns, values = (torch.from_numpy(part).to(device) for part in parts)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        return torch.sparse_csr_tensor(rows, columns, values, matrix.shape, check_invariants=True)
