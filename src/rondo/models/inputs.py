"""What stands before the layers of a classifier or tagger: vectors of tokens, or numbers, convolved or as they are."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from rondo.errors import UsageError, nearest
from rondo.layers.dropout import probability
from rondo.layers.masks import valid_steps
from rondo.models.token_pairs import Pairs

NormName = Literal["batch", "layer"]

SCALE = 0.1
"""Of token vectors at first."""
EPSILON = 1e-5
"""Added to variances."""
FORGOTTEN = 0.1
"""Share of what `StepNorm` remembers that each batch replaces, once there were enough of them."""


class TokenInput(nn.Module):
    """A vector for each token, small at first: a classifier overfits to large ones, which are as good as noise.

    With ``pair_width`` each token has another beside it, for the pair that it forms with the token before, after
    fastText (Joulin et al. 2016, 1607.01759). ``pairs`` (P, 2) are those that have a vector of their own; all others
    share one, so that rare ones are not learned by heart. The first token has
    ``vocabulary_size`` before it. ``token_dropout`` drops tokens whole, in training: each becomes a vector of zeros
    with this probability (Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods for Text
    Classification").
    """

    pair_keys: Tensor
    """(1 + P,): -1, then a number for each pair, in ascending order. Not among the saved weights: pairs belong to the
    vocabulary."""

    def __init__(
        self, vocabulary_size: int, width: int, *, pairs: Pairs | None = None, pair_width: int = 0,
        token_dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        for name, value, least in (("embedding", width, 1), ("pair-embedding", pair_width, 0)):
            if value < least:
                raise UsageError(f"--{name} is at least {least}, not {value}")
        self.embedding = nn.Embedding(vocabulary_size, width)
        nn.init.normal_(self.embedding.weight, std=SCALE)
        self.pairs = None
        if pair_width:
            if pairs is None:
                raise UsageError("--pair-embedding needs to know which pairs of tokens there are")
            self.pairs = nn.Embedding(1 + len(pairs), pair_width)
            keys = np.sort(np.append(pairs[:, 0] * (vocabulary_size + 1) + pairs[:, 1], -1))
            self.register_buffer("pair_keys", torch.from_numpy(keys), persistent=False)
            nn.init.normal_(self.pairs.weight, std=SCALE)
        self.token_dropout = probability("token_dropout", token_dropout)

    @property
    def output_size(self) -> int:
        """The width of the vectors."""
        return self.embedding.embedding_dim + (self.pairs.embedding_dim if self.pairs is not None else 0)

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Vectors (B, T, width) of tokens (B, T), and the lengths as they were."""
        vectors: Tensor = self.embedding(tokens)
        if self.pairs is not None:
            vectors = torch.cat([vectors, self.pairs(self._numbered(tokens))], -1)
        if self.training and self.token_dropout:
            kept = torch.rand(tokens.shape, device=tokens.device) >= self.token_dropout
            vectors = vectors * kept[..., None]
        return vectors, lengths

    def _numbered(self, tokens: Tensor) -> Tensor:
        """The number of the pair that each token forms with the one before; 0 for pairs that are not known."""
        now, size = tokens.long(), self.embedding.num_embeddings
        key = torch.nn.functional.pad(now[:, :-1], (1, 0), value=size) * (size + 1) + now
        place = torch.searchsorted(self.pair_keys, key).clamp(max=len(self.pair_keys) - 1)
        return torch.where(self.pair_keys[place] == key, place, 0)


class StepNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) over all steps of all sequences; padding is not among them.

    In use, with the mean and variance of training: the plain mean over the first batches, then one that forgets.
    """

    mean: Tensor
    variance: Tensor
    batches: Tensor
    """(1,): how many batches training has had; a float, as all that is saved with the weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("batches", torch.zeros(1))

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T, channels), as they came in."""
        mean, variance = self.mean, self.variance
        if self.training and (lengths is None or bool((lengths > 0).any())):
            steps = x.flatten(0, 1) if lengths is None else x[valid_steps(lengths, x.shape[1], x.device)]
            variance, mean = torch.var_mean(steps.to(self.mean.dtype), 0, correction=0)
            self._remember(mean.detach(), variance.detach())
        scale = self.weight * torch.rsqrt(variance.clamp(min=0) + EPSILON)
        return x * scale + (self.bias - mean * scale)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        self.batches += 1
        share = (1 / self.batches).clamp(min=FORGOTTEN)
        self.mean.lerp_(mean, share)
        self.variance.lerp_(variance, share)


NORMS = {"batch": StepNorm, "layer": nn.LayerNorm}


class NumberInput(nn.Module):
    """Numbers as they are, (B, T, features), or after convolutions over time.

    Each convolution has a kernel of odd width with zeros at both ends, then a normalisation and a ReLU: ``batch``,
    each channel over all steps of the batch, or ``layer``, each step over its channels, which takes from it how
    large it was. ``stride`` above 1 makes the sequence shorter by that factor in each. Nothing looks at padding.
    """

    def __init__(
        self, features: int, *, channels: int = 0, kernel: int = 5, layers: int = 1, stride: int = 1,
        norm: NormName = "batch",
    ) -> None:  # fmt: skip
        super().__init__()
        for name, value, least in (("channels", channels, 0), ("layers", layers, 1), ("stride", stride, 1)):
            if value < least:
                raise UsageError(f"--conv-{name} is at least {least}, not {value}")
        if kernel < 1 or kernel % 2 == 0:
            raise UsageError(f"--conv-kernel is an odd number, not {kernel}")
        self.output_size = channels or features
        self.stride = stride
        widths = [features] + [channels] * (layers if channels else 0)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, after, kernel, stride=stride, padding=kernel // 2)
            for before, after in itertools.pairwise(widths)
        )
        if norm not in NORMS:
            raise UsageError(f"--conv-norm cannot be '{norm}'{nearest(norm, NORMS)}")
        self.norms = nn.ModuleList(NORMS[norm](channels) for _ in self.convolutions)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Features (B, T', output_size), and how many of the T' steps each sequence has."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            if x.shape[1] == 0:
                x = x.new_zeros(x.shape[0], 0, self.output_size)
                continue
            if lengths is not None:  # what lies in padding must be the zeros that lie beyond the ends
                x = torch.where(valid_steps(lengths, x.shape[1], x.device)[..., None], x, 0.0)
                lengths = (lengths + self.stride - 1) // self.stride
            x = convolution(x.transpose(1, 2)).transpose(1, 2)
            x = (norm(x, lengths) if isinstance(norm, StepNorm) else norm(x)).relu()
        return x, lengths
