"""The page: complete, self-contained, and harmless whatever text it shows."""

import base64
import hashlib
import html
import json
import re
import struct
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

import rondo
from rondo.errors import RondoError, UsageError
from rondo.inspect import (
    Column,
    DataFile,
    Interval,
    Metric,
    Provenance,
    Report,
    Sample,
    Score,
    Tile,
    plots,
    report_blocks,
)
from rondo.inspect.wording import LABELS

HOSTILE = "</script><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>\"'&\x00\ud800"
LOSS = Metric("validation loss", better="lower", unit="nats per character")
SCORES = [
    Score("The network", 1.492, 1.48, 1.50, role="ours"),
    Score("Kneser-Ney, order 6", 1.558),
    Score("a longer run", 1.464, role="yardstick"),
]


class Page(HTMLParser):
    """What a browser would see: tags with attributes, scripts, and the text outside of them."""

    VOID = frozenset({"meta", "link", "img", "br", "hr"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.words, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append([dict(attributes), ""])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1][1] += data
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    def of(self, tag, kind=""):
        return [a for t, a in self.tags if t == tag and (not kind or kind in (a.get("class") or "").split())]


def full(language="en", text="A quiet sentence."):
    """A report with a piece of every kind, each showing ``text``."""
    report = Report(f"Title {text}", subtitle=text, language=language).verdict(text, tone="bad")
    report.key_figure(f"key {text}", f"value {text}", text)
    section = report.section(f"First {text}").text(f"{text}\n\n- item {text}\n- `{text}`")
    section.pre(text).facts({text: text})
    section.table([text, Column("n")], [[text, 1.0]], caption=text, marks={0: ("best", "ours")})
    section.samples(
        [Sample(f"{text} and {text}", label=text, prompt=text, checks={text: True}, note=text)], caption=text
    )
    section.samples([Sample(f"明月{text}\n松間", prompt=f"明月{text}"), Sample(text)], kind="verse")
    section.tiles([Tile(np.eye(8), reading=text, truth=f"7{text}", note=text)], caption=text)
    curves = plots.learning_curves([{"step": i, text: 1.0 / (i + 1)} for i in range(9)], {text: text}, metric=LOSS)
    section.plot(curves, text, alt=f"alt {text}")
    report.section("Scores").scores([Score(text, 0.5, role="ours"), Score("other", 0.7)], LOSS, caption=text)
    report.next_commands([(f"rondo generate {text}", text)])
    return report.provenance(
        Provenance(seed=3, seconds=70, command=f"rondo {text}", versions={text: text}, data=(DataFile(text, 1234),))
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_page_is_well_formed_and_has_every_section(language):
    report = full(language)
    page = Page(report.html())
    assert page.open == []
    titles = [section.title for section in report.sections]
    assert len(titles) == 4
    for title in [*titles, LABELS[language]["next"], LABELS[language]["provenance"]]:
        assert html.unescape(title) in page.words
    assert len(page.of("section")) == 4
    assert page.of("html")[0]["lang"] == ("zh-CN" if language == "zh" else "en")
    identifiers = [a["id"] for _, a in page.tags if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    links = {a["href"] for a in page.of("a")}
    assert links == {f"#part-{i}" for i in range(1, 5)}
    assert {link[1:] for link in links} <= set(identifiers)


def test_nothing_is_loaded_from_elsewhere():
    page = Page(full(text=HOSTILE).html())
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster", "background"):
            assert re.match(r"data:|#part-", attributes.get(name, "#part-")), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert "url(" not in (attributes.get("style") or "")
    style = report_style()
    assert "url(" not in style
    assert "@import" not in style
    assert "@font-face" not in style
    policy = next(a["content"] for a in page.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy
    assert re.search(r"img-src data:;", policy)


def report_style():
    return re.search(r"<style>(.*?)</style>", Report("x").html(), re.S)[1]


def test_policy_names_exactly_the_scripts_that_run():
    page = Page(full(text=HOSTILE).html())
    running = [text for attributes, text in page.scripts if attributes.get("type") != "application/json"]
    assert len(running) == 2
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in running]
    policy = next(a["content"] for a in page.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    scripts = re.search(r"script-src ([^;]*);", policy)[1]
    assert sorted(scripts.split()) == sorted(f"'sha256-{digest}'" for digest in digests)


def test_hostile_text_is_shown_and_never_becomes_markup():
    quiet, hostile = Page(full().html()), Page(full(text=HOSTILE).html())
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in quiet.tags]
    assert hostile.open == []
    words = "".join(hostile.words)
    assert words.count("<script>alert(1)</script>") > 10
    assert "\x00" not in words
    full(text=HOSTILE).html().encode("utf-8")  # a lone surrogate would fail here
    for attributes, text in hostile.scripts:
        if attributes.get("type") == "application/json":
            assert not set("<>&") & set(text)
            json.loads(text)


def test_hostile_names_reach_plotly_without_tags():
    figure = plots.lines({"<a href='http://evil.example'>x</a>": ([0, 1], [0, 1])}, y_title="<b>y</b>")
    assert figure.data[0].name == "&lt;a href='http://evil.example'&gt;x&lt;/a&gt;"
    assert figure.layout.yaxis.title.text == "&lt;b&gt;y&lt;/b&gt;"
    bars = plots.interval_bars([Score("<i>x</i>", 1.0)], metric=LOSS)
    assert bars.layout.yaxis.ticktext == ("&lt;i&gt;x&lt;/i&gt;",)


def test_plotly_is_inlined_once_and_only_where_a_figure_is():
    without = Report("x")
    without.section("Words").text("no figure")
    text = without.html()
    assert len(text) < 30_000
    assert "script-src 'none'" in text
    assert Page(text).scripts == []
    report = Report("x")
    for _ in range(5):
        report.section("s").plot(plots.lines({"a": ([0, 1], [1, 2])}), "caption")
    text = report.html()
    assert text.count("plotly.js v") == 1
    assert 3_000_000 < len(text) < 6_000_000
    assert len(Page(text).of("figure", "plot")) == 5
    assert [a["data-height"] for a in Page(text).of("div", "drawing")] == ["380"] * 5


def test_every_figure_and_image_has_words():
    page = Page(full().html())
    for figure in page.of("div", "drawing"):
        assert figure["role"] == "img"
        assert len(figure["aria-label"]) > 5
    assert page.of("img")
    for image in page.of("img"):
        assert image["alt"] == "read as A quiet sentence., wrong, is 7A quiet sentence."
    assert {a["scope"] for a in page.of("th")} == {"col", "row"}
    assert page.of("caption") is not None
    alternative = Report("x")
    alternative.section("s").plot(plots.lines({"a": ([0], [1])}), "the caption")
    assert Page(alternative.html()).of("div", "drawing")[0]["aria-label"] == "the caption"


def test_figures_take_colours_that_have_a_dark_twin():
    report = Report("x")
    section = report.section("s")
    section.scores(SCORES, LOSS)
    section.plot(
        plots.learning_curves(
            [{"step": i, "l": 2.0 - i} for i in range(3)], {"l": "l"}, metric=LOSS, baselines=SCORES[1:2], mark_best="l"
        ),
        "curves",
    )
    data = [text for a, text in Page(report.html()).scripts if a.get("id", "").endswith("-data")]
    assert len(data) == 2
    for text in data:
        colours = set(re.findall(r"#[0-9a-fA-F]{6}\b", text))
        assert colours
        assert colours <= set(plots.DARK_TWINS)
    assert not set(plots.DARK_TWINS) & set(plots.DARK_TWINS.values())


def test_verdict_and_key_figures_lead_the_page():
    text = full().html()
    assert Page(text).of("p", "verdict")[0]["class"] == "verdict bad"
    assert text.index("verdict bad") < text.index('class="keys"') < text.index("<main>")
    compared = Report("x").compare(SCORES, LOSS).html()
    assert "The network is ahead: 1.492 nats per character, against 1.558" in compared
    assert 'class="verdict good"' in compared
    share = Report("x").compare([Score("a", 0.5, role="ours")], Metric("accuracy", "higher", percent=True)).html()
    assert "50.000\u00a0%" in share  # no line breaks between the two


def test_save_replaces_the_page_as_a_whole(tmp_path):
    path = tmp_path / "deep" / "report.html"
    Report("first").save(path)
    assert Report("second").save(path) == path
    assert path.read_text(encoding="utf-8") == Report("second").html()
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(RondoError, match=r"report\.html"):
        Report("third").save(path / "report.html")


def test_unknown_language_mark_and_kind_are_refused():
    with pytest.raises(UsageError, match="unknown report language 'fr'"):
        Report("x", language="fr")
    with pytest.raises(UsageError, match="did you mean 'best'"):
        report_blocks.table(["a"], [["b"]], marks={0: "bset"})
    with pytest.raises(UsageError, match="did you mean 'verse'"):
        report_blocks.samples([], kind="vers")
    with pytest.raises(UsageError, match="1 cells where there are 2 columns"):
        report_blocks.table(["a", "b"], [["c"]])


def test_table_aligns_numbers_and_marks_rows():
    text = report_blocks.table(
        ["name", Column("share", percent=True, digits=1), "n", "note", Column("size", right=True)],
        [
            ["ours", Interval(0.975, 0.961, 0.988), 1234, "x", "1 kB"],
            ["logistic", 0.5, -7, None, "2 kB"],
            ["none", None, np.int64(3), True, "3 kB"],
        ],
        caption="the caption",
        marks={0: ("best", "ours"), 1: "baseline"},
    )
    page = Page(text)
    assert [("number" in (a.get("class") or "")) for a in page.of("td")] == [True, True, False, True] * 3
    assert '97.5 % <span class="interval">[96.1, 98.8 %]</span>' in text
    assert ">1,234<" in text
    assert ">−7<" in text
    assert ">–<" in text
    assert ">yes<" in text
    assert [a.get("class") for a in page.of("tr")] == [None, "best ours", "baseline", None]
    assert [a["class"] for a in page.of("span", "tag")] == ["tag best", "tag ours", "tag baseline"]
    assert "short" in page.of("div")[0]["class"]
    long = report_blocks.table(["a"], [["b"]] * 13)
    assert "short" not in Page(long).of("div")[0]["class"]


def test_scores_are_ranked_and_the_yardstick_does_not_win():
    report = Report("x")
    report.section("s").scores(SCORES, LOSS)
    page = Page(report.html())
    assert [a.get("class") for a in page.of("tr")][1:] == ["yardstick", "best ours", "baseline"]
    assert len(page.of("div", "drawing")) == 1
    plain = Report("x")
    plain.section("s").scores(SCORES, LOSS, bars=False)
    assert Page(plain.html()).of("div", "drawing") == []
    noted = Report("x")
    noted.section("s").scores([*SCORES, Score("n", 9.0, note="published")], LOSS)
    assert "published" in Page(noted.html()).words


def test_sample_sets_the_prompt_apart_even_over_several_lines():
    prose = report_blocks.samples([Sample("Once upon", prompt="Once"), Sample("Other", prompt="Once")])
    assert prose.count('<b class="prompt">Once</b> upon') == 1
    assert prose.count("prompt") == 1
    verse = report_blocks.samples([Sample("明月松間照\n清泉石上流", prompt="明月松間照\n清")], kind="verse")
    assert '<span class="line"><b class="prompt">明月松間照</b></span>' in verse
    assert '<span class="line"><b class="prompt">清</b>泉石上流</span>' in verse
    assert 'lang="zh"' in verse
    couplet = report_blocks.samples([Sample("明月松間照，清泉石上流。\n竹喧", prompt="明月松間照，清")], kind="verse")
    assert '<span class="line"><b class="prompt">明月松間照，</b></span>' in couplet
    assert '<span class="line"><b class="prompt">清</b>泉石上流。</span><span class="line">竹喧</span>' in couplet
    assert "lang=" not in prose
    checked = report_blocks.samples([Sample("x", checks={"rhyme": True, "tone": False})])
    assert '<li class="right">✓ rhyme</li><li class="wrong">✗ tone</li>' in checked


def decode(data):
    """The pixels of a PNG as this module writes them."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, chunks = 8, {}
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack(">I", data[place + 8 + length : place + 12 + length])[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        place += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert depth == 8
    channels = 3 if colour == 2 else 1
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width * channels)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, channels).squeeze()


def test_png_holds_the_pixels_enlarged():
    pixels = np.random.default_rng(0).uniform(0, 16, (8, 6))
    pixels[3, 2] = 16.0
    expected = np.rint(pixels * 255 / 16).astype(np.uint8).repeat(12, 0).repeat(12, 1)
    assert np.array_equal(decode(report_blocks.png(pixels, ink_on_paper=False)), expected)
    assert np.array_equal(decode(report_blocks.png(pixels)), 255 - expected)
    colour = np.random.default_rng(1).integers(0, 256, (120, 97, 3), np.uint8)
    assert np.array_equal(decode(report_blocks.png(colour)), colour)
    assert not decode(report_blocks.png(np.zeros((8, 8)), ink_on_paper=False)).any()
    with pytest.raises(UsageError, match=r"\(2, 3, 4, 5\)"):
        report_blocks.png(np.zeros((2, 3, 4, 5)))


def test_tiles_say_right_or_wrong():
    pixels = np.eye(8)
    text = report_blocks.tiles([Tile(pixels, "7", "7"), Tile(pixels, "7", "9"), Tile(pixels, "7")], language="zh")
    page = Page(text)
    assert [a["alt"] for a in page.of("img")] == ["读作 7, 正确", "读作 7, 错误, 实为 9", "读作 7"]
    assert [a["class"].strip() for a in page.of("figure")] == ["tile right", "tile wrong", "tile"]
    dark = report_blocks.tiles([Tile(pixels, "7")], ink_on_paper=False)
    assert Page(dark).of("img")[0]["src"] != page.of("img")[2]["src"]


def test_provenance_shows_what_is_known():
    report = Report("x").provenance(
        Provenance(seed=7, seconds=3725, command="rondo train text a.txt", data=(DataFile("a.txt", 1_115_394),))
    )
    words = Page(report.html()).words
    for expected in ("7", "1 h 2 min", "rondo train text a.txt", "a.txt", "1.1 MB"):
        assert expected in words
    assert "Started" not in words
    assert "(called from Python)" in Page(Report("x").provenance(Provenance()).html()).words


def test_footer_names_the_version():
    assert any(f"Rondo {rondo.__version__}" in word for word in Page(Report("x").html()).words)
