"""The baselines of taggers: the most frequent tag of a word, and a CRF on features made by hand."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from rondo.data.tagging import SCHEMES, convert_tags, read_sentences
from rondo.errors import DataError, RondoError, UsageError
from rondo.evaluation import feature_crf
from rondo.evaluation.feature_crf import FeatureCRF
from rondo.evaluation.frequent_tag import FrequentTag
from rondo.evaluation.spans import score_tags
from rondo.evaluation.tag_features import are_characters, character_features, shape, word_features

TRAIN = [
    (["The", "mayor", "of", "Paris", "met", "Ada", "Berg"], ["O", "O", "O", "B-LOC", "O", "B-PER", "I-PER"]),
    (["The", "mayor", "of", "Lyon", "saw", "Eva", "Lund"], ["O", "O", "O", "B-LOC", "O", "B-PER", "I-PER"]),
    (["the", "Paris", "river", "was", "high", "in", "1910"], ["O", "B-LOC", "O", "O", "O", "O", "B-DATE"]),
    (["The", "river", "of", "Rome", "was", "low", "in", "1911"], ["O", "O", "O", "B-LOC", "O", "O", "O", "B-DATE"]),
    (["Ada", "Lund", "of", "Rome", "saw", "the", "river"], ["B-PER", "I-PER", "O", "B-LOC", "O", "O", "O"]),
]
TOKENS, TAGS = [tokens for tokens, _ in TRAIN], [tags for _, tags in TRAIN]
NEW = ["The", "mayor", "of", "Basel", "saw", "Mia", "Holm"]


def test_the_most_frequent_tag() -> None:
    tagger = FrequentTag().fit([["a", "b", "a"], ["a", "b", "c"]], [["X", "Y", "X"], ["Y", "Z", "X"]])
    assert tagger.predict([["a", "b", "A"], []]) == [["X", "Y", "X"], []]  # b: Y before Z, as often
    assert tagger.most_frequent == "X"


def test_unknown_words_go_by_the_shape_of_rare_ones() -> None:
    tagger = FrequentTag().fit(TOKENS, TAGS)
    assert tagger.predict([["PARIS", "1850", "Basel", "B-17", "bridge"]]) == [["B-LOC", "B-DATE", "B-LOC", "O", "O"]]
    # Of the words that occurred once, those like Aa are Lyon, Berg, Eva: two kinds of tags, B-LOC the first.
    assert tagger.by_shape["Aa"] == "B-LOC"
    assert tagger.by_shape["0"] == "B-DATE"
    with pytest.raises(DataError, match="of nothing"):
        FrequentTag().fit([], [])


@pytest.mark.parametrize(
    ("token", "expected"),
    [("Basel", "Aa"), ("U.N.", "A.A."), ("1,910", "0,0"), ("McDonald's", "AaAa'a"), ("...", "."), ("日本", "a")],
)
def test_shapes(token: str, expected: str) -> None:
    assert shape(token) == expected


def test_features_of_words() -> None:
    first, second = word_features(["Berlin", "1900"])
    assert {"word=Berlin", "capital=True", "digit=False", "0:lower=berlin", "1:shape=0", "-1:edge"} <= set(first)
    assert {"prefix=B", "prefix=Berl", "suffix=n", "suffix=rlin", "0,1:lower=berlin 1900"} <= set(first)
    assert {"digit=True", "-1:lower=berlin", "-1,0:lower=berlin 1900", "1:edge"} <= set(second)
    assert word_features([]) == []


def test_features_of_characters() -> None:
    found = character_features(list("在北京"))[1]
    assert {"0=北", "-1=在", "1=京", "-1,0=在北", "0,1=北京", "-1,1=在京", "-1,1=在北京"} <= set(found)
    assert all(len(features) == len(set(features)) for features in character_features(list("我在北京市")))
    assert are_characters([list("在北京"), ["OK"], list("我在这里好了吧")])
    assert not are_characters([["in", "Berlin", "a"]])


def test_the_crf_learns_what_words_alone_do_not_say() -> None:
    pytest.importorskip("pycrfsuite")
    tagger = FeatureCRF().fit(TOKENS, TAGS)
    assert not tagger.by_characters
    assert tagger.predict([NEW]) == [["O", "O", "O", "B-LOC", "O", "B-PER", "I-PER"]]
    assert tagger.predict([[], NEW])[0] == []
    again = pickle.loads(pickle.dumps(FeatureCRF().fit(TOKENS, TAGS)))
    assert again.predict(TOKENS) == tagger.predict(TOKENS) == TAGS
    assert again.size == tagger.size > 1000


def test_the_crf_takes_characters_for_characters() -> None:
    pytest.importorskip("pycrfsuite")
    tokens = [list("他在北京市工作"), list("她在南京市学习")]
    tags = [["O", "O", "B", "I", "I", "O", "O"]] * 2
    tagger = FeatureCRF().fit(tokens, tags)
    assert tagger.by_characters
    assert tagger.predict([list("我在东京市唱歌")]) == tags[:1]


@pytest.mark.parametrize("option", [{"l1": 1.0}, {"l2": 2.0}, {"iterations": 2}, {"min_count": 3}])
def test_options_of_the_crf_change_it(option: dict[str, float]) -> None:
    pytest.importorskip("pycrfsuite")
    usual, other = FeatureCRF().fit(TOKENS, TAGS), FeatureCRF(**option).fit(TOKENS, TAGS)  # type: ignore[arg-type]
    assert usual._model != other._model


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="at least 0"):
        FeatureCRF(l1=-1)
    pytest.importorskip("pycrfsuite")
    with pytest.raises(UsageError, match="before it is to predict"):
        FeatureCRF().predict([NEW])
    with pytest.raises(DataError, match="at least one sentence"):
        FeatureCRF().fit([[]], [[]])
    monkeypatch.setattr(feature_crf, "pycrfsuite", None)
    with pytest.raises(RondoError, match=r"pip install 'rondo\[tagging\]'"):
        FeatureCRF()


def test_on_real_sentences(data_folder: Path) -> None:
    """Some of the training part is enough to tell the two baselines apart."""
    pytest.importorskip("pycrfsuite")
    scheme = SCHEMES["BIOES"]
    sentences = read_sentences(data_folder / "conll2003/eng.testa.gz")
    train, valid = sentences[:500], sentences[-300:]
    parts = [([s.tokens for s in part], [convert_tags(s.tags or (), scheme) for s in part]) for part in (train, valid)]
    scores = {
        name: score_tags(parts[1][1], tagger.fit(*parts[0]).predict(parts[1][0])).f1
        for name, tagger in (("word", FrequentTag()), ("crf", FeatureCRF(iterations=15)))
    }
    assert 0.1 < scores["word"] < scores["crf"] - 0.15
