"""What a forecaster says of each step: a point, quantiles, or a distribution; its loss, its quantiles, its samples.

A head reads ``size`` parameters for each value, which the network makes. All but one speak of scaled values; the
negative binomial is about counts, so it is told what one scaled unit is.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from scipy import special, stats
from torch import Tensor, nn
from torch.nn import functional as F

from rondo.errors import UsageError, nearest

HeadName = Literal["mse", "mae", "huber", "quantiles", "gaussian", "student_t", "negative_binomial"]
LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
"""The levels that the head of quantiles learns, unless others are given."""
_LEAST = 1e-4
"""Of a scale, in scaled units."""


class Head(nn.Module, ABC):
    """Base of the heads: what parameters (..., size) mean."""

    counts = False
    """Whether it speaks of counts, which are not shifted."""
    draws = True
    """Whether it can be sampled from."""
    place = 0
    """Which parameter says where the values lie: adding to it moves everything that is said."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def moved(self, parameters: Tensor, by: Tensor) -> Tensor:
        """Parameters (..., size) of the same spread elsewhere: ``by`` (...) further up."""
        if self.counts:
            raise UsageError("counts are not moved: a negative binomial says no place apart from its spread.")
        return parameters + F.pad(by[..., None], (self.place, self.size - 1 - self.place))

    @abstractmethod
    def loss(self, parameters: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        """The loss of each value; parameters (..., size), target (...), ``unit`` broadcasting to it."""

    @abstractmethod
    def point(self, parameters: Tensor, unit: Tensor) -> Tensor:
        """One number for each value."""

    @abstractmethod
    def quantiles(self, parameters: Tensor, levels: Sequence[float], unit: Tensor) -> Tensor:
        """(..., levels)"""

    @abstractmethod
    def sample(self, parameters: Tensor, unit: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw for each value."""

    @abstractmethod
    def start(self, values: Tensor, unit: Tensor) -> Tensor:
        """The parameters (size,) that say how values (N,) with their units are spread: where learning begins."""


class Point(Head):
    """A number, by squared, absolute or Huber's loss (1964, with its bend at 1)."""

    draws = False

    def __init__(self, loss: Literal["mse", "mae", "huber"]) -> None:
        super().__init__(1)
        self.kind = loss

    def loss(self, parameters: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        said = parameters[..., 0]
        if self.kind == "mse":
            return (said - target) ** 2
        if self.kind == "mae":
            return (said - target).abs()
        return F.huber_loss(said, target, reduction="none")

    def point(self, parameters: Tensor, unit: Tensor) -> Tensor:
        return parameters[..., 0]

    def quantiles(self, parameters: Tensor, levels: Sequence[float], unit: Tensor) -> Tensor:
        raise UsageError("a head that says points has no quantiles; take quantiles or a distribution, or calibrate it.")

    def sample(self, parameters: Tensor, unit: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return parameters[..., 0]

    def start(self, values: Tensor, unit: Tensor) -> Tensor:
        return (values.mean() if self.kind == "mse" else values.quantile(0.5)).reshape(1)


class Quantiles(Head):
    """Quantiles that cannot cross: the middle one, and steps up and down from it that are never negative.

    Loss: the mean over the levels of twice the pinball loss, which is about the CRPS (Gneiting and Raftery 2007).
    """

    def __init__(self, levels: Sequence[float] = LEVELS) -> None:
        super().__init__(len(levels))
        rising = all(low < high for low, high in itertools.pairwise(levels))
        if not levels or not rising or levels[0] <= 0 or levels[-1] >= 1:
            raise UsageError(f"levels of quantiles rise between 0 and 1, not {list(levels)}.")
        self.levels = tuple(levels)
        self.place = self.middle = min(range(len(levels)), key=lambda place: abs(levels[place] - 0.5))
        self.tau: Tensor
        self.register_buffer("tau", torch.tensor(levels), persistent=False)

    def values(self, parameters: Tensor) -> Tensor:
        """The quantiles (..., levels)."""
        middle = parameters[..., self.middle : self.middle + 1]
        up = middle + F.softplus(parameters[..., self.middle + 1 :]).cumsum(-1)
        down = middle - F.softplus(parameters[..., : self.middle]).flip(-1).cumsum(-1).flip(-1)
        return torch.cat([down, middle, up], -1)

    def loss(self, parameters: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        gaps = target[..., None] - self.values(parameters)
        tau = self.tau.to(gaps.dtype)
        return 2 * torch.maximum(tau * gaps, (tau - 1) * gaps).mean(-1)

    def point(self, parameters: Tensor, unit: Tensor) -> Tensor:
        return self.values(parameters)[..., self.middle]

    def quantiles(self, parameters: Tensor, levels: Sequence[float], unit: Tensor) -> Tensor:
        return self._between(self.values(parameters), torch.tensor(levels, dtype=parameters.dtype))

    def sample(self, parameters: Tensor, unit: Tensor, generator: torch.Generator | None = None) -> Tensor:
        values = self.values(parameters)
        drawn = torch.rand(values.shape[:-1], generator=generator, dtype=values.dtype, device=values.device)
        return self._between(values, drawn[..., None])[..., 0]

    def start(self, values: Tensor, unit: Tensor) -> Tensor:
        known = values.quantile(self.tau.to(values.dtype))
        steps = _before_softplus(known.diff())
        return torch.cat([steps[: self.middle], known[self.middle : self.middle + 1], steps[self.middle :]])

    def _between(self, values: Tensor, wanted: Tensor) -> Tensor:
        """At other levels: on lines between those there are; beyond the outermost, along the last line."""
        if len(self.levels) == 1:
            return values.expand(*values.shape[:-1], wanted.shape[-1])
        known = self.tau.to(values.dtype)
        wanted = wanted.to(values.device).expand(*values.shape[:-1], wanted.shape[-1]).contiguous()
        right = torch.searchsorted(known, wanted).clamp(1, len(self.levels) - 1)
        share = (wanted - known[right - 1]) / (known[right] - known[right - 1])
        low, high = values.gather(-1, right - 1), values.gather(-1, right)
        return low + share * (high - low)


class Gaussian(Head):
    """A normal distribution; loss: negative log-likelihood."""

    def __init__(self) -> None:
        super().__init__(2)

    def split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation."""
        return parameters[..., 0], F.softplus(parameters[..., 1]) + _LEAST

    def loss(self, parameters: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        mean, scale = self.split(parameters)
        return 0.5 * ((target - mean) / scale) ** 2 + scale.log() + 0.5 * math.log(2 * math.pi)

    def point(self, parameters: Tensor, unit: Tensor) -> Tensor:
        return parameters[..., 0]

    def quantiles(self, parameters: Tensor, levels: Sequence[float], unit: Tensor) -> Tensor:
        mean, scale = self.split(parameters)
        return mean[..., None] + scale[..., None] * torch.special.ndtri(_levels(levels, mean))

    def sample(self, parameters: Tensor, unit: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean, scale = self.split(parameters)
        drawn = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        return mean + scale * drawn

    def start(self, values: Tensor, unit: Tensor) -> Tensor:
        return torch.stack([values.mean(), _before_softplus(values.std(correction=0))])


class StudentT(Head):
    """Student's t with more than 2 degrees of freedom, for heavy tails; loss: negative log-likelihood."""

    def __init__(self) -> None:
        super().__init__(3)

    def split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Location, scale, degrees of freedom."""
        return parameters[..., 0], F.softplus(parameters[..., 1]) + _LEAST, 2 + F.softplus(parameters[..., 2])

    def loss(self, parameters: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        location, scale, degrees = self.split(parameters)
        z = (target - location) / scale
        constant = torch.lgamma((degrees + 1) / 2) - torch.lgamma(degrees / 2) - 0.5 * torch.log(degrees * math.pi)
        return scale.log() - constant + (degrees + 1) / 2 * torch.log1p(z * z / degrees)

    def point(self, parameters: Tensor, unit: Tensor) -> Tensor:
        return parameters[..., 0]

    def quantiles(self, parameters: Tensor, levels: Sequence[float], unit: Tensor) -> Tensor:
        location, scale, degrees = self.split(parameters)
        tau = _levels(levels, location).cpu().double().numpy()
        z = special.stdtrit(  # torch has no inverse of this distribution
            degrees[..., None].detach().cpu().double().numpy(), tau
        )
        return location[..., None] + scale[..., None] * torch.as_tensor(z, dtype=location.dtype, device=location.device)

    def sample(self, parameters: Tensor, unit: Tensor, generator: torch.Generator | None = None) -> Tensor:
        location, scale, degrees = self.split(parameters)
        normal = torch.randn(location.shape, generator=generator, dtype=location.dtype, device=location.device)
        chi = 2 * torch._standard_gamma(degrees / 2, generator=generator)
        return location + scale * normal * torch.sqrt(degrees / chi.clamp_min(1e-12))

    def start(self, values: Tensor, unit: Tensor) -> Tensor:
        low, middle, high = values.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=values.dtype))
        degrees = torch.tensor(3.0, dtype=values.dtype)
        quartile = float(special.stdtrit(2 + float(F.softplus(degrees)), 0.75))
        return torch.stack([middle, _before_softplus((high - low) / 2 / quartile), degrees])


class NegativeBinomial(Head):
    """Counts with mean m and variance m + a m^2 (Salinas et al. 2020, "DeepAR", eq. 4 and section 3.3).

    Targets are counts divided by ``unit``; the mean is multiplied by it and the shape a divided by its root, so that
    one network serves small and large series.
    """

    counts = True

    def __init__(self) -> None:
        super().__init__(2)

    def split(self, parameters: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and shape a, of the counts."""
        mean = (F.softplus(parameters[..., 0]) + 1e-6) * unit
        return mean, (F.softplus(parameters[..., 1]) + 1e-6) / unit.sqrt()

    def loss(self, parameters: Tensor, target: Tensor, unit: Tensor) -> Tensor:
        mean, shape = self.split(parameters, unit)
        count, r = target * unit, 1 / shape
        likelihood = torch.lgamma(count + r) - torch.lgamma(count + 1) - torch.lgamma(r)
        rate = torch.log1p(shape * mean)
        return r * rate - count * (torch.log(shape * mean) - rate) - likelihood

    def point(self, parameters: Tensor, unit: Tensor) -> Tensor:
        return self.split(parameters, unit)[0] / unit

    def quantiles(self, parameters: Tensor, levels: Sequence[float], unit: Tensor) -> Tensor:
        mean, shape = (one.detach().cpu().double().numpy()[..., None] for one in self.split(parameters, unit))
        tau = _levels(levels, parameters).cpu().double().numpy()
        found = stats.nbinom.ppf(tau, 1 / shape, 1 / (1 + shape * mean))
        return torch.as_tensor(found, dtype=parameters.dtype, device=parameters.device) / unit[..., None]

    def sample(self, parameters: Tensor, unit: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean, shape = self.split(parameters, unit)
        rate = torch._standard_gamma(1 / shape, generator=generator) * shape * mean
        return torch.poisson(rate, generator=generator) / unit

    def start(self, values: Tensor, unit: Tensor) -> Tensor:
        typical = unit.quantile(0.5)
        mean, variance = values.mean() * typical, values.var(correction=0) * typical**2
        shape = (variance - mean) / mean.clamp_min(_LEAST) ** 2
        return torch.stack([_before_softplus(values.mean()), _before_softplus(shape * typical.sqrt())])


HEADS: dict[HeadName, Callable[[], Head]] = {
    "mse": lambda: Point("mse"),
    "mae": lambda: Point("mae"),
    "huber": lambda: Point("huber"),
    "quantiles": Quantiles,
    "gaussian": Gaussian,
    "student_t": StudentT,
    "negative_binomial": NegativeBinomial,
}


def make_head(name: HeadName) -> Head:
    """The head of this name."""
    if name not in HEADS:
        raise UsageError(f"there is no head '{name}'{nearest(str(name), get_args(HeadName))}")
    return HEADS[name]()


def _before_softplus(wanted: Tensor) -> Tensor:
    """What becomes a value by softplus; of a smaller one than the least, the least."""
    least = wanted.clamp_min(_LEAST)
    return least + torch.log(-torch.expm1(-least))


def _levels(levels: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(levels, dtype=like.dtype, device=like.device)
