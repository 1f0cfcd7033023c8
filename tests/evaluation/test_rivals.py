"""Baselines of classifiers: what each is worth on data that are known, and that the validation part chooses."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from rondo.data.columns import TextFormat
from rondo.data.labelled import Labelled, from_python
from rondo.data.signals import as_signals, read_signals
from rondo.data.splits import make_parts
from rondo.data.texts import as_texts, read_texts
from rondo.errors import DataError, ModelError
from rondo.evaluation import neighbours
from rondo.evaluation.bag_of_words import BagOfWords, baselines_for_texts, by_characters
from rondo.evaluation.classification import MEASURES
from rondo.evaluation.neighbours import NearestNeighbour, baselines_for_signals
from rondo.evaluation.rivals import Majority, Rival, hold_against
from rondo.evaluation.rivals_file import parse_rivals, rival_bytes


def accuracy(rival: Rival, train: Labelled, valid: Labelled, test: Labelled) -> float:
    return MEASURES["accuracy"](hold_against([rival], train, valid, test)[0].predictions)


class TestMajority:
    def test_one_label(self) -> None:
        train, test = from_python(list("abcd"), ["x", "y", "y", "z"]), from_python(list("ef"), ["y", "new"])
        outcome = hold_against([Majority()], train, train, test)[0]
        assert MEASURES["accuracy"](outcome.predictions) == 0.5
        assert np.asarray(outcome.predictions.probabilities)[0].tolist() == [0.25, 0.5, 0.25, 0]
        assert (outcome.name, outcome.about) == ("majority class", "Always says y.")
        with pytest.raises(DataError, match="nothing"):
            Majority().fit(from_python([], []), train)

    def test_several_labels(self) -> None:
        train = from_python(list("abcdef"), [[], [], ["x", "y"], ["x"], ["y", "x"], ["z", "x"]])
        often = Majority().fit(train, train)
        assert often.answer == ("x", "y")
        rarely = from_python(list("abc"), [[], ["x"], ["x"]])
        assert Majority().fit(train, rarely).answer == ("x",)
        outcome = hold_against([often], train, train, from_python(["g"], [["x", "z"]]))[0]
        assert MEASURES["micro_f1"](outcome.predictions) == pytest.approx(1 / 2)


WORDS = {"pos": ["good film", "fine play", "nice work"], "neg": ["not good", "bad film", "poor play"]}


def reviews(seed: int, count: int, *, noise: float = 0.0) -> Labelled:
    """The order of two words decides: "not good" and "good not"."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count):
        label = str(rng.choice(list(WORDS)))
        words = [f"w{n}" for n in rng.integers(300, size=8)]
        words.insert(int(rng.integers(8)), str(rng.choice(WORDS[label])))
        texts.append(" ".join(words))
        labels.append(label if rng.random() >= noise else "neg")
    return as_texts(texts, labels)


class TestBagOfWords:
    def test_pairs_of_words_are_seen(self) -> None:
        train, valid, test = (reviews(seed, 300) for seed in range(3))
        rival = BagOfWords()
        assert accuracy(rival, train, valid, test) > 0.97
        assert "words and pairs of words" in rival.about
        assert f"C = {rival.strength:g}" in rival.about

    def test_the_validation_part_chooses_and_then_teaches(self) -> None:
        train, valid = reviews(0, 120), reviews(1, 120)
        shuffled = as_texts(valid.items, np.random.default_rng(0).permutation(valid.labels or []))
        clear, confused = BagOfWords().fit(train, valid), BagOfWords().fit(train, shuffled)
        assert clear.strength > confused.strength
        assert BagOfWords(strengths=(0.01,)).fit(train, valid).strength == 0.01
        only_valid = as_texts(["splendid"] * 30 + ["dismal"] * 30, ["pos"] * 30 + ["neg"] * 30)
        assert BagOfWords().fit(train, only_valid).predict(["splendid", "dismal"])[0] == ["pos", "neg"]

    def test_its_probabilities_are_those_of_its_labels(self) -> None:
        train = reviews(0, 200)
        rival = BagOfWords().fit(train, reviews(1, 60))
        labels, sure = rival.predict(reviews(2, 50).items)
        assert sure is not None
        assert labels == [rival.classes[k] for k in sure.argmax(axis=1)]
        np.testing.assert_allclose(sure.sum(axis=1), 1)

    def test_characters_where_words_have_no_blanks_between_them(self) -> None:
        assert by_characters(["房间很大，床有2M宽", "整体感觉经济实惠不错!"])
        assert by_characters(["すべての人間は自由であり"])
        assert by_characters(["모든 인간은 태어날 때부터"])
        assert not by_characters(["a fine film", "naïve вещь"])
        assert not by_characters(["", "123 !"])
        rng = np.random.default_rng(3)
        fill = "天地玄黄宇宙洪荒日月盈昃辰宿列张"
        texts = [
            "".join(rng.choice(list(fill), 6)) + ("不错" if n % 2 else "错不") + "".join(rng.choice(list(fill), 6))
            for n in range(400)
        ]
        data = as_texts(texts, [n % 2 for n in range(400)])
        rival = BagOfWords()
        assert (
            accuracy(rival, data.select(range(200)), data.select(range(200, 300)), data.select(range(300, 400))) > 0.97
        )
        assert "one to three characters" in rival.about

    def test_several_labels(self) -> None:
        rng = np.random.default_rng(4)
        table = rng.random((300, 3)) < [0.5, 0.3, 0.2]
        texts = [" ".join([f"w{rng.integers(50)}", *(f"sign{k}" for k in np.flatnonzero(row))]) for row in table]
        data = as_texts(texts, [[f"l{k}" for k in np.flatnonzero(row)] for row in table])
        rivals = [Majority(), BagOfWords()]
        outcomes = hold_against(rivals, *(data.select(range(n, n + 100)) for n in (0, 100, 200)))
        scores = [MEASURES["subset_accuracy"](outcome.predictions) for outcome in outcomes]
        assert scores[1] > 0.95 > 0.6 > scores[0]
        assert outcomes[1].predictions.probabilities is not None

    def test_classes_that_only_one_part_has(self) -> None:
        train, valid = reviews(0, 60), reviews(1, 60)
        valid = as_texts([*valid.items, "rare thing"], [*(valid.labels or []), "rare"])
        rival = BagOfWords().fit(train, valid)
        assert rival.classes == ("neg", "pos", "rare")
        assert rival.predict(["rare thing"])[1] is not None

    def test_empty_texts(self) -> None:
        data = as_texts(["", "good", "bad", "good one"] * 5, ["x", "y", "x", "y"] * 5)
        assert BagOfWords().fit(data, data).predict(["", "good"])[0] == ["x", "y"]
        with pytest.raises(DataError, match="no words"):
            BagOfWords().fit(as_texts(["", "!"], ["x", "y"]), as_texts(["?"], ["x"]))
        with pytest.raises(DataError, match="one class"):
            BagOfWords().fit(as_texts(["a"], ["x"]), as_texts(["b"], ["x"]))

    def test_names(self) -> None:
        assert [rival.name for rival in baselines_for_texts()] == ["majority class", "TF-IDF and logistic regression"]


def bumps(seed: int, count: int, *, lengths: tuple[int, int], level: float = 0.0, shift: float = 0.05) -> Labelled:
    """One bump or two, somewhere; ``level`` lifts the second class."""
    rng = np.random.default_rng(seed)
    signals: list[Any] = []
    for number in range(count):
        steps = np.linspace(0, 1, int(rng.integers(*lengths)))
        at = rng.uniform(-shift, shift)
        centres = [0.5 + at] if number % 2 else [0.3 + at, 0.7 + at]
        signal = sum(np.exp(-(((steps - centre) / 0.06) ** 2)) for centre in centres)
        signals.append(
            signal + level * (number % 2) + 0.1 * rng.normal(size=len(steps)) + rng.normal() * (1 - bool(level))
        )
    return as_signals(signals, [number % 2 for number in range(count)])


def ramps(seed: int, count: int) -> Labelled:
    """Something that rises and breaks off, or starts and sinks, at any place and for any time."""
    rng = np.random.default_rng(seed)
    signals = 0.3 * rng.normal(size=(count, 80))
    for number, signal in enumerate(signals):
        start, length = rng.integers(0, 45), rng.integers(12, 35)
        slope = np.linspace(0, 3, length)
        signal[start : start + length] += slope if number % 2 else slope[::-1]
    return as_signals(signals, [number % 2 for number in range(count)])


class TestNearestNeighbour:
    def test_warping_follows_what_moves(self) -> None:
        train, valid, test = (ramps(seed, count) for seed, count in enumerate((12, 12, 60)))
        euclidean, warping = NearestNeighbour("euclidean"), NearestNeighbour("warping")
        assert accuracy(warping, train, valid, test) > 0.9 > accuracy(euclidean, train, valid, test)
        assert warping.window > 0
        assert f"window {warping.window:.0%}" in warping.about
        assert NearestNeighbour("warping", windows=(0.0,)).fit(train, valid).window == 0.0

    def test_signals_of_unequal_length(self) -> None:
        train, valid, test = (bumps(seed, 40, lengths=(30, 60)) for seed in range(3))
        warping, euclidean = NearestNeighbour("warping"), NearestNeighbour("euclidean")
        assert accuracy(warping, train, valid, test) > 0.9
        assert accuracy(euclidean, train, valid, test) > 0.9
        assert "stretched to" in euclidean.about
        assert "stretched to" not in warping.about
        assert euclidean.predict([np.ones((3, 1))])[0][0] in (0, 1)

    def test_scaling_is_chosen(self) -> None:
        lifted = [bumps(seed, 40, lengths=(40, 41), level=3.0, shift=0.4) for seed in range(3)]
        rival = NearestNeighbour("euclidean")
        assert accuracy(rival, *lifted) > 0.95
        assert "all alike by the training part" in rival.about
        wandering = [bumps(seed, 40, lengths=(40, 41)) for seed in range(3)]
        assert accuracy(rival, *wandering) > 0.95
        assert "each to mean 0" in rival.about

    def test_missing_values_and_constant_channels(self) -> None:
        train = bumps(0, 30, lengths=(40, 41))
        holes = [np.concatenate([item, np.full_like(item, 7)], axis=1) for item in train.items]
        for item in holes[::3]:
            item[5:8, 0] = np.nan
        data = as_signals(holes, train.labels)
        for distance in ("euclidean", "warping"):
            assert accuracy(NearestNeighbour(distance), data, data, data) > 0.9  # type: ignore[arg-type]

    @pytest.mark.parametrize("several", [False, True])
    @pytest.mark.parametrize("distance", ["euclidean", "warping"])
    def test_its_file_gives_it_back(self, distance: Any, several: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        train, valid, test = (bumps(seed, 20, lengths=(20, 30)) for seed in range(3))
        if several:
            train, valid = (as_signals(part.items, [["odd"] * one for one in part.labels or []])
                            for part in (train, valid))  # fmt: skip
        rival = NearestNeighbour(distance, windows=(0.06,)).fit(train, valid)
        data = rival_bytes([rival])
        (again,) = parse_rivals("b.npz", data, [NearestNeighbour])
        assert (again.name, again.about, again.classes) == (rival.name, rival.about, rival.classes)
        assert again.predict(test.items)[0] == rival.predict(test.items)[0]
        for name in ("lengths", "codes", "common", "known"):
            with np.load(io.BytesIO(data)) as archive:
                arrays = {key: array[:-1] if key.endswith(name) else array for key, array in archive.items()}
            buffer = io.BytesIO()
            np.savez(buffer, **arrays)
            with pytest.raises(ModelError, match="holds no baselines"):
                parse_rivals("b.npz", buffer.getvalue(), [NearestNeighbour])
        monkeypatch.setattr(neighbours, "MOST_KEPT", 10)
        assert parse_rivals("b.npz", rival_bytes([rival]), [NearestNeighbour]) == []

    def test_labels_are_needed(self) -> None:
        data = as_signals(np.ones((4, 5)))
        with pytest.raises(DataError, match="neighbours need labels"):
            NearestNeighbour("euclidean").fit(data, data)

    def test_warping_is_left_out_where_it_would_take_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        parts = [bumps(seed, 10, lengths=(20, 30)) for seed in range(3)]
        names = [rival.name for rival in baselines_for_signals(parts[0], parts[1], parts[2])]
        assert names == ["majority class", "nearest neighbour, Euclidean", "nearest neighbour, time warping"]
        monkeypatch.setattr(neighbours, "LIMIT", 1000)
        assert len(baselines_for_signals(parts[0], parts[1], parts[2])) == 2


def test_sets_with_published_figures(data_folder: Any) -> None:
    """The UCR archive's 1-NN errors (Dau et al. 2019): Euclidean, and warping with a window learned from training."""
    for name, error, warped in [
        ("GunPoint", 0.0867, 0.0867),
        ("Trace", 0.24, 0.01),
        ("SyntheticControl", 0.12, 0.0167),
    ]:
        train, test = (read_signals(data_folder / "ucr" / f"{name}_{part}.tsv.xz") for part in ("TRAIN", "TEST"))
        parts = make_parts(train, test=test, valid_fraction=0.2)
        assert parts.test is not None
        found = [
            1 - accuracy(NearestNeighbour(d), parts.train, parts.valid, parts.test) for d in ("euclidean", "warping")
        ]  # type: ignore[arg-type]
        assert found[0] == pytest.approx(error, abs=1e-4)
        assert found[1] <= warped + 0.01


def test_sst2(data_folder: Any) -> None:
    columns = TextFormat(text_column="1", label_column="2")
    train, valid, test = (
        read_texts(data_folder / "sst2" / f"{part}.tsv.gz", columns) for part in ("train", "dev", "test")
    )
    assert accuracy(BagOfWords(), train, valid, test) == pytest.approx(0.817, abs=0.004)


# ------------------------------------------------------------------------------------------- on disk


def fitted(several: bool, *, chinese: bool = False, classes: int = 2) -> tuple[list[Any], Labelled]:
    words = list("好坏中") if chinese else ["good", "bad", "so-so"]
    other = list("这的了是\n") if chinese else ["the", "of\n", "film", "a"]
    rng = random.Random(0)
    texts, labels = [], []
    for number in range(90):
        chosen = words[number % classes]
        texts.append(("" if chinese else " ").join([*rng.choices(other, k=6), chosen]))
        labels.append(([chosen, "all"] if number % 4 else ["all"]) if several else chosen)
    data = as_texts(texts, labels)
    parts = data.select(range(60)), data.select(range(60, 90))
    return [Majority().fit(*parts), BagOfWords(strengths=(1, 10)).fit(*parts)], data


@pytest.mark.parametrize("chinese", [False, True], ids=["words", "characters"])
@pytest.mark.parametrize(("several", "classes"), [(False, 2), (False, 3), (True, 3)], ids=["two", "three", "several"])
def test_fitted_baselines_are_the_same_from_their_file(several: bool, classes: int, chinese: bool) -> None:
    rivals, data = fitted(several, chinese=chinese, classes=classes)
    again = parse_rivals("b.npz", rival_bytes(rivals), [BagOfWords, Majority])
    assert [rival.name for rival in again] == [rival.name for rival in rivals]
    for one, other in zip(rivals, again, strict=True):
        labels, sure = one.predict([*data.items, "", "unseen 未见"])
        read, said = other.predict([*data.items, "", "unseen 未见"])
        assert read == labels
        np.testing.assert_array_equal(said, sure)
        assert (other.about, other.classes) == (one.about, one.classes)
        assert other.predict([])[0] == []


@pytest.mark.parametrize("several", [False, True])
def test_probabilities_are_those_of_scikit_learn(several: bool) -> None:
    (_, rival), data = fitted(several, classes=3)
    counter = CountVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
    weigh = TfidfTransformer(sublinear_tf=True)
    inputs = weigh.fit_transform(counter.fit_transform(data.items))
    model: Any = LogisticRegression(C=rival.strength, max_iter=1000)
    model = (OneVsRestClassifier(model) if several else model).fit(inputs, data.codes(rival.classes))
    np.testing.assert_allclose(rival.predict(data.items)[1], model.predict_proba(inputs), atol=1e-4)


def test_a_file_that_holds_no_baselines_is_refused() -> None:
    whole = rival_bytes(fitted(False)[0])
    with np.load(io.BytesIO(whole)) as archive:
        arrays = dict(archive)
    name = next(key for key in arrays if key.endswith("/weights"))

    def saved(**changes: Any) -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, **{**arrays, **changes})
        return buffer.getvalue()

    for content in (
        b"no", whole[:200], saved(x=np.zeros(1)), saved(**{name: np.zeros((3, 3))}),
        saved(**{"0/majority class/header": np.frombuffer(b"{}", np.uint8)}),
        saved(**{"0/majority class/shares": np.zeros(7)}), saved(**{"7/oracle/header": np.zeros(1)}),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=r"m/b\.npz holds no baselines"):
            parse_rivals("m/b.npz", content, [BagOfWords, Majority])
