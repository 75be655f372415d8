"""The Siamese network: plain arrays to score with, torch tensors to train.

Several members train in one batched pass: weights have a leading axis of members, the
first layer of all of them is one matrix product, and every member sees its own loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from embrm._optional import import_optional
from embrm._typing import FloatArray
from embrm.exceptions import IntegrityError, format_error
from embrm.heads.state import HeadState

_ROWS_AT_A_TIME = 4096


@dataclass(frozen=True, eq=False)
class Network:
    """Fitted multilayer perceptrons with ReLU and one output; their mean is the score.

    Attributes
    ----------
    weights : list of ndarray of shape (n_members, n_in, n_out), float32
    biases : list of ndarray of shape (n_members, n_out), float32
        One fewer than `weights`: a bias of the output cancels in every comparison.
    """

    weights: list[FloatArray]
    biases: list[FloatArray]

    def __len__(self) -> int:
        return len(self.weights[0])

    def __call__(self, items: FloatArray) -> FloatArray:
        """Score items, (n_items, d) -> (n_items,), in float32 and without torch."""
        return np.asarray(self.members(items).mean(axis=0))

    def members(self, items: FloatArray) -> FloatArray:
        """Score items by each member, (n_items, d) -> (n_members, n_items)."""
        starts = range(0, max(1, len(items)), _ROWS_AT_A_TIME)
        blocks = [self._block(items[s : s + _ROWS_AT_A_TIME]) for s in starts]
        return np.concatenate(blocks, axis=1)

    def member(self, number: int) -> "Network":
        """Take one member, as an ensemble of one."""
        one = slice(number, number + 1)
        return Network([w[one] for w in self.weights], [b[one] for b in self.biases])

    def get_state(self) -> HeadState:
        """Return what `from_state` restores."""
        arrays = {f"weight{n}": weight for n, weight in enumerate(self.weights)}
        arrays |= {f"bias{n}": bias for n, bias in enumerate(self.biases)}
        return HeadState(arrays, {"n_layers": len(self.weights)})

    @classmethod
    def from_state(cls, state: HeadState) -> "Network":
        """Restore what `get_state` returned.

        Raises
        ------
        IntegrityError
            If a layer is missing, or does not fit the others.
        """
        n_layers = state.value("n_layers", int)
        weights = [state.array(f"weight{n}", ndim=3) for n in range(n_layers)]
        biases = [state.array(f"bias{n}", ndim=2) for n in range(n_layers - 1)]
        shapes = [weight.shape for weight in weights]
        n_hidden = [bias.shape[1] for bias in biases]
        fits = (
            len(shapes) > 0
            and len({len(array) for array in [*weights, *biases]}) == 1
            and [n_out for _, _, n_out in shapes] == [*n_hidden, 1]
            and [n_in for _, n_in, _ in shapes[1:]] == n_hidden
        )
        if not fits:
            raise IntegrityError(
                format_error(
                    expected="layers that fit each other in the stored network",
                    got=f"weights of shapes {shapes[:8]}",
                    fix="save the head again",
                )
            )
        return cls(weights, biases)

    def _block(self, items: FloatArray) -> FloatArray:
        first = self.weights[0]
        n_members, n_in, n_out = first.shape
        # All members look at the same items: one wide product instead of many.
        wide = items @ first.transpose(1, 0, 2).reshape(n_in, n_members * n_out)
        hidden = wide.reshape(len(items), n_members, n_out).transpose(1, 0, 2)
        for weight, bias in zip(self.weights[1:], self.biases, strict=True):
            hidden = np.maximum(hidden + bias[:, None, :], 0) @ weight
        return np.asarray(hidden[:, :, 0])


class TrainableNetwork:
    """The torch side of a `Network`: parameters and forward pass.

    Parameters
    ----------
    n_features : int
    hidden_sizes : sequence of int
    n_members : int
    dropout : float in [0, 1)
    device : str
        `"cpu"` or `"cuda"`.
    bfloat16 : bool
        Whether matrix products are computed in bfloat16; parameters stay float32.
    rng : numpy.random.Generator
        Every random number comes from it; torch's global seed is not touched.
    """

    def __init__(
        self,
        n_features: int,
        hidden_sizes: Sequence[int],
        *,
        n_members: int,
        dropout: float,
        device: str,
        bfloat16: bool,
        rng: np.random.Generator,
    ) -> None:
        self.torch: Any = import_optional("torch", extra="torch")
        self.n_members, self.dropout = n_members, dropout
        self.device, self.bfloat16 = device, bfloat16
        sizes = [n_features, *hidden_sizes, 1]
        shapes = [(n_members, m, n) for m, n in pairwise(sizes)]
        # He et al. 2015 (arXiv:1502.01852), eq. 10, but for the output, which is 0.
        drawn = [rng.normal(0, np.sqrt(2 / s[1]), s) for s in shapes[:-1]]
        self.weights = [self._parameter(w) for w in [*drawn, np.zeros(shapes[-1])]]
        self.biases = [self._parameter(np.zeros((n_members, n))) for n in hidden_sizes]
        self.generator = self.torch.Generator(device=device)
        self.generator.manual_seed(int(rng.integers(2**31)))

    def score(self, items: Any) -> Any:
        """Score items, (n_items, d) -> (n_members, n_items), with dropout."""
        torch = self.torch
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.bfloat16):
            hidden = items
            for number, weight in enumerate(self.weights):
                hidden = self._product(hidden, weight)
                if number < len(self.biases):
                    bias = self.biases[number]
                    hidden = torch.relu(hidden + bias[:, None, :])
                    hidden = self._drop(hidden)
        return hidden[:, :, 0].float()

    def copy_out(self) -> Network:
        """Copy the parameters out of torch."""
        return Network(
            [w.detach().cpu().numpy().copy() for w in self.weights],
            [b.detach().cpu().numpy().copy() for b in self.biases],
        )

    def parameters_of_members(self) -> list[Any]:
        """List all parameters; each has a leading axis of members."""
        return [*self.weights, *self.biases]

    def _product(self, hidden: Any, weight: Any) -> Any:
        if hidden.ndim == 3:
            return self.torch.bmm(hidden, weight)
        # All members look at the same items: one wide product instead of many.
        n_members, n_in, n_out = weight.shape
        wide = weight.permute(1, 0, 2).reshape(n_in, n_members * n_out)
        product = (hidden @ wide).reshape(len(hidden), n_members, n_out)
        return product.permute(1, 0, 2)

    def _drop(self, hidden: Any) -> Any:
        if self.dropout == 0:
            return hidden
        keep = 1 - self.dropout
        drawn = self.torch.rand(
            hidden.shape, generator=self.generator, device=self.device
        )
        return hidden * (drawn < keep) / keep

    def _parameter(self, array: FloatArray) -> Any:
        tensor = self.torch.from_numpy(array.astype(np.float32))
        return tensor.to(self.device).requires_grad_()


def choose_device(torch: Any) -> str:
    """Take a CUDA device where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def computes_bfloat16() -> bool:
    """Say whether the hardware multiplies bfloat16 matrices faster than float32.

    torch also multiplies them where it has to emulate that, at half the speed.
    """
    from embrm.embed.sliced_encoder import native_dtype

    return native_dtype() == "bfloat16"
