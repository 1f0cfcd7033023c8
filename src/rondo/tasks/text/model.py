"""`TextModel`: a trained language model that writes and is scored."""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rondo.data.protocol import StreamDecoder
from rondo.data.tokenizers import Tokenizer, encode_files, load_tokenizer, remove_other_tokenizer
from rondo.decoding import Sampling, random_numbers, sample
from rondo.errors import DataError, ModelError, UsageError
from rondo.evaluation.ngram import KneserNey
from rondo.models.folder import CONFIG, read_model
from rondo.models.language_model import LanguageModel
from rondo.models.weights import count_parameters
from rondo.storage import gathering
from rondo.tasks.language import load_network, save_network, sound


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
        self.notes: list[str] = []
        """What of the last prompt the vocabulary does not have."""

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return count_parameters(self.network)

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
        """Texts of ``length`` tokens that go on from ``prompt``, with which they begin.

        The other options are those of `rondo.decoding.Sampling`; without ``seed`` each call differs. The same seed
        gives the same text on the same machine; on another one, or with another number of threads or samples,
        rounding can tip the choice between two tokens, and what follows is another text. What the
        vocabulary lacks stays in the text, the model reads <unk> for it, and `notes` says so; the model itself
        never writes <unk>.
        """
        sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=repetition_penalty)
        _refuse_halves(prompt)
        rows = list(self._tokens(prompt, length, samples, sampling, seed))
        columns = torch.stack(rows, 1).tolist() if rows else [[] for _ in range(samples)]
        texts = []
        for column in columns:
            decoder = self._decoder_after(prompt)
            texts.append(prompt + "".join(decoder.feed(token) for token in column) + decoder.flush())
        return texts

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
        _refuse_halves(prompt)  # at once, before somebody shows the prompt
        return self._stream(prompt, length, sampling or Sampling(), seed)

    def _stream(self, prompt: str, length: int | None, sampling: Sampling, seed: int | None) -> Iterator[str]:
        decoder = self._decoder_after(prompt)
        for tokens in self._tokens(prompt, length, 1, sampling, seed):
            yield decoder.feed(int(tokens[0]))
        yield decoder.flush()

    def score(self, tokens: np.ndarray[Any, Any]) -> TextScores:
        """Score tokens of this model's vocabulary."""
        if len(tokens) < 2:
            raise DataError("a text to evaluate needs at least two tokens: the first one has nothing before it")
        nats = sound(float(self.network.nats(tokens).mean()))
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
        with gathering() as parts:
            self.tokenizer.save(folder)
        save_network(Path(folder), self.config, self.network, self.baseline, parts)
        remove_other_tokenizer(self.tokenizer, folder)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> TextModel:
        """The model in ``folder``; its cell comes from the saved graph, no other file is needed."""
        config, tensors = read_model(folder)
        options = config.get("options")
        data = options.get("data") if isinstance(options, Mapping) else None
        tokenizer = load_tokenizer(folder, kind=data.get("level") if isinstance(data, Mapping) else None)
        network, baseline = load_network(Path(folder), config, tensors, tokenizer.size, device)
        start = config.get("start_token")
        if type(start) is not int or not 0 <= start < tokenizer.size:
            raise ModelError(f"{Path(folder) / CONFIG} is damaged: its start_token is {start!r}")
        return cls(network, tokenizer, config, baseline=baseline)

    @torch.inference_mode()
    def _tokens(
        self, prompt: str, length: int | None, samples: int, sampling: Sampling, seed: int | None
    ) -> Iterator[Tensor]:
        if samples < 1:
            raise UsageError(f"samples is at least 1, not {samples}")
        if length is not None and length < 0:
            raise UsageError(f"length is a number of tokens, not {length}")
        device = self.network.embedding.weight.device
        read = torch.as_tensor(self._ids(prompt), device=device)
        forbidden = torch.zeros(self.tokenizer.size, dtype=torch.bool)
        if self.tokenizer.unknown is not None:
            forbidden[self.tokenizer.unknown] = True
        begin = read if len(read) else torch.tensor([self.config["start_token"]], device=device)
        output = self.network(begin[None])
        stepper = self.network.stepper(samples)
        stepper.state = output.state.select(torch.zeros(samples, dtype=torch.int64))
        made = sample(
            lambda tokens, _: (stepper(tokens), None), output.logits[:, -1].expand(samples, -1), None, sampling,
            generator=random_numbers(device, seed), forbidden=forbidden, history=read.expand(samples, -1),
        )  # fmt: skip
        yield from itertools.islice(made, length)

    def _ids(self, prompt: str) -> np.ndarray[Any, Any]:
        ids = np.asarray(self.tokenizer.encode(prompt), dtype=np.int64)
        unknown = int((ids == self.tokenizer.unknown).sum()) if self.tokenizer.unknown is not None else 0
        what = f"{unknown} of the prompt's {len(ids)} {self.tokenizer.kind}"
        self.notes = [f"{what} are not in the model's vocabulary: it reads <unk> for them"] if unknown else []
        return ids

    def _decoder_after(self, prompt: str) -> StreamDecoder:
        """A decoder that knows whether a blank is due: a word that follows a word has one before it."""
        decoder = self.tokenizer.stream_decoder()
        if prompt and not prompt[-1].isspace():
            for token in self.tokenizer.encode(prompt)[-1:]:
                decoder.feed(int(token))
        return decoder


def _refuse_halves(prompt: str) -> None:
    """Bytes that were no text in the terminal's encoding come as halves of UTF-16 pairs."""
    if half := re.search("[\ud800-\udfff]", prompt):
        raise UsageError(f"the prompt holds {half[0]!r}, which is no character: was it typed in another encoding?")
