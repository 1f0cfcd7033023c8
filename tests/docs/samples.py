"""The files that the commands of the documentation may name as a reader's own: small, made on the spot."""

from __future__ import annotations

import datetime
import inspect
import json
import random
import re
import textwrap
from pathlib import Path

POEMS = [
    ("靜夜思", "李白", ["牀前看月光，疑是地上霜。", "舉頭望山月，低頭思故鄉。"]),
    ("登鸛雀樓", "王之渙", ["白日依山盡，黃河入海流。", "欲窮千里目，更上一層樓。"]),
    ("春曉", "孟浩然", ["春眠不覺曉，處處聞啼鳥。", "夜來風雨聲，花落知多少。"]),
    ("鹿柴", "王維", ["空山不見人，但聞人語響。", "返景入深林，復照青苔上。"]),
    ("早發白帝城", "李白", ["朝辭白帝彩雲間，千里江陵一日還。", "兩岸猿聲啼不住，輕舟已過萬重山。"]),
    ("楓橋夜泊", "張繼", ["月落烏啼霜滿天，江楓漁火對愁眠。", "姑蘇城外寒山寺，夜半鐘聲到客船。"]),
    ("出塞", "王昌齡", ["秦時明月漢時關，萬里長征人未還。", "但使龍城飛將在，不教胡馬度陰山。"]),
    ("山行", "杜牧", ["遠上寒山石徑斜，白雲生處有人家。", "停車坐愛楓林晚，霜葉紅於二月花。"]),
]


def write_samples(folder: Path) -> None:
    """Two files of English-like text, two of reviews with their labels, lines of text, word vectors, three of signals,
    two of prices and `poems.jsonl`: eight real poems, 200 of random characters.
    """
    (folder / "my_text.txt").write_text(inspect.getsource(textwrap) + inspect.getsource(random), encoding="utf-8")
    (folder / "another_text.txt").write_text(inspect.getsource(json), encoding="utf-8")
    for name, count in (("reviews.csv", 80), ("new_reviews.csv", 20)):
        (folder / name).write_text("text,label\n" + "".join(_reviews(count)), encoding="utf-8")
    (folder / "texts.txt").write_text("A good film.\n\nThe music was dull.\n" * 200, encoding="utf-8")
    for name, count in (("tagged.conll", 60), ("new_tagged.conll", 20)):
        (folder / name).write_text("".join(_tagged(count)), encoding="utf-8")
    untagged = re.sub(r"\tO|\t[BI]-PER", "\tO", "".join(_tagged(10)))
    (folder / "sentences.conll").write_text(untagged, encoding="utf-8")
    spans = {"text": "Ada came.", "spans": [{"start": 0, "end": 3, "label": "PER"}]}
    (folder / "spans.jsonl").write_text((json.dumps(spans) + "\n") * 40, encoding="utf-8")
    (folder / "vectors.txt").write_text("good 1 2 0.5\nbad -1 2 0.5\nfilm 0 -2 0.1\n", encoding="utf-8")
    for name, count in (("recordings.csv", 40), ("new_recordings.csv", 10)):
        (folder / name).write_text("".join(_recordings(count)), encoding="utf-8")
    (folder / "steps.csv").write_text("run,person,time,x,y,label\n" + "".join(_steps(40)), encoding="utf-8")
    for name, days in (("prices.csv", range(200)), ("new_prices.csv", range(200, 203))):
        (folder / name).write_text("date,close\n" + "".join(_prices(days)), encoding="utf-8")
    with (folder / "poems.jsonl").open("w", encoding="utf-8") as file:
        for title, author, paragraphs in [*POEMS, *_random_poems(200)]:
            poem = {"title": title, "author": author, "paragraphs": paragraphs}
            file.write(json.dumps(poem, ensure_ascii=False) + "\n")


def _reviews(count: int) -> list[str]:
    choose = random.Random(count)
    words = "the film was of a kind and its music too".split()  # noqa: SIM905
    kinds = [choose.choice(("good", "bad")) for _ in range(count)]
    return [f'"{" ".join(choose.choices(words, k=6))}, a {kind} one",{kind}\n' for kind in kinds]


def _recordings(count: int) -> list[str]:
    choose = random.Random(count)
    rows = [(n % 2, [choose.gauss(n % 2 * step / 10, 0.3) for step in range(20)]) for n in range(count)]
    return [f"{'rises' if kind else 'rests'},{','.join(f'{value:.3f}' for value in row)}\n" for kind, row in rows]


def _steps(count: int) -> list[str]:
    choose = random.Random(count)
    return [
        f"{run},{run // 4},{step},{choose.gauss(run % 2 * step, 1):.2f},{choose.random():.2f},{'ab'[run % 2]}\n"
        for run in range(count)
        for step in range(choose.randint(5, 12))
    ]


def _prices(days: range) -> list[str]:
    choose = random.Random(0)
    price, first, rows = 100.0, datetime.date(2024, 1, 1), []
    for day in range(days.stop):
        price += choose.gauss(0, 1)
        rows.append(f"{first + datetime.timedelta(days=day)},{price:.2f}\n")
    return rows[days.start :]


def _tagged(count: int) -> list[str]:
    choose = random.Random(count)
    blocks = []
    for _ in range(count):
        words = choose.choices("the came to saw of in with".split(), k=4)  # noqa: SIM905
        names = [(choose.choice(("Ada", "Emmy")), "B-PER"), (choose.choice(("Bohr", "Smith")), "I-PER")]
        rows = [(word, "O") for word in words] + names[: choose.randint(1, 2)] + [(".", "O")]
        blocks.append("".join(f"{word}\t{tag}\n" for word, tag in rows) + "\n")
    return blocks


def _random_poems(count: int) -> list[tuple[str, str, list[str]]]:
    characters = sorted({c for _, _, paragraphs in POEMS for c in "".join(paragraphs) if c not in "，。"})
    choice = random.Random(0)

    def line(width: int) -> str:
        return "".join(choice.choices(characters, k=width))

    return [
        (f"無題{n}", "無名", [f"{line(width)}，{line(width)}。" for _ in range(2)])
        for n in range(count)
        for width in [5 + 2 * (n % 2)]
    ]
