"""The pieces of a report as HTML: tables, samples, image grids, commands.

Every function returns a finished piece of HTML in which all text that came from outside is escaped.
"""

from __future__ import annotations

import base64
import html
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from rondo.errors import UsageError, nearest
from rondo.inspect.wording import has_han, label, number

Mark = Literal["ours", "best", "baseline", "yardstick"]
NUMBERS = (int, float, np.integer, np.floating)
SMALLEST_SIDE = 96
SHORT = 12  # rows of a table that is kept on one sheet of paper
MARKS = ("best", "ours", "baseline", "yardstick")


@dataclass(frozen=True)
class Interval:
    """A table cell: an estimate with its interval."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Column:
    """A table column whose numbers need more than three digits after the point."""

    name: str
    digits: int = 3
    percent: bool = False
    """The cells are fractions and are shown times 100."""
    right: bool = False
    """Stands right although its cells are texts, such as sizes."""


@dataclass(frozen=True)
class Sample:
    """A text that a model wrote."""

    text: str
    label: str = ""
    """What distinguishes it, for instance ``temperature 0.8``."""
    prompt: str = ""
    """What the model was given; set apart where the text begins with it."""
    checks: Mapping[str, bool] = field(default_factory=dict)
    """Properties that were tested, for instance ``{"rhyme": True}``."""
    note: str = ""


@dataclass(frozen=True)
class Evidence:
    """A text with what each of its tokens spoke for."""

    tokens: Sequence[str]
    weights: Sequence[float]
    """Above zero where a token spoke for what was said, below where it spoke for something else."""
    label: str = ""
    note: str = ""
    spaced: bool = True
    """Whether there are blanks between the tokens."""


@dataclass(frozen=True)
class Tile:
    """An image with what the model read in it."""

    pixels: np.ndarray
    """(H, W) or (H, W, 3); 0 is empty, the greatest value full."""
    reading: str
    truth: str | None = None
    note: str = ""
    """A few characters below the reading, for instance how sure the model was."""


def escape(text: object) -> str:
    """Text made harmless, within an element or a quoted attribute. Control characters become visible."""
    clean = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", "\ufffd", str(text))
    return html.escape(clean, quote=True)


def language_of(text: str) -> str:
    """A ``lang`` attribute where the text is Chinese, so that browsers pick the right glyphs."""
    return ' lang="zh"' if has_han(text) else ""


def _inline(text: str) -> str:
    """Escaped text in which `code` and **strong** are marked up."""
    parts = re.split(r"(`[^`\n]+`)", text)
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = f"<code>{escape(part[1:-1])}</code>"
        else:
            parts[i] = re.sub(r"\*\*(\S(?:[^*\n]*\S)?)\*\*", r"<strong>\1</strong>", escape(part))
    return "".join(parts)


def paragraphs(text: str) -> str:
    """Plain text: blank lines part paragraphs, lines that begin with ``- `` make a list."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in block.splitlines()]
        if lines and all(line.startswith("- ") for line in lines):
            items = "".join(f"<li>{_inline(line[2:])}</li>" for line in lines)
            blocks.append(f"<ul{language_of(block)}>{items}</ul>")
        elif block:
            blocks.append(f"<p>{_inline(' '.join(lines))}</p>")
    return "\n".join(blocks)


def _cell(value: Any, column: Column, language: str) -> str:
    if value is None:
        return "–"
    if isinstance(value, Interval):
        text = number(value.value, digits=column.digits, percent=column.percent)
        if value.low is None or value.high is None:
            return text
        low, high = (number(end, digits=column.digits, percent=column.percent) for end in (value.low, value.high))
        if column.percent:
            low = low.removesuffix(" %")
        return f'{text} <span class="interval">[{low}, {high}]</span>'
    if isinstance(value, bool | np.bool_):
        return label("yes" if value else "no", language)
    if isinstance(value, int | np.integer) and not column.percent:
        return f"{int(value):,}".replace("-", "−")
    if isinstance(value, NUMBERS):
        return number(float(value), digits=column.digits, percent=column.percent)
    return escape(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (*NUMBERS, Interval)) and not isinstance(value, bool)


def table(
    columns: Sequence[str | Column],
    rows: Sequence[Sequence[Any]],
    *,
    caption: str = "",
    marks: Mapping[int, Mark | Sequence[Mark]] | None = None,
    language: str = "en",
) -> str:
    """A table; columns that hold only numbers stand right, marked rows carry a word and a tint."""
    heads = [column if isinstance(column, Column) else Column(column) for column in columns]
    for row in rows:
        if len(row) != len(heads):
            raise UsageError(f"a table row has {len(row)} cells where there are {len(heads)} columns: {list(row)!r}")
    numeric = [
        heads[j].right
        or (any(_is_number(row[j]) for row in rows) and all(row[j] is None or _is_number(row[j]) for row in rows))
        for j in range(len(heads))
    ]
    body = []
    for i, row in enumerate(rows):
        given: Mark | Sequence[Mark] = (marks or {}).get(i, ())
        names: tuple[str, ...] = (given,) if isinstance(given, str) else tuple(given)
        for name in names:
            if name not in MARKS:
                raise UsageError(f"unknown mark '{name}' for a table row{nearest(name, MARKS)}")
        tags = "".join(f' <span class="tag {name}">{escape(label(name, language))}</span>' for name in names)
        cells = []
        for j, value in enumerate(row):
            text = _cell(value, heads[j], language) + (tags if j == 0 else "")
            kind = ' class="number"' if numeric[j] else language_of(value) if isinstance(value, str) else ""
            cells.append(f'<th scope="row"{kind}>{text}</th>' if j == 0 else f"<td{kind}>{text}</td>")
        kinds = f' class="{" ".join(names)}"' if names else ""
        body.append(f"<tr{kinds}>{''.join(cells)}</tr>")
    top = "".join(
        f'<th scope="col"{" class=number" if numeric[j] else ""}>{escape(head.name)}</th>'
        for j, head in enumerate(heads)
    )
    title = f"<caption>{_inline(caption)}</caption>" if caption else ""
    name = escape(caption or heads[0].name)
    kind = "table short" if len(rows) <= SHORT else "table"
    return (
        f'<div class="{kind}" role="region" tabindex="0" aria-label="{name}"><table>{title}'
        f"<thead><tr>{top}</tr></thead><tbody>\n" + "\n".join(body) + "\n</tbody></table></div>"
    )


_VERSE_LINE = re.compile(r"[^，。！？；\n]*[，。！？；]\n?|[^，。！？；\n]+\n?|\n")
"""A line of verse: Chinese verse has two to a line of text, parted by a mark."""


def _sample_text(sample: Sample, kind: str) -> str:
    prompt = sample.prompt if sample.prompt and sample.text.startswith(sample.prompt) else ""
    rest = sample.text[len(prompt) :]
    if kind != "verse":
        given = f'<b class="prompt">{escape(prompt)}</b>' if prompt else ""
        return f"{given}{escape(rest)}"
    lines, used = [], len(prompt)
    for line in _VERSE_LINE.findall(sample.text):
        head = line[:used].rstrip("\n")
        used = max(0, used - len(line))
        given = f'<b class="prompt">{escape(head)}</b>' if head else ""
        lines.append(f'<span class="line">{given}{escape(line[len(head) :].rstrip(chr(10)))}</span>')
    return "".join(lines)


def samples(
    items: Sequence[Sample],
    *,
    kind: Literal["prose", "verse", "code"] = "prose",
    caption: str = "",
) -> str:
    """Generated texts side by side. ``verse`` sets every line apart, ``code`` keeps columns."""
    kinds = ("prose", "verse", "code")
    if kind not in kinds:
        raise UsageError(f"unknown kind of sample '{kind}'{nearest(kind, kinds)}")
    out = []
    for item in items:
        head = f"<h3>{escape(item.label)}</h3>" if item.label else ""
        checks = "".join(
            f'<li class="{"right" if good else "wrong"}">{"✓" if good else "✗"} {escape(name)}</li>'
            for name, good in item.checks.items()
        )
        checks = f'<ul class="checks">{checks}</ul>' if checks else ""
        note = f'<p class="note">{_inline(item.note)}</p>' if item.note else ""
        name = escape(item.label or caption or kind)
        out.append(
            f'<article class="sample">{head}<div class="written" tabindex="0" role="group" '
            f'aria-label="{name}"{language_of(item.text)}>{_sample_text(item, kind)}</div>{checks}{note}</article>'
        )
    title = f'<p class="caption">{_inline(caption)}</p>' if caption else ""
    pairs = " pairs" if len(items) in (2, 4) else ""
    return f'<div class="samples {kind}{pairs}">{"".join(out)}</div>{title}'


STRONGEST = 3
"""So many tokens of a text are set in bold, for paper without colours."""
_FOR, _AGAINST = "192,95,23", "43,98,176"
_DEEPEST = 0.6


def evidence(items: Sequence[Evidence], *, caption: str = "") -> str:
    """Texts whose tokens are shaded: one colour for what was said, another for what speaks against it."""
    out = []
    for item in items:
        head = f"<h3>{escape(item.label)}</h3>" if item.label else ""
        note = f'<p class="note">{_inline(item.note)}</p>' if item.note else ""
        text = (" " if item.spaced else "").join(_shaded(item))
        language = language_of("".join(item.tokens))
        kind = "evidence" if item.spaced else "evidence close"
        out.append(f'<article class="{kind}">{head}<p{language}>{text}</p>{note}</article>')
    title = f'<p class="caption">{_inline(caption)}</p>' if caption else ""
    return f"{title}{''.join(out)}"


def _shaded(item: Evidence) -> list[str]:
    weights = np.nan_to_num(np.asarray(item.weights, np.float64))
    largest = np.abs(weights).max(initial=0.0)
    strongest = set(np.argsort(-np.abs(weights), kind="stable")[:STRONGEST].tolist()) if largest > 0 else set()
    words = []
    for place, (token, weight) in enumerate(zip(item.tokens, weights, strict=True)):
        word = f"<b>{escape(token)}</b>" if place in strongest else escape(token)
        share = _DEEPEST * abs(weight) / largest if largest > 0 else 0.0
        if share < 0.03:
            words.append(word)
        else:
            colour = _FOR if weight > 0 else _AGAINST
            words.append(f'<span style="background:rgba({colour},{share:.2f})">{word}</span>')
    return words


def png(pixels: np.ndarray, *, ink_on_paper: bool = True) -> bytes:
    """An 8-bit PNG of an array; in grey, full values are dark as ink unless told otherwise.

    Small images are enlarged by whole pixels, because printing would blur them.
    """
    array = np.asarray(pixels)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or array.size == 0:
        raise UsageError(f"an image is an array (H, W) or (H, W, 3), not {array.shape}")
    if array.dtype != np.uint8:
        values = np.nan_to_num(array.astype(np.float64))
        top = values.max()
        array = np.clip(np.rint(values * (255 / top if top > 0 else 0)), 0, 255).astype(np.uint8)
    if array.ndim == 2 and ink_on_paper:
        array = 255 - array
    larger = max(1, SMALLEST_SIDE // max(array.shape[:2]))
    array = array.repeat(larger, axis=0).repeat(larger, axis=1)
    height, width = array.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), array.reshape(height, -1)], axis=1).tobytes()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0 if array.ndim == 2 else 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiles(items: Sequence[Tile], *, caption: str = "", ink_on_paper: bool = True, language: str = "en") -> str:
    """Images in a grid, each with its reading and, where the truth is known, whether that is right."""
    out = []
    for item in items:
        data = base64.b64encode(png(item.pixels, ink_on_paper=ink_on_paper)).decode("ascii")
        read = label("read_as", language, reading=item.reading)
        kind, words = "", ""
        if item.truth is not None:
            right = item.reading == item.truth
            kind = "right" if right else "wrong"
            read += f", {label(kind, language)}"
            words = " ✓" if right else " ✗"
            if not right:
                truth = label("is", language, truth=item.truth)
                read += f", {truth}"
                words += f' <span class="truth">{escape(truth)}</span>'
        note = f'<span class="note">{escape(item.note)}</span>' if item.note else ""
        out.append(
            f'<figure class="tile {kind}"><img alt="{escape(read)}" src="data:image/png;base64,{data}">'
            f"<figcaption><b>{escape(item.reading)}</b>{words}{note}</figcaption></figure>"
        )
    title = f'<p class="caption">{_inline(caption)}</p>' if caption else ""
    return f'<div class="tiles">{"".join(out)}</div>{title}'


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Names and values, one under the other."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{_inline(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{items}</dl>'


def commands(items: Sequence[tuple[str, str]]) -> str:
    """Commands to type, each with what it does; a click selects the whole command."""
    out = ""
    for line, what in items:
        words = " ".join(f"<span>{escape(word)}</span>" for word in line.split(" "))
        out += f"<li><p>{_inline(what)}</p><pre><code>{words}</code></pre></li>"
    return f'<ol class="commands">{out}</ol>'
