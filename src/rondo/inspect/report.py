"""The one report module: a page that needs nothing but itself.

A report is one HTML file with its style, its figures' script and its images inside. A content
security policy in the page forbids every load from elsewhere and every script but the page's own
two, so a text that was learned from or generated cannot run code or call home when it is shown.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import plotly.graph_objects as go
import plotly.io
from plotly.offline import get_plotlyjs

import rondo
from rondo.inspect import plots, report_blocks
from rondo.inspect.provenance import Provenance
from rondo.inspect.report_blocks import Column, Evidence, Interval, Mark, Sample, Tile, escape, language_of
from rondo.inspect.scores import Metric, Score, Tone, Verdict, best, compare, ranked
from rondo.inspect.wording import duration, label, size
from rondo.storage import write_bytes

MOST_FILES = 8
"""More data files than this are not listed by name."""


class Section:
    """One part of a report; each method adds a piece below the last and returns the section."""

    def __init__(self, title: str, report: Report) -> None:
        self.title = title
        self._report = report
        self._pieces: list[str] = []

    def text(self, text: str) -> Section:
        """Plain text: blank lines part paragraphs, ``- `` makes a list; `code` and **strong** work."""
        return self._add(report_blocks.paragraphs(text))

    def pre(self, text: str) -> Section:
        """Text whose line breaks and columns count."""
        return self._add(f"<pre{language_of(text)}><code>{escape(text)}</code></pre>")

    def facts(self, pairs: Mapping[str, str]) -> Section:
        """Names and values, one under the other."""
        return self._add(report_blocks.facts(list(pairs.items())))

    def table(
        self,
        columns: Sequence[str | Column],
        rows: Sequence[Sequence[Any]],
        *,
        caption: str = "",
        marks: Mapping[int, Mark | Sequence[Mark]] | None = None,
    ) -> Section:
        """A table. ``marks`` sets rows apart: ``{0: ("best", "ours"), 2: "baseline"}``."""
        return self._add(
            report_blocks.table(columns, rows, caption=caption, marks=marks, language=self._report.language)
        )

    def plot(self, figure: go.Figure, caption: str, *, alt: str | None = None) -> Section:
        """A plotly figure; ``alt`` is read aloud in its place (by default the caption)."""
        return self._add(self._report._figure(figure, caption, alt or caption))

    def samples(
        self,
        items: Sequence[Sample],
        *,
        kind: Literal["prose", "verse", "code"] = "prose",
        caption: str = "",
    ) -> Section:
        """Generated texts side by side."""
        return self._add(report_blocks.samples(items, kind=kind, caption=caption))

    def evidence(self, items: Sequence[Evidence], *, caption: str = "") -> Section:
        """Texts with what each of their tokens spoke for."""
        return self._add(report_blocks.evidence(items, caption=caption))

    def tiles(self, items: Sequence[Tile], *, caption: str = "", ink_on_paper: bool = True) -> Section:
        """Images with what was read in them, right or wrong."""
        return self._add(
            report_blocks.tiles(items, caption=caption, ink_on_paper=ink_on_paper, language=self._report.language)
        )

    def commands(self, items: Sequence[tuple[str, str]]) -> Section:
        """Commands to type, as pairs (command, what it does)."""
        return self._add(report_blocks.commands(items))

    def scores(self, scores: Sequence[Score], metric: Metric, *, caption: str = "", bars: bool = True) -> Section:
        """Results beside baselines: a table, best first, and the same as bars with intervals."""
        language = self._report.language
        order, top = ranked(scores, metric), best(scores, metric)
        rows = [[s.name, Interval(s.value, s.low, s.high), s.note] for s in order]
        marks: dict[int, Sequence[Mark]] = {i: ("best", s.role) if s is top else (s.role,) for i, s in enumerate(order)}
        columns: list[str | Column] = [
            label("name", language),
            Column(metric.title, digits=metric.digits, percent=metric.percent),
            "",
        ]
        if not any(s.note for s in order):
            rows, columns = [row[:2] for row in rows], columns[:2]
        self.table(columns, rows, caption=caption, marks=marks)
        if bars:
            figure = plots.interval_bars(scores, metric=metric, language=language)
            told = "; ".join(f"{s.name}: {metric.format(s.value)}" for s in order)
            drawn = "bars" if any(s.low is not None for s in scores) else "bars_plain"
            self.plot(figure, label(drawn, language), alt=f"{metric.title}: {told}")
        return self

    def _add(self, piece: str) -> Section:
        self._pieces.append(piece)
        return self

    def _html(self, anchor: str) -> str:
        pieces = "\n".join(self._pieces)
        return (
            f'<section id="{anchor}" aria-labelledby="{anchor}-title">\n'
            f'<h2 id="{anchor}-title"{language_of(self.title)}>{escape(self.title)}</h2>\n'
            f"{pieces}\n</section>"
        )


class Report:
    """A page about one model, one evaluation or one comparison."""

    def __init__(self, title: str, *, subtitle: str = "", language: str = "en") -> None:
        label("report", language)  # refuses a language that has no words
        self.title = title
        self.subtitle = subtitle
        self.language = language
        self.sections: list[Section] = []
        self._verdict: Verdict | None = None
        self._keys: list[tuple[str, str, str]] = []
        self._figures = 0

    def verdict(self, sentence: str, *, tone: Tone = "even") -> Report:
        """The first sentence: what a reader who reads nothing else should know."""
        self._verdict = Verdict(sentence, tone)
        return self

    def compare(self, scores: Sequence[Score], metric: Metric) -> Report:
        """The first sentence, made from the figures: where a baseline wins, it says so."""
        self._verdict = compare(scores, metric, self.language)
        return self

    def key_figure(self, name: str, value: str, note: str = "") -> Report:
        """A number worth standing at the top, in large type."""
        self._keys.append((name, value, note))
        return self

    def section(self, title: str) -> Section:
        """A new part at the end of the page."""
        self.sections.append(Section(title, self))
        return self.sections[-1]

    def next_commands(self, items: Sequence[tuple[str, str]]) -> Report:
        """What to type next, as pairs (command, what it does)."""
        self.section(label("next", self.language)).commands(items)
        return self

    def provenance(self, provenance: Provenance) -> Report:
        """Seed, versions, hardware, time, data and the exact command, as the last part of the page."""
        say = functools.partial(label, language=self.language)
        section = self.section(say("provenance")).text(say("provenance_note"))
        section.pre(provenance.command or f"({say('python_call')})")
        section.facts(provenance_facts(provenance, self.language))
        if provenance.data:
            rows = data_rows(provenance, self.language)
            section.table([say("file"), Column(say("size"), right=True)], rows, caption=say("data"))
        return self

    def html(self) -> str:
        """The whole page."""
        body = self._header() + "\n<main>\n"
        body += "\n".join(section._html(f"part-{i}") for i, section in enumerate(self.sections, 1))
        signature = label("written_by", self.language, version=rondo.__version__)
        body += f"\n</main>\n<footer>{escape(signature)}</footer>\n"
        scripts = [_plotly(), _resource("report_script.js")] if self._figures else []
        if scripts:
            body += f'<script type="application/json" id="twins">{json.dumps(plots.DARK_TWINS)}</script>\n'
        body += "".join(f"<script>{script}</script>\n" for script in scripts)
        hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts) or "'none'"
        policy = (
            f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
            "base-uri 'none'; form-action 'none'"
        )
        language = "zh-CN" if self.language == "zh" else self.language
        return (
            f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta name="generator" content="Rondo {rondo.__version__}">\n'
            f'<link rel="icon" href="data:,">\n<title>{escape(self.title)}</title>\n'
            f"<style>\n{_resource('report_style.css')}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page; what stood there before stays whole until the new page is complete."""
        write_bytes(Path(path), self.html().encode("utf-8"))
        return Path(path)

    def _header(self) -> str:
        parts = [f'<p class="eyebrow"><b>Rondo</b> · {escape(label("report", self.language))}</p>']
        parts.append(f"<h1{language_of(self.title)}>{escape(self.title)}</h1>")
        if self.subtitle:
            parts.append(f'<p class="subtitle"{language_of(self.subtitle)}>{escape(self.subtitle)}</p>')
        if self._verdict:
            said = escape(self._verdict.text).replace(" %", "\u00a0%")  # a figure stays with its sign
            parts.append(f'<p class="verdict {self._verdict.tone}">{said}</p>')
        if self._keys:
            items = "".join(
                f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
                for name, value, note in self._keys
            )
            parts.append(f'<dl class="keys">{items}</dl>')
        if len(self.sections) > 2:
            links = "".join(
                f'<li><a href="#part-{i}">{escape(section.title)}</a></li>'
                for i, section in enumerate(self.sections, 1)
            )
            parts.append(f'<nav aria-label="{escape(label("contents", self.language))}"><ul>{links}</ul></nav>')
        return "<header>\n" + "\n".join(parts) + "\n</header>"

    def _figure(self, figure: go.Figure, caption: str, alt: str) -> str:
        self._figures += 1
        name = f"figure-{self._figures}"
        drawn = go.Figure(figure)
        drawn.update_layout(template=plots.TEMPLATE)
        height = int(drawn.layout.height or 380)
        data = plotly.io.to_json(drawn, validate=False)
        for character, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
            data = data.replace(character, code)
        number = f"{label('figure', self.language)} {self._figures}"
        return (
            f'<figure class="plot"><div class="drawing" id="{name}" role="img" aria-label="{escape(alt)}" '
            f'data-height="{height}" style="height:{height}px"></div>'
            f"<noscript>{escape(label('needs_script', self.language))}</noscript>"
            f'<script type="application/json" id="{name}-data">{data}</script>'
            f"<figcaption><b>{escape(number)}.</b> {escape(caption)}</figcaption></figure>"
        )


def provenance_facts(provenance: Provenance, language: str = "en") -> dict[str, str]:
    """Provenance as names and values for people."""
    say = functools.partial(label, language=language)
    machine = say("cores", cores=provenance.cores)
    found = {
        say("seed"): None if provenance.seed is None else str(provenance.seed),
        say("seconds"): None if provenance.seconds is None else duration(provenance.seconds, language),
        say("started"): provenance.started and provenance.started.replace("T", " "),
        say("processor"): f"{provenance.processor} ({machine})" if provenance.processor else machine,
        say("threads"): str(provenance.threads),
        say("memory"): size(provenance.memory) if provenance.memory else None,
        say("device"): provenance.device,
        say("system"): provenance.system,
        say("versions"): ", ".join(f"{name} {value}" for name, value in provenance.versions.items()),
    }
    return {name: value for name, value in found.items() if value}


def data_rows(provenance: Provenance, language: str = "en") -> list[list[str]]:
    """The data files with their sizes; many of them in one row."""
    files = provenance.data
    if len(files) <= MOST_FILES:
        return [[file.path, size(file.bytes)] for file in files]
    words = "files_in" if provenance.data_folder else "files"
    name = label(words, language, count=len(files), folder=provenance.data_folder)
    return [[name, size(sum(file.bytes for file in files))]]


@functools.cache
def _resource(name: str) -> str:
    return resources.files("rondo.inspect").joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _plotly() -> str:
    return get_plotlyjs().replace("\r\n", "\n").replace("</script", "<\\/script")


@functools.cache
def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
