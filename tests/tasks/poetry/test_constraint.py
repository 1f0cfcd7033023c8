"""Poems drawn at random under the masks, judged by rules counted from the finished text."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from rondo.errors import UsageError
from rondo.tasks.poetry.constraint import PoemConstraint, constrain
from rondo.tasks.poetry.corpus import Poem
from rondo.tasks.poetry.evaluate import has_format
from rondo.tasks.poetry.forms import FIXED_FORMS, Form, get_form, split_lines
from rondo.tasks.poetry.prosody import rhyme_table, rhyme_test, tone_test
from rondo.tasks.poetry.request import PoemRequest
from rondo.tasks.poetry.script import to_traditional
from rondo.tasks.poetry.vocabulary import PoemVocabulary


@functools.cache
def listed_characters() -> str:
    """Characters of verse, common and rare, with none or many readings."""
    common = "山水風花雪月春秋江河天地人心日星東西南北明白青黃紅雲雨樓臺看不思教為中重長相鵝床"
    table = rhyme_table()
    numbers = np.random.default_rng(5).permutation(range(0x4E00, 0x9FA6))
    rare = [chr(number) for number in numbers if table.readings(chr(number))]
    strange = [chr(number) for number in numbers[:300] if not table.readings(chr(number))]
    return "".join(dict.fromkeys([*common, *rare[:1500], *strange]))


def vocabulary_of(characters: str) -> PoemVocabulary:
    return PoemVocabulary.build([Poem(title="", author="", text=characters + "。")], min_count=1)


@functools.cache
def vocabulary() -> PoemVocabulary:
    return vocabulary_of(listed_characters())


def draw(constraint: PoemConstraint, *, seed: int = 0, steps: int = 200) -> list[str]:
    """Uniform draws from what is allowed, until every poem has ended."""
    rng = np.random.default_rng(seed)
    tokens = []
    for _ in range(constraint.max_tokens or steps):
        allowed = constraint.allowed()
        assert allowed.dtype == bool
        assert allowed.any(axis=1).all()
        chosen = (rng.random(allowed.shape) * allowed).argmax(axis=1)
        constraint.advance(chosen)
        tokens.append(chosen)
        if constraint.done.all():
            break
    return [constraint.text(row) for row in np.array(tokens).T]


def poems(request: PoemRequest, *, count: int = 150, seed: int = 0) -> list[str]:
    return draw(constrain(vocabulary(), request, batch_size=count), seed=seed)


def endings(text: str) -> list[str]:
    lines = split_lines(text)
    rhyming = [line[-1] for line in lines[1::2]]
    return [lines[0][-1], *rhyming] if rhyme_test(lines).first_line else rhyming


@pytest.mark.parametrize("form", FIXED_FORMS, ids=lambda form: form.short)
@pytest.mark.parametrize("wish", [{}, {"prompt": "明月"}, {"acrostic": "春秋"}, {"first_line_rhymes": True}], ids=str)
def test_held_poems_keep_every_rule(form: Form, wish: dict[str, str]) -> None:
    for text in poems(PoemRequest(form=form.short, **wish)):  # type: ignore[arg-type]
        lines = split_lines(text)
        assert has_format(text, form)
        assert rhyme_test(lines).right
        assert tone_test(lines).right
        assert tone_test(lines).strict
        assert len(set(endings(text))) == len(endings(text))


def test_the_batch_ends_together_and_only_with_the_end() -> None:
    constraint = constrain(vocabulary(), PoemRequest(form="五绝"), batch_size=3)
    draw(constraint)
    assert constraint.done.all()
    assert constraint.max_tokens == 25
    assert (constraint.allowed().sum(axis=1) == 1).all()
    assert constraint.allowed()[:, vocabulary().end].all()


def test_nothing_is_decided_before_the_text_decides_it() -> None:
    texts = poems(PoemRequest(form="五绝"), count=300)
    groups = {group for text in texts for group in rhyme_test(split_lines(text)).groups}
    assert len(groups) > 10
    tones = [rhyme_table().tone(text[1]).name for text in texts]
    assert {"LEVEL", "OBLIQUE", "BOTH"} == set(tones)
    first = sum(rhyme_test(split_lines(text)).first_line for text in texts)
    assert 20 < first < 280


def test_without_the_tone_the_rhyme_still_holds() -> None:
    texts = poems(PoemRequest(form="七绝", tone=False))
    assert all(rhyme_test(split_lines(text)).right for text in texts)
    assert not all(tone_test(split_lines(text)).right for text in texts)


def test_without_the_rhyme_the_tone_still_holds() -> None:
    texts = poems(PoemRequest(form="七绝", rhyme=False))
    assert all(tone_test(split_lines(text)).strict for text in texts)
    assert not all(rhyme_test(split_lines(text)).right for text in texts)


def test_without_the_form_anything_goes() -> None:
    texts = poems(PoemRequest(form="七绝", hold_form=False), count=20)
    assert not any(has_format(text, get_form("七绝")) for text in texts)
    assert not any("<" in text for text in texts)


@pytest.mark.parametrize("rhyme", [True, False])
def test_without_the_strict_rules_they_are_broken_now_and_then(rhyme: bool) -> None:
    texts = poems(PoemRequest(form="五律", strict=False, rhyme=rhyme), count=300)
    found = [tone_test(split_lines(text)) for text in texts]
    assert all(test.right for test in found)
    assert any(test.three_level for test in found)
    assert any(test.lone_level for test in found)


@pytest.mark.parametrize("rhymes", [True, False])
def test_the_first_line_rhymes_as_asked(rhymes: bool) -> None:
    for text in poems(PoemRequest(form="七律", first_line_rhymes=rhymes)):
        lines = split_lines(text)
        if rhymes:
            assert rhyme_test(lines).first_line
        else:
            assert any(not group.level for group in rhyme_table().readings(lines[0][-1]))


def small_vocabulary() -> PoemVocabulary:
    """Five characters to rhyme with and a few others: what is drawn repeats itself where it may."""
    return vocabulary_of("東紅中風空" + "月日雪白黑葉竹石")


def test_a_rhyme_character_comes_twice_only_where_it_may() -> None:
    def repeats(repeat: bool) -> int:
        request = PoemRequest(form="七律", repeat_rhyme=repeat)
        texts = draw(constrain(small_vocabulary(), request, batch_size=100))
        return sum(len(set(endings(text))) < len(endings(text)) for text in texts)

    assert repeats(False) == 0
    assert repeats(True) > 20


def test_no_repeats() -> None:
    def repeated(no_repeats: bool) -> int:
        request = PoemRequest(form="七律", acrostic="山水風花", no_repeats=no_repeats)
        words = ["".join(split_lines(text)) for text in poems(request)]
        return sum(len(word) - len(set(word)) for word in words)

    assert repeated(True) == 0
    assert repeated(False) > 100


def test_no_repeats_gives_way_where_characters_run_out() -> None:
    texts = draw(constrain(small_vocabulary(), PoemRequest(form="七律", no_repeats=True), batch_size=20))
    assert all(tone_test(split_lines(text)).right for text in texts)


@pytest.mark.parametrize("seed", range(25))
def test_no_dead_end_with_few_characters_and_contradictory_prompts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    characters = "".join(rng.permutation(list(listed_characters()))[:220]) + "東紅中風空"
    prompt = "".join(rng.choice(list(listed_characters()), size=rng.integers(0, 12)))
    form = FIXED_FORMS[seed % 4]
    request = PoemRequest(form=form.short, prompt=prompt, no_repeats=bool(seed % 2))
    constraint = constrain(vocabulary_of(characters), request, batch_size=40)
    texts = draw(constraint, seed=seed)
    for text in texts:
        assert has_format(text, form)
        assert "".join(split_lines(text)).startswith(to_traditional(prompt))
        if not constraint.notes:
            assert rhyme_test(split_lines(text)).right
            assert tone_test(split_lines(text)).right
    assert len(set(texts)) > 1


def test_no_dead_end_where_the_first_line_ends_in_a_character_of_the_rhyme_read_as_oblique() -> None:
    few = "牀前看月光疑是地上霜舉頭望山低思故鄉白日依盡黃河入海流欲窮千里目更一層樓"
    few += "春眠不覺曉處聞啼鳥夜來風雨聲花落知多少"
    request = PoemRequest(form="五言律詩")
    texts = draw(constrain(vocabulary_of(few), request, batch_size=3000), seed=1)
    assert len(set(texts)) > 2900


def test_a_vocabulary_without_a_rhyme_is_refused() -> None:
    with pytest.raises(UsageError, match="no rhyme group with 3 characters"):
        constrain(vocabulary_of("東月日雪白黑"), PoemRequest(form="五绝"))
    constrain(vocabulary_of("東月日雪白黑"), PoemRequest(form="五绝", rhyme=False))
    with pytest.raises(UsageError, match="no characters of known tone"):
        constrain(vocabulary_of("東紅"), PoemRequest(form="五绝", rhyme=False))


def test_small_groups_are_left_out_unless_asked_for() -> None:
    group = next(group for group in rhyme_table().groups if group.name == "三江")
    few = [c for c in listed_characters() if rhyme_table().readings(c) == (group,)]
    assert 2 <= len(few) < 24
    texts = poems(PoemRequest(form="五绝"), count=400)
    assert not any(group.index in rhyme_test(split_lines(text)).groups for text in texts)
    asked = poems(PoemRequest(form="五绝", first_line="白日青山江", first_line_rhymes=True), count=5)
    assert all(rhyme_test(split_lines(text)).groups == {group.index} for text in asked)


def test_prompt_and_acrostic_and_simplified_input() -> None:
    for text in poems(PoemRequest(form="七绝", prompt="东风", acrostic="东西南北"), count=5):
        lines = split_lines(text)
        assert lines[0].startswith("東風")
        assert [line[0] for line in lines] == list("東西南北")


def test_half_an_acrostic_begins_the_couplets() -> None:
    text = poems(PoemRequest(form="五律", acrostic="春秋江河"), count=1)[0]
    assert [line[0] for line in split_lines(text)[::2]] == list("春秋江河")
    text = poems(PoemRequest(form="五律", acrostic="春秋江"), count=1)[0]
    assert [line[0] for line in split_lines(text)[:3]] == list("春秋江")


@pytest.mark.parametrize(
    ("form", "acrostic", "note"),
    [
        ("五绝", "春夏", "2 characters, 五言絕句 has 4 lines: it begins lines 1, 3; a character for each couplet"),
        ("五绝", "春夏秋", "3 characters, 五言絕句 has 4 lines: it begins lines 1, 2, 3; the other lines begin freely"),
        ("五绝", "春夏秋冬", None),
        ("五绝", "", None),
    ],
)
def test_where_the_acrostic_stands_is_noted(form: str, acrostic: str, note: str | None) -> None:
    notes = constrain(vocabulary(), PoemRequest(form=form, acrostic=acrostic)).notes
    found = [said for said in notes if said.startswith("the acrostic")]
    assert found == ([f"the acrostic has {note}"] if note else [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"acrostic": "ab，冬"}, "the acrostic 'ab，冬' holds 'a'"),
        ({"acrostic": "春，冬"}, "the acrostic '春，冬' holds '，'"),
        ({"prompt": "明a"}, "the prompt '明a' holds 'a'"),
        ({"prompt": "明\udcff"}, "the prompt .* holds"),
        ({"first_line": "白日依山1"}, "the first line .* holds '1'"),
        ({"first_line": "白日、依山(盡"}, "the first line .* holds"),
    ],
)
def test_what_is_not_chinese_is_refused(words: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        PoemRequest(form="五绝", **words)  # type: ignore[arg-type]


def test_the_first_line_decides_tones_and_rhyme() -> None:
    texts = poems(PoemRequest(form="五绝", first_line="白日依山东"))
    assert all(text.startswith("白日依山東，") for text in texts)
    assert all(rhyme_test(split_lines(text)).first_line for text in texts)
    assert {group for text in texts for group in rhyme_test(split_lines(text)).groups} == {0}
    # 依山東 breaks a strict rule, which does not weigh as much as the rhyme.
    notes = constrain(vocabulary(), PoemRequest(form="五绝", first_line="白日依山东")).notes
    assert any("依 (line 1, position 3) makes a line end in three level tones" in note for note in notes)
    assert not any("东" in note or "東" in note for note in notes)


def test_a_contradictory_prompt_is_kept_and_told() -> None:
    constraint = constrain(vocabulary(), PoemRequest(form="五绝", prompt="白日看月東"), batch_size=3)
    assert any("does not fit the tone pattern" in note for note in constraint.notes)
    assert all(text.startswith("白日看月東，") for text in draw(constraint))
    fitting = constrain(vocabulary(), PoemRequest(form="五绝", prompt="白日看山東"))
    assert fitting.notes == []


def test_a_character_the_model_does_not_know_is_kept_and_told() -> None:
    constraint = constrain(vocabulary(), PoemRequest(form="五绝", prompt="龘龘"), batch_size=2)
    assert "龘" not in vocabulary()
    assert "not among the characters that the model knows" in constraint.notes[0]
    assert all(text.startswith("龘龘") for text in draw(constraint))


def test_free_poems_keep_prompt_and_acrostic() -> None:
    request = PoemRequest(form="other", prompt="东风，", acrostic="东西")
    constraint = constrain(vocabulary(), request, batch_size=4)
    assert constraint.max_tokens is None
    for text in draw(constraint, steps=4000):
        lines = split_lines(text)
        assert lines[0] == "東風"
        assert len(lines) < 2 or lines[1][0] == "西"


def test_free_poems_end_one_by_one() -> None:
    constraint = constrain(vocabulary(), PoemRequest(form="other"), batch_size=2)
    constraint.advance(np.array([vocabulary().end, vocabulary().id("山")]))
    assert constraint.done.tolist() == [True, False]
    allowed = constraint.allowed()
    assert allowed[0].sum() == 1
    assert allowed[0, vocabulary().end]
    assert allowed[1].sum() == vocabulary().generable().sum()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (PoemRequest(form="other", hold_form=True), "no length to hold"),
        (PoemRequest(form="other", rhyme=True), "the rhyme can be held only"),
        (PoemRequest(form="七绝", hold_form=False, tone=True), "the tone can be held only"),
        (PoemRequest(form="七绝", tone=False, strict=True), "strict tone rules"),
        (PoemRequest(form="七绝", rhyme=False, first_line_rhymes=True), "first line rhymes"),
        (PoemRequest(form="五绝", first_line="白日依山"), "has 4 characters, a line of 五言絕句 has 5"),
        (PoemRequest(form="五绝", acrostic="春秋江河天"), "5 characters, 五言絕句 has 4 lines"),
        (PoemRequest(form="五绝", prompt="明月", acrostic="春秋"), "contradict each other"),
        (PoemRequest(form="五绝", prompt="明月", first_line="白日依山盡"), "does not begin with the prompt"),
        (PoemRequest(form="五绝", prompt="山" * 21), "the prompt has 5 lines"),
        (PoemRequest(form="other", prompt="明月", acrostic="春秋"), "contradict each other"),
        (PoemRequest(form="八绝"), "unknown verse form"),
    ],
)
def test_requests_that_cannot_be_met(request_: PoemRequest, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        constrain(vocabulary(), request_)


def test_a_token_that_is_not_allowed_is_refused() -> None:
    constraint = constrain(vocabulary(), PoemRequest(form="五绝", prompt="明"), batch_size=2)
    with pytest.raises(UsageError, match="only token"):
        constraint.advance(np.array([vocabulary().id("明"), vocabulary().id("月")]))
    with pytest.raises(UsageError, match="one token for each of 2 poems"):
        constraint.advance(np.array([vocabulary().id("明")]))
