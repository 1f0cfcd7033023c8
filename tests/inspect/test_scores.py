"""The first sentence of a report is honest in every case."""

import math
import string

import pytest

from rondo.errors import UsageError
from rondo.inspect import Lead, Metric, Score, compare, metric_of, scores_of
from rondo.inspect.scores import best, ranked
from rondo.inspect.wording import LABELS, duration, has_han, label, number, size

LOSS = Metric("loss", better="lower", unit="nats")
ACCURACY = Metric("accuracy", better="higher", percent=True, digits=1)


def ours(value, low=None, high=None):
    return Score("The network", value, low, high, role="ours")


@pytest.mark.parametrize(
    ("metric", "scores", "tone", "sentence"),
    [
        (LOSS, [ours(1.4), Score("KN", 1.5)], "good", "The network is ahead: 1.400 nats, against 1.500 for"),
        (LOSS, [ours(1.6), Score("KN", 1.5)], "bad", "A baseline wins: KN has 1.500, the network 1.600 nats."),
        (ACCURACY, [ours(0.9), Score("LR", 0.8)], "good", "is ahead: 90.0 %"),
        (ACCURACY, [ours(0.7), Score("LR", 0.8), Score("majority", 0.1)], "bad", "LR has 80.0 %"),
        (LOSS, [ours(1.4, 1.3, 1.6), Score("KN", 1.5)], "even", "about level"),
        (LOSS, [ours(1.4), Score("KN", 1.5, 1.39, 1.6)], "even", "within the interval"),
        (LOSS, [ours(1.6, 1.4, 1.7), Score("KN", 1.5)], "bad", "A baseline is ahead: KN has 1.500, the network 1.600"),
        (ACCURACY, [ours(0.46, 0.32, 0.6), Score("LR", 0.6)], "bad", "A baseline is ahead: LR has 60.0 %"),
        (LOSS, [ours(1.4, 1.35, 1.45), Score("KN", 1.5, 1.46, 1.6)], "good", "is ahead"),
        (LOSS, [ours(1.4), Score("KN", 1.4)], "even", "is level with"),
        (ACCURACY, [ours(0.8001), Score("LR", 0.8)], "even", "is level with"),
        (LOSS, [ours(1.4)], "even", "No baseline was measured"),
        (LOSS, [ours(1.4), Score("a longer run", 1.2, role="yardstick")], "even", "No baseline was measured"),
        (LOSS, [ours(math.nan), Score("KN", 1.5)], "bad", "no finite loss"),
        (LOSS, [ours(1.4), Score("KN", math.nan), Score("unigram", 3.0)], "good", "(unigram)"),
    ],
)
def test_verdict(metric, scores, tone, sentence):
    verdict = compare(scores, metric)
    assert sentence in verdict.text
    assert verdict.tone == tone
    chinese = compare(scores, metric, "zh")
    assert chinese.tone == tone
    assert has_han(chinese.text)
    assert "{" not in verdict.text + chinese.text


LR = Score("LR", 0.82)


@pytest.mark.parametrize(
    ("value", "lead", "tone", "sentence"),
    [
        (0.80, Lead(-0.02, -0.029, -0.012), "bad", "A baseline wins: LR has 82.0 %, the network 80.0 %."),
        (0.80, Lead(-0.02, -0.05, 0.01), "bad", "A baseline is ahead: LR has 82.0 %, the network 80.0 %. "
         "The difference may be chance: −2.0 points [−5.0, +1.0]."),
        (0.84, Lead(0.02, 0.012, 0.029), "good", "The network is ahead: 84.0 %, against 82.0 %"),
        (0.84, Lead(0.02, -0.01, 0.05), "even", "about level with the strongest baseline: 84.0 % against 82.0 % (LR). "
         "The difference may be chance: +2.0 points [−1.0, +5.0]."),
        (0.84, Lead(0.02), "even", "chance cannot be told: +2.0 points, without an interval."),
        (0.80, Lead(-0.02), "bad", "A baseline is ahead"),
    ],
)  # fmt: skip
def test_the_paired_difference_decides_not_the_interval_of_our_score(value, lead, tone, sentence):
    """The baseline lies within the interval of our score each time."""
    verdict = compare([Score("The network", value, 0.7, 0.9, role="ours", lead=lead), LR], ACCURACY)
    assert sentence in verdict.text
    assert verdict.tone == tone
    assert compare([Score("x", value, 0.7, 0.9, role="ours", lead=lead), LR], ACCURACY, "zh").tone == tone


def test_figures_of_a_result_become_scores_with_their_lead():
    result = {"score": 0.8, "score_interval": [0.7, 0.9], "baselines": {"LR": 0.82}, "metric": "accuracy",
              "lead": -0.02, "lead_interval": [-0.03, -0.01]}  # fmt: skip
    assert compare(scores_of(result), metric_of(result)).text.startswith("A baseline wins: LR has 82.0 %, this model")
    result |= {"score_interval": None, "lead_interval": None}
    assert scores_of(result)[0].low is None
    assert compare(scores_of(result), metric_of(result)).text.endswith("−2.0 points, without an interval.")
    assert scores_of({"score": 0.8, "score_interval": None, "baselines": {}})[0].lead is None


def test_verdict_takes_our_best_result():
    scores = [Score("small", 1.7, role="ours"), Score("large", 1.4, role="ours"), Score("KN", 1.5)]
    assert compare(scores, LOSS).text.startswith("Large is ahead")
    with pytest.raises(ValueError, match="role 'ours'"):
        compare(scores[2:], LOSS)


def test_ranking_follows_the_metric_and_puts_nan_last():
    scores = [Score("a", math.nan), Score("b", 0.2), Score("c", 0.9), Score("d", 0.99, role="yardstick")]
    assert [s.name for s in ranked(scores, LOSS)] == ["b", "c", "d", "a"]
    assert [s.name for s in ranked(scores, ACCURACY)] == ["d", "c", "b", "a"]
    assert best(scores, ACCURACY).name == "c"
    assert best(scores[:1], LOSS) is None


def test_both_languages_have_the_same_words_with_the_same_gaps():
    assert LABELS["en"].keys() == LABELS["zh"].keys()
    for key, text in LABELS["en"].items():
        gaps = [{name for _, name, _, _ in string.Formatter().parse(t) if name} for t in (text, LABELS["zh"][key])]
        allowed = {"unused"} | gaps[0]
        assert gaps[1] <= allowed, key
    with pytest.raises(UsageError, match="fr"):
        label("report", "fr")


def test_numbers_as_people_write_them():
    assert [number(v) for v in (1.49216, None, math.nan, math.inf, -math.inf, -0.5, 12345.0)] == [
        "1.492", "–", "–", "∞", "−∞", "−0.500", "12,345.000",
    ]  # fmt: skip
    assert number(0.97512, digits=1, percent=True) == "97.5 %"
    assert [duration(s) for s in (0.42, 59.6, 61, 600, 3725)] == [
        "0.4 s",
        "1 min 0 s",
        "1 min 1 s",
        "10 min 0 s",
        "1 h 2 min",
    ]
    assert duration(61, "zh") == "1 分 1 秒"
    assert [size(n) for n in (0, 999, 1000, 123_456, 1_115_394, 5 * 10**9, 10**13)] == [
        "0 B", "999 B", "1.0 kB", "123 kB", "1.1 MB", "5.0 GB", "10.0 TB",
    ]  # fmt: skip
