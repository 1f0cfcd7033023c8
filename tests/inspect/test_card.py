"""The card of a model folder."""

from markdown_it import MarkdownIt

from rondo.inspect import Card, DataFile, Metric, Provenance, Score, write_card
from rondo.inspect.card import DataPart, card_text

HOSTILE = "# x | <script>alert(1)</script> `a` *b* [c](http://evil.example) ![i](http://evil.example/i) $y$\n\n## z"


def card(**changes):
    values = {
        "title": "Tiny Shakespeare",
        "task": "text",
        "cell": "lstm",
        "parameters": 1_234_567,
        "summary": "Writes in the manner of the plays.",
        "data": [DataPart("training", 1_003_854, "characters"), DataPart("validation", 111_540, "characters")],
        "metric": Metric("validation loss", better="lower", unit="nats per character"),
        "scores": [Score("Kneser-Ney", 1.558), Score("The network", 1.492, 1.48, 1.5, role="ours")],
        "shell": ["rondo generate models/shakespeare --prompt 'To be'"],
        "python": "model = rondo.load('models/shakespeare')",
        "equations": r"h_t = \tanh(a_h)",
        "limits": "Knows nothing but one author.",
        "provenance": Provenance(
            seed=3, seconds=600, command="rondo train text a.txt", data=(DataFile("a.txt", 1_115_394),)
        ),
    } | changes
    return Card(**values)


def test_card_says_everything():
    text = card_text(card())
    for expected in (
        "# Tiny Shakespeare",
        "Writes in the manner of the plays.",
        "**The network is ahead: 1.492 nats per character, against 1.558",
        "| The network | 1.492 \\[1.480, 1.500\\] | ours, best |",
        "| Kneser-Ney | 1.558 | baseline |",
        "```sh\nrondo generate models/shakespeare --prompt 'To be'\n```",
        "```python\nmodel = rondo.load('models/shakespeare')\n```",
        "```math\nh_t = \\tanh(a_h)\n```",
        "| Parameters | 1,234,567 |",
        "| training | 1,003,854 characters |",
        "| a.txt | 1.1 MB |",
        "Knows nothing but one author.",
        "| Seed | 3 |",
        "| Time | 10 min 0 s |",
        "```sh\nrondo train text a.txt\n```",
    ):
        assert expected in text
    assert text.index("| The network") < text.index("| Kneser-Ney")
    assert "\n\n\n" not in text


def test_what_is_not_known_is_left_out():
    bare = {"data": (), "scores": (), "shell": (), "python": "", "equations": "", "limits": "", "summary": ""}
    text = card_text(card(**bare, provenance=None))
    assert [line for line in text.splitlines() if line.startswith("#")] == ["# Tiny Shakespeare", "## The model"]
    assert "```" not in text


def test_chinese_card():
    text = card_text(card(language="zh"))
    assert "## 结果" in text
    assert "## 来历" in text
    assert "领先" in text


def test_hostile_text_does_not_become_markup():
    text = card_text(
        card(
            title=HOSTILE,
            summary=HOSTILE,
            limits=HOSTILE,
            scores=[Score(HOSTILE, 1.0, role="ours", note=HOSTILE), Score("b", 2.0)],
            python="x = '''\n````\n# not a heading\n'''",
            provenance=Provenance(command=HOSTILE, data=(DataFile(HOSTILE, 1),)),
        )
    )
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    kinds = [child.type for token in tokens for child in (token.children or [])]
    assert not {"link_open", "image", "html_inline", "code_inline"} & set(kinds)
    assert kinds.count("em_open") == 1  # the last line, which is the card's own
    assert not any(token.type == "html_block" for token in tokens)
    headings = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
    assert headings[1:] == [
        "Results",
        "How to use it",
        "The model",
        "The cell",
        "Data",
        "What it cannot do",
        "Where this comes from",
    ]
    fences = [token for token in tokens if token.type == "fence"]
    assert [fence.info for fence in fences] == ["sh", "python", "math", "sh"]
    assert "# not a heading" in fences[1].content


def test_write_card_puts_it_into_the_folder(tmp_path):
    path = write_card(card(), tmp_path)
    assert path == tmp_path / "README.md"
    assert path.read_text(encoding="utf-8") == card_text(card())
