"""`TextModel`: a trained language model that writes and is scored."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rondo.cells import Cell
from rondo.data.tokenizers import Tokenizer, encode_files, load_tokenizer
from rondo.decoding import Sampling, sample
from rondo.errors import DataError, ModelError, UsageError
from rondo.evaluation.ngram import KneserNey
from rondo.layers import StackState
from rondo.models.folder import read_model, save_model
from rondo.models.language_model import LanguageModel, RecurrentOptions
from rondo.models.weights import load_weights
from rondo.tasks.text.options import LanguageModelOptions

BASELINE = "baseline.npz"


@dataclass(frozen=True)
class TextScores:
    """How well a text is predicted. The first token has nothing before it and is not counted."""

    nats: float
    """Nats a token, the state carried through the whole text."""
    tokens: int
    """Tokens that were predicted."""
    characters: int
    """Characters these tokens stand for."""
    unknown: int
    """Tokens that the vocabulary does not have."""
    baseline_nats: float | None = None
    """The same of the Kneser-Ney model that was fitted on the training part."""

    @property
    def perplexity(self) -> float:
        return math.exp(self.nats)

    @property
    def bits_per_character(self) -> float:
        return self.nats * self.tokens / self.characters / math.log(2)

    @property
    def nats_per_character(self) -> float:
        return self.nats * self.tokens / self.characters

    def to_dict(self) -> dict[str, Any]:
        """All figures under the names that `rondo evaluate --json` uses."""
        return {
            **asdict(self), "perplexity": self.perplexity, "bits_per_character": self.bits_per_character,
            "nats_per_character": self.nats_per_character,
        }  # fmt: skip


class TextModel:
    """A language model with its vocabulary and its baseline. Made by training or by `rondo.load`."""

    task = "text"

    def __init__(
        self,
        network: LanguageModel,
        tokenizer: Tokenizer,
        config: Mapping[str, Any],
        *,
        baseline: KneserNey | None = None,
    ) -> None:
        self.network = network.eval()
        self.tokenizer = tokenizer
        self.config = dict(config)
        self.baseline = baseline

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def generate(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        samples: int = 1,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        seed: int | None = None,
    ) -> list[str]:
        """Texts of ``length`` tokens that go on from ``prompt`` (which they begin with).

        The other options are those of `rondo.decoding.Sampling`; without ``seed`` each call differs.
        """
        sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=repetition_penalty)
        rows = list(self._tokens(prompt, length, samples, sampling, seed))
        columns = torch.stack(rows, 1).tolist() if rows else [[] for _ in range(samples)]
        return [prompt + self._continued(column) for column in columns]

    def stream(
        self,
        prompt: str = "",
        *,
        length: int | None = None,
        sampling: Sampling | None = None,
        seed: int | None = None,
    ) -> Iterator[str]:
        """The continuation of ``prompt``, piece by piece as it is made; endless without ``length``.

        Memory does not grow with the text: each step needs the state and the last token.
        """
        decoder = self.tokenizer.stream_decoder()
        for tokens in self._tokens(prompt, length, 1, sampling or Sampling(), seed):
            yield decoder.feed(int(tokens[0]))
        yield decoder.flush()

    def score(self, tokens: np.ndarray[Any, Any]) -> TextScores:
        """Score tokens of this model's vocabulary."""
        if len(tokens) < 2:
            raise DataError("a text to evaluate needs at least two tokens: the first one has nothing before it")
        nats = float(self.network.nats(torch.as_tensor(np.asarray(tokens, dtype=np.int64))).mean())
        unknown = self.tokenizer.unknown
        return TextScores(
            nats=nats,
            tokens=len(tokens) - 1,
            characters=self.tokenizer.count_characters(tokens[1:]),
            unknown=int((np.asarray(tokens[1:]) == unknown).sum()) if unknown is not None else 0,
            baseline_nats=self.baseline.loss(tokens) if self.baseline is not None else None,
        )

    def evaluate(self, paths: str | Path | Sequence[str | Path], *, encoding: str | None = None) -> dict[str, Any]:
        """Score files; see `TextScores` for the figures."""
        files = [paths] if isinstance(paths, str | Path) else list(paths)
        started = time.perf_counter()
        scores = self.score(encode_files(files, self.tokenizer, encoding=encoding))
        return {"task": self.task, **scores.to_dict(), "seconds": time.perf_counter() - started}

    def save(self, folder: str | Path) -> None:
        """Write the model: weights, configuration, vocabulary and baseline."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(folder)
        if self.baseline is not None:
            self.baseline.save(folder / BASELINE)
        save_model(folder, self.config, self.network.state_dict())

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> TextModel:
        """The model in ``folder``; its cell comes from the saved graph, no other file is needed."""
        folder = Path(folder)
        config, tensors = read_model(folder)
        tokenizer = load_tokenizer(folder)
        network = network_from(config, tokenizer.size)
        load_weights(network, tensors, folder)
        baseline = KneserNey.load(folder / BASELINE) if (folder / BASELINE).exists() else None
        return cls(network.to(device), tokenizer, config, baseline=baseline)

    def _tokens(
        self, prompt: str, length: int | None, samples: int, sampling: Sampling, seed: int | None
    ) -> Iterator[Tensor]:
        if samples < 1:
            raise UsageError(f"samples is at least 1, not {samples}")
        if length is not None and length < 0:
            raise UsageError(f"length is a number of tokens, not {length}")
        device = self.network.embedding.weight.device
        ids = np.asarray(self.tokenizer.encode(prompt), dtype=np.int64)
        start = np.array([self.config["start_token"]]) if len(ids) == 0 else ids
        generator = torch.Generator(device)
        generator.manual_seed(seed) if seed is not None else generator.seed()
        forbidden = torch.zeros(self.tokenizer.size, dtype=torch.bool)
        if self.tokenizer.unknown is not None:
            forbidden[self.tokenizer.unknown] = True
        with torch.inference_mode():
            logits, state = self._read(torch.as_tensor(start, device=device))
            made = sample(
                self._step, logits.expand(samples, -1), state.select(torch.zeros(samples, dtype=torch.int64)),
                sampling, generator=generator, forbidden=forbidden,
                history=torch.as_tensor(ids, device=device).expand(samples, -1),
            )  # fmt: skip
            for count, tokens in enumerate(made):
                if length is not None and count >= length:
                    return
                yield tokens

    def _read(self, tokens: Tensor) -> tuple[Tensor, StackState]:
        """What the model says after a prompt, and its state: (1, V) logits."""
        output = self.network(tokens[None])
        return output.logits[:, -1], output.state

    def _step(self, tokens: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        return self.network.step(tokens, state)

    def _continued(self, ids: Sequence[int]) -> str:
        decoder = self.tokenizer.stream_decoder()
        return "".join(decoder.feed(token) for token in ids) + decoder.flush()


def build_network(
    options: LanguageModelOptions, vocabulary_size: int, *, cell: Cell | None = None
) -> tuple[LanguageModel, dict[str, Any]]:
    """A new network, and the entry ``network`` of the configuration from which it can be built again."""
    embedding = options.embedding or (64 if vocabulary_size <= 256 else options.hidden)
    shape: dict[str, Any] = {
        "recurrent": {name: getattr(options, name) for name in RecurrentOptions.__dataclass_fields__},
        "embedding_size": embedding,
        "output_dropout": options.output_dropout,
    }
    plain = RecurrentOptions(**shape["recurrent"])
    width = options.projection or options.hidden
    tied = embedding == width if options.tied is None else options.tied
    network = LanguageModel(
        vocabulary_size, plain, embedding_size=embedding, output_dropout=options.output_dropout, tied=tied, cell=cell
    )
    return network, {**shape, "tied": tied, "cell": network.recurrent.cell.to_json()}


def network_from(config: Mapping[str, Any], vocabulary_size: int) -> LanguageModel:
    """The network that a model's configuration describes, its cell built from the saved graph."""
    try:
        shape = config["network"]
        return LanguageModel(
            vocabulary_size,
            RecurrentOptions(**shape["recurrent"]),
            embedding_size=int(shape["embedding_size"]),
            output_dropout=float(shape["output_dropout"]),
            tied=bool(shape["tied"]),
            cell=Cell.from_json(shape["cell"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"config.json does not describe a language model: {type(error).__name__}: {error}") from None
