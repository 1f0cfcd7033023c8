"""`PoetryModel`: writes classical Chinese verse and is judged beside human poems."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from rondo.decoding import Sampling, random_numbers
from rondo.errors import DataError, UsageError
from rondo.evaluation.ngram import KneserNey
from rondo.models.folder import read_model
from rondo.models.language_model import LanguageModel
from rondo.models.weights import count_parameters
from rondo.storage import gathering
from rondo.tasks.language import load_network, save_network
from rondo.tasks.poetry.constraint import constrain
from rondo.tasks.poetry.corpus import Poem, read_corpus
from rondo.tasks.poetry.evaluate import Comparison, PoemSet, compare
from rondo.tasks.poetry.forms import FIXED_FORMS, Form, get_form
from rondo.tasks.poetry.memory import LineMemory
from rondo.tasks.poetry.request import PoemRequest
from rondo.tasks.poetry.scoring import PoemLoss, score_poems
from rondo.tasks.poetry.script import script_of, to_script
from rondo.tasks.poetry.vocabulary import PoemVocabulary
from rondo.tasks.poetry.writing import write_poems

FREE, HELD, HUMAN = "sampled freely", "held to form, rhyme and tone", "human, held out"
SAMPLES = 1000


class PoetryModel:
    """A language model of verse with its vocabulary, baseline and memory of the training part's lines."""

    task = "poetry"

    def __init__(
        self,
        network: LanguageModel,
        vocabulary: PoemVocabulary,
        memory: LineMemory,
        config: Mapping[str, Any],
        *,
        baseline: KneserNey | None = None,
    ) -> None:
        self.network = network.eval()
        self.vocabulary = vocabulary
        self.memory = memory
        self.config = dict(config)
        self.baseline = baseline
        self.notes: list[str] = []
        """What of the last request did not fit the rules or the vocabulary."""

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return count_parameters(self.network)

    def generate(
        self,
        form: str | None = None,
        *,
        samples: int = 1,
        prompt: str = "",
        acrostic: str = "",
        first_line: str = "",
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        script: str | None = None,
        seed: int | None = None,
        **rules: Any,
    ) -> list[str]:
        """Poems in a form (七言絕句 if none is given), as one string each with ，and 。between the lines.

        ``rules`` are the switches of `PoemRequest` (hold_form, rhyme, tone, strict, no_repeats ...);
        by default a fixed form is held to its form, rhyme and tones. ``script`` is ``simplified`` or
        ``traditional``; by default that of the words given, or else of the form's name if one is given.
        Where both scripts write these alike (春夏), it is simplified, and traditional where no words are
        given. `notes` says afterwards what did not fit.
        """
        if samples < 1:
            raise UsageError(f"samples is at least 1, not {samples}")
        wanted = PoemRequest.form if form is None else form
        asked = PoemRequest(form=wanted, prompt=prompt, acrostic=acrostic, first_line=first_line, **rules)
        sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=repetition_penalty)
        chosen = script or self._script_of(prompt + acrostic + first_line, form or "")
        return [to_script(poem, chosen) for poem in self._write(asked, samples, sampling, seed)]

    def sample_set(
        self,
        *,
        samples: int,
        held: bool,
        temperature: float,
        seed: int,
        forms: Sequence[Form] = FIXED_FORMS,
        say: Callable[[str], None] | None = None,
    ) -> PoemSet:
        """Poems for an evaluation, the same number in each form; ``say`` hears how far it is."""
        texts: list[str] = []
        asked: list[Form | None] = []
        for number, form in enumerate(forms):
            count = samples // len(forms) + (number < samples % len(forms))
            if say:
                say(f"poems {HELD if held else FREE}: {len(texts):,} of {samples:,}, next {count:,} {form.name}")
            request = PoemRequest(form=form.name) if held else PoemRequest(form=form.name, hold_form=False)
            sampling = Sampling(temperature=temperature)
            texts += self._write(request, count, sampling, seed + number) if count else []
            asked += [form] * count
        return PoemSet(texts, asked)

    def can_hold(self, forms: Sequence[Form] = FIXED_FORMS) -> bool:
        """Whether the vocabulary has rhymes and tones enough to hold these forms; that of a few poems has not."""
        try:
            for form in forms:
                constrain(self.vocabulary, PoemRequest(form=form.name))
        except UsageError:
            return False
        return True

    def compare(
        self,
        human: Sequence[Poem],
        *,
        samples: int = SAMPLES,
        temperature: float = 1.0,
        seed: int = 0,
        forms: Sequence[Form] = FIXED_FORMS,
        say: Callable[[str], None] | None = None,
    ) -> Comparison:
        """Free samples, held samples (where the vocabulary allows it) and human poems in these forms."""
        names = {form.name for form in forms}
        poems = [poem for poem in human if poem.form.name in names]
        sets = {
            name: self.sample_set(samples=samples, held=held, temperature=temperature, seed=seed, forms=forms, say=say)
            for name, held in ((FREE, False), (HELD, True))
            if not held or self.can_hold(forms)
        }
        if poems:
            sets[HUMAN] = PoemSet([poem.text for poem in poems], [poem.form for poem in poems])
        return compare(sets, training=self.memory)

    def score(self, poems: Sequence[Poem]) -> PoemLoss:
        """Nats a token over whole poems, each from its beginning to its end."""
        return score_poems(self.network, self.vocabulary, poems, self.baseline)

    def evaluate(
        self,
        paths: str | Path | Sequence[str | Path],
        *,
        encoding: str | None = None,
        samples: int = SAMPLES,
        temperature: float = 1.0,
        seed: int = 0,
        form: str | None = None,
        say: Callable[[str], None] | None = None,
    ) -> dict[str, Any]:
        """Score the human poems in ``paths``, and hold poems by the model beside them.

        Poems of which half the lines stand in the training part are left out and counted, so the
        files that the model was trained on may be given: what remains is what was held out.
        """
        started = time.perf_counter()
        files = [paths] if isinstance(paths, str | Path) else list(paths)
        corpus = read_corpus(files, encoding=encoding)
        human = [poem for poem in corpus.poems if self.memory.share_of(poem.text) < 0.5]
        if not human:
            raise DataError(f"all {len(corpus.poems)} poems stand in the model's training part: nothing to judge by")
        forms = FIXED_FORMS if form is None else (get_form(form),)
        loss = self.score(human)
        table = self.compare(human, samples=samples, temperature=temperature, seed=seed, forms=forms, say=say)
        return {
            "task": self.task,
            "poems": len(human),
            "known_poems_left_out": len(corpus.poems) - len(human),
            **loss.to_dict(),
            "samples": samples,
            "temperature": temperature,
            "verse": table.to_dict(),
            "columns": table.columns,
            "rows": table.rows(),
            "seconds": time.perf_counter() - started,
        }

    def save(self, folder: str | Path) -> None:
        """Write the model: weights, configuration, vocabulary, baseline, hashes of the lines learned from."""
        with gathering() as parts:
            self.vocabulary.save(folder)
            self.memory.save(folder)
        save_network(Path(folder), self.config, self.network, self.baseline, parts)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> PoetryModel:
        """The model in ``folder``; its cell comes from the saved graph, no other file is needed."""
        config, tensors = read_model(folder)
        vocabulary = PoemVocabulary.load(folder)
        network, baseline = load_network(Path(folder), config, tensors, vocabulary.size, device)
        return cls(network, vocabulary, LineMemory.load(folder), config, baseline=baseline)

    @staticmethod
    def _script_of(words: str, form: str) -> str:
        return script_of(words) or script_of(form) or ("simplified" if words else "traditional")

    def _write(self, request: PoemRequest, samples: int, sampling: Sampling, seed: int | None) -> list[str]:
        generator = random_numbers(self.network.embedding.weight.device, seed)
        poems, self.notes = write_poems(
            self.network, self.vocabulary, request, samples=samples, sampling=sampling, generator=generator
        )
        return poems
