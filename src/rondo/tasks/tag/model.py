"""`TaggerModel`: a trained network with what turns tokens into its inputs and its outputs into tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rondo.data.pools import batches, padded
from rondo.data.tagging.schemes import Span
from rondo.decoding.viterbi import n_best, viterbi
from rondo.layers.chain import log_partition
from rondo.models.folder import check_parts, read_model
from rondo.models.tagger import Tagger, rebuild
from rondo.models.weights import load_network
from rondo.tasks.estimator import folder_bytes, folder_of
from rondo.tasks.tag.encoder import TokenEncoder
from rondo.tasks.tag.tags import TagNames
from rondo.tasks.trained import TrainedModel, checked_temperature, saved_baselines

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Sentences = Sequence[Sequence[str]]


ROOM = 1 << 25
"""Numbers in memory for the spans of a part whose probabilities are asked for: each needs those of its sentence."""
EDGE_TOKENS = 50
"""Tokens on either side of a piece of a long sentence that are read again."""


class Reading(NamedTuple):
    """One way to tag a sentence."""

    tags: list[str]
    probability: float
    """Of all its tags together."""


@dataclass(frozen=True)
class Emissions:
    """What the network says about some sentences, before their tags are chosen."""

    chosen: npt.NDArray[np.int64]
    """Which sentences these are."""
    scores: Tensor
    """(B, T, tags)."""
    lengths: Tensor
    """(B,)."""


class TaggerModel(TrainedModel):
    """A trained tagger. Made by training or by `rondo.load`."""

    def __init__(
        self,
        network: Tagger,
        encoder: TokenEncoder,
        tags: TagNames,
        config: Mapping[str, Any],
        *,
        baselines: bytes | None = None,
    ) -> None:
        super().__init__(config, baselines)
        self.network: Tagger = network.eval()
        self.encoder: TokenEncoder = encoder
        self.tags = tags

    @property
    def temperature(self) -> float:
        """What all scores are divided by before they become probabilities; 1 if not calibrated."""
        return float(self.config.get("temperature", 1.0))

    @property
    def max_tokens(self) -> int | None:
        """How many tokens the network reads at a time; None if models knew no bound when it was trained."""
        sections = self.config.get("options")
        data = sections.get("data") if isinstance(sections, Mapping) else None
        most = data.get("max_tokens") if isinstance(data, Mapping) else None
        return most if type(most) is int and most >= 4 else None

    def _emissions(self, sentences: Sentences) -> Iterator[Emissions]:
        return emissions(self.network, [self.encoder.encode(tokens) for tokens in sentences], at_once=self.max_tokens)

    def tag(self, sentences: Sentences) -> list[list[str]]:
        """The best tags of each sentence."""
        sound = self.network.crf is not None
        found: list[list[str]] = [[] for _ in sentences]
        for part in self._emissions(sentences):
            for index, codes in decoded(self.network, part):
                found[index] = self.tags.named(codes.tolist(), sound=sound)
        return found

    def n_best(self, sentences: Sentences, n: int) -> list[list[Reading]]:
        """The ``n`` best ways to tag each sentence, the most probable first; fewer where there are no more.

        Two ways that differ in the network's own scheme alone are one: their probabilities are added up.
        """
        sound = self.network.crf is not None
        found: list[list[Reading]] = [[] for _ in sentences]
        transitions = self.network.transitions()
        temperature = self.temperature
        exact = type(transitions)(*(part.double() / temperature for part in transitions))
        for part in self._emissions(sentences):
            paths = n_best(part.scores, transitions, n, lengths=part.lengths)
            total = log_partition(part.scores.double() / temperature, exact, part.lengths)
            probable = (paths.score / temperature - total[:, None]).exp()
            for place, index in enumerate(part.chosen.tolist()):
                length, readings = int(part.lengths[place]), dict[tuple[str, ...], float]()
                for codes, probability in zip(paths.tags[place], probable[place].tolist(), strict=True):
                    if probability > 0:
                        tags = tuple(self.tags.named(codes[:length].tolist(), sound=sound))
                        readings[tags] = readings.get(tags, 0.0) + probability
                found[index] = [Reading(list(tags), probability) for tags, probability in readings.items()]
        return found

    def marginals(self, sentences: Sentences, *, temperature: float | None = None) -> list[Floats]:
        """How probable each of the tags that can be answered is at each token, over all readings, (T, classes)."""
        found: list[Floats] = [np.zeros((0, len(self.tags.classes)))] * len(sentences)
        heat = self.temperature if temperature is None else temperature
        for part in self._emissions(sentences):
            probable = tag_marginals(self.network, part, heat)
            touching = self._touching(part, probable, heat)
            for place, index in enumerate(part.chosen.tolist()):
                own = slice(int(part.lengths[place]))
                beside = None if touching is None else touching[place, own]
                found[index] = self.tags.of_classes(probable[place, own], beside)
        return found

    def _touching(self, part: Emissions, probable: Floats, temperature: float) -> Floats | None:
        """How probable it is at each token that a span begins which follows one of its kind, (B, T, kinds)."""
        if self.tags.edges is None:
            return None
        last, first = self.tags.edges
        if self.network.crf is None:
            found = np.zeros((*probable.shape[:2], len(last)))
            found[:, 1:] = (probable[:, :-1] @ last.T) * (probable[:, 1:] @ first.T)
            return found
        device = part.scores.device
        edges = torch.from_numpy(last).to(device), torch.from_numpy(first).to(device)
        crf = self.network.crf.at_temperature(temperature)
        made = crf.pair_probability(part.scores / temperature, *edges, lengths=part.lengths)
        touching: Floats = made.double().cpu().numpy()
        return touching

    def probabilities(
        self, sentences: Sentences, spans: Sequence[Sequence[Span]], *, temperature: float | None = None
    ) -> list[list[float]]:
        """How probable it is that the best tags of each sentence are right from ``start`` to ``stop`` of each span."""
        found: list[list[float]] = [[] for _ in sentences]
        wanted = [index for index, own in enumerate(spans) if own]
        heat = self.temperature if temperature is None else temperature
        if not wanted:
            return found
        for part in self._emissions([sentences[index] for index in wanted]):
            paths = viterbi(part.scores, self.network.transitions(), lengths=part.lengths).tags
            pieces = [
                (place, span.start, span.stop)
                for place, number in enumerate(part.chosen.tolist())
                for span in spans[wanted[number]]
            ]
            for (place, *_), probability in zip(pieces, self._of_pieces(part, paths, pieces, heat), strict=True):
                found[wanted[part.chosen[place]]].append(probability)
        return found

    def _of_pieces(
        self, part: Emissions, paths: Tensor, pieces: Sequence[tuple[int, int, int]], temperature: float
    ) -> list[float]:
        scores = part.scores / temperature
        if self.network.crf is not None:
            crf = self.network.crf.at_temperature(temperature)
            at_once, probable = max(1, ROOM // max(1, scores[0].numel())), list[float]()
            for start in range(0, len(pieces), at_once):
                some = pieces[start : start + at_once]
                made = crf.probability(scores, paths.to(scores.device), some, lengths=part.lengths)
                probable += made.double().tolist()
            return probable
        logs = scores.double().log_softmax(-1).cpu()
        best = logs.gather(2, paths.cpu().clamp(min=0)[..., None])[..., 0]
        return [float(best[place, start:stop].sum().exp()) for place, start, stop in pieces]

    def save(self, folder: str | Path) -> None:
        """Write weights, configuration and vocabulary."""
        self._save(folder, tags=self.tags.to_json())

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> Self:
        """The model in ``folder``; its cell comes from the saved graph."""
        config, tensors = read_model(folder)
        tags = TagNames.from_json(config.get("tags"))
        checked_temperature(config)
        encoder = TokenEncoder.load(folder, config.get("encoder"))
        allowed = tags.allowed
        network = load_network(
            lambda at_most: rebuild(config, encoder.sizes, len(tags), allowed, at_most), tensors, Path(folder)
        )
        check_parts(folder, config)
        return cls(network.to(device), encoder, tags, config, baselines=saved_baselines(folder))

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickles hold the files of a folder, which say what a network is without its code.
        return _unpickled, (type(self), folder_bytes(self))


def _unpickled(kind: type[TaggerModel], files: Mapping[str, bytes]) -> TaggerModel:
    with folder_of(files) as folder:
        return kind.load(folder)


@torch.inference_mode()
def emissions(
    network: Tagger, sequences: Sequence[npt.NDArray[Any]], *, at_once: int | None = None
) -> Iterator[Emissions]:
    """What the network says about sentences of any lengths: those of like length together, in evaluation mode.

    It reads longer ones than ``at_once`` piece by piece, each with some tokens on either side.
    """
    lengths = np.fromiter((len(sequence) for sequence in sequences), np.int64, len(sequences))
    longest = lengths.max(initial=0) if at_once is None else at_once
    device, training = next(network.parameters()).device, network.training
    network.eval()
    try:
        short = np.flatnonzero(lengths <= longest)
        for part in batches(lengths[short]):
            chosen = short[part]
            rows = torch.from_numpy(padded([sequences[i] for i in chosen])).to(device)
            sizes = torch.from_numpy(lengths[chosen])
            yield Emissions(chosen, network(rows, lengths=sizes), sizes)
        for index in np.flatnonzero(lengths > longest).tolist():
            rows = torch.from_numpy(sequences[index]).to(device)
            yield Emissions(np.array([index]), _piece_by_piece(network, rows, longest), torch.tensor([len(rows)]))
    finally:
        network.train(training)


def _piece_by_piece(network: Tagger, rows: Tensor, at_once: int) -> Tensor:
    """(1, T, tags): of each piece what stands at its edges is read for what is beside it, and not believed."""
    edge = min(EDGE_TOKENS, at_once // 4)
    step = at_once - 2 * edge
    said = []
    for start in range(0, len(rows), step):
        first, stop = max(0, start - edge), min(len(rows), start + step)
        piece = rows[None, first : min(len(rows), stop + edge)]
        said.append(network(piece, lengths=[piece.shape[1]])[:, start - first : stop - first])
    return torch.cat(said, 1)


def tag_marginals(network: Tagger, part: Emissions, temperature: float) -> Floats:
    """How probable each of the network's tags is at each token, (B, T, tags), at a temperature."""
    scores = part.scores.double() / temperature
    if network.crf is None:
        found: Floats = scores.softmax(-1).cpu().numpy()
    else:
        crf = network.crf.at_temperature(temperature)
        found = crf.marginals(scores, lengths=part.lengths).double().cpu().numpy()
    return found


def decoded(network: Tagger, part: Emissions) -> Iterable[tuple[int, Codes]]:
    """The best tags of each sentence of a part, with its number."""
    if network.crf is None:
        best = part.scores.argmax(-1).cpu().numpy()
    else:
        best = viterbi(part.scores, network.transitions(), lengths=part.lengths).tags.cpu().numpy()
    for row, index, length in zip(best, part.chosen.tolist(), part.lengths.tolist(), strict=True):
        yield index, row[:length]
