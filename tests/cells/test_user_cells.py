"""A user's own cell: from a file, with options, saved and loaded without it; and what is refused, in which words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rondo.cells import Cell, State, cell, get_cell, registry
from rondo.errors import CellError, RondoError, UsageError

GOOD = '''\
"""My cells."""
import math
import numpy as np
import torch
from rondo.cells import State, affine, cell, layer_norm, maximum, project, recur, sigmoid, tanh, vector, where

SCALE = 2.0

def leaky(a, slope):
    return where(a > 0, a, slope * a)

@cell(keep="z", forget_bias=1.0)
def mine(x, h, *, slope=0.1):
    """A leaky cell of my own."""
    z = sigmoid(affine("z", x, h))
    n = leaky(project("n", x) + recur("n", SCALE * h), slope)
    return State(h=z * h + (1 - z) * n)
'''


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my_cells.py"
    path.write_text(GOOD, encoding="utf-8")
    return path


def test_a_cell_from_a_file(file: Path) -> None:
    for reference in ("my_cells.py:mine", "my_cells.py", f"{file}:mine"):
        made = get_cell(reference)
        assert made.name == "mine"
        assert made.documentation == "A leaky cell of my own."
        assert made.options == {"slope": 0.1}
    assert list(made.graph.names) == ["z", "n"]


def test_options_change_the_result_and_are_checked(file: Path) -> None:
    made, other = get_cell("my_cells.py:mine"), get_cell("my_cells.py:mine", slope=0.5)
    assert not made.graph.same_as(other.graph)
    sizes = {"input": 3, "hidden": 4}
    weights = {p.name: torch.randn(p.shape(sizes)) for p in made.parameters}
    x, state = torch.randn(2, 3), State(h=torch.randn(2, 4))
    assert not torch.equal(made.bind(weights, sizes)(x, state).h, other.bind(weights, sizes)(x, state).h)
    assert get_cell("my_cells.py:mine", slope=1).options == {"slope": 1}  # an int where a float stands
    with pytest.raises(UsageError, match="no option 'slop'; did you mean 'slope'"):
        get_cell("my_cells.py:mine", slop=0.5)
    with pytest.raises(UsageError, match=r"expected something like 0\.1"):
        get_cell("my_cells.py:mine", slope="steep")


def test_a_saved_cell_runs_where_its_file_is_not(file: Path) -> None:
    made = get_cell("my_cells.py:mine", slope=0.3)
    torch.manual_seed(0)
    sizes = {"input": 3, "hidden": 4}
    weights = {p.name: torch.randn(p.shape(sizes)) for p in made.parameters}
    expected = made.bind(weights, sizes)(torch.ones(2, 3), State(h=torch.ones(2, 4))).h
    torch.save({"weights": weights, "expected": expected}, "tensors.pt")
    Path("cell.json").write_text(json.dumps(made.to_json()), encoding="utf-8")
    file.unlink()
    program = """
import json, torch
from rondo.cells import Cell, State
data = torch.load("tensors.pt")
cell = Cell.from_json(json.load(open("cell.json")))
h = cell.bind(data["weights"], {"input": 3, "hidden": 4})(torch.ones(2, 3), State(h=torch.ones(2, 4))).h
print(torch.equal(h, data["expected"]), cell.options, cell.documentation, cell.initialisation.keep)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True {'slope': 0.3} A leaky cell of my own. z", done.stderr


def test_a_loaded_cell_has_no_options_left_to_set(file: Path) -> None:
    loaded = Cell.from_json(get_cell("my_cells.py:mine").to_json())
    with pytest.raises(UsageError, match="has no option 'slope'; it has none"):
        loaded.with_options(slope=0.2)
    assert loaded.with_options().graph.same_as(loaded.graph)


# What the language does not have. Each body is put into a cell `mine(x, h)` whose first line of body is line 4
# of the file; the error must name the file, the line, and say these words.

BODIES: dict[str, tuple[str, int, str]] = {
    "if on a value": ("if h > 0:\n    h = -h\nreturn State(h=h)", 4, "a decision on a value .* use where"),
    "and": ("return State(h=h > 0 and h)", 4, "a decision on a value"),
    "not": ("a = not h\nreturn State(h=h)", 4, "a decision on a value"),
    "max": ("return State(h=max(h, project('a', x)))", 4, "a decision on a value .*max"),
    "while": ("while h < 1:\n    h = h + 1\nreturn State(h=h)", 4, "a decision on a value"),
    "chained comparison": ("return State(h=where(0 < h < 1, h, 0.0))", 4, "a decision on a value"),
    "torch.sigmoid": ("return State(h=torch.sigmoid(h))", 4, "torch's 'sigmoid' .*did you mean 'sigmoid'"),
    "torch.nn.functional": ("return State(h=torch.nn.functional.relu(h))", 4, "torch's 'relu'|relu"),
    "np.sin": ("return State(h=np.sin(h))", 4, "NumPy's 'sin' is not in the cell language; known: .*sigmoid.*maximum"),
    "torch.sin": ("return State(h=torch.sin(h))", 4, "torch's 'sin' is not in the cell language; known: .*sigmoid"),
    "np.tanh": ("return State(h=np.tanh(h))", 4, "NumPy's 'tanh' .*did you mean 'tanh'"),
    "np.mean": ("return State(h=np.mean(h))", 4, "'mean'|attribute|NumPy"),
    "array times value": ("return State(h=np.ones(3) * h)", 4, "NumPy's 'multiply'"),
    "tensor times value": ("return State(h=torch.ones(3) * h)", 4, "torch's 'mul'"),
    "value times tensor": ("return State(h=h * torch.ones(3))", 4, "not with Tensor"),
    "math.sin": ("return State(h=math.sin(h))", 4, "turning a value into a number .*math"),
    "float": ("return State(h=float(h) * h)", 4, "turning a value into a number"),
    "indexing": ("return State(h=h[:, :3])", 4, "indexing is not .* its own name"),
    "assigning to an index": ("h[0] = 1.0\nreturn State(h=h)", 4, "item assignment"),
    "matrix product": ("return State(h=h @ x)", 4, "'@' is not .* project, recur and product"),
    "power": ("return State(h=h ** 2)", 4, r"'\*\*' is not .* a \* a"),
    "number to a value": ("return State(h=2 ** h)", 4, r"'\*\*'"),
    "floor division": ("return State(h=h // 2)", 4, "//.* not in the cell language"),
    "remainder": ("return State(h=h % 2)", 4, "%.* not in the cell language"),
    "abs": ("return State(h=abs(h))", 4, r"abs\(\).* not in the cell language"),
    "and by bits": ("return State(h=where((h > 0) & (h < 1), h, x))", 4, "&.* not in the cell language"),
    "round": ("return State(h=round(h))", 4, "round"),
    "equality": ("return State(h=where(h == 0, h, 1.0))", 4, "'==' is not .* compare with"),
    "inequality": ("return State(h=where(h != 0, h, 1.0))", 4, "'!=' is not .* compare with"),
    "unknown name": ("return State(h=sigmoyd(h))", 4, "'sigmoyd' is not defined; did you mean 'sigmoid'"),
    "unknown name of the language": ("return State(h=projekt('a', x))", 4, "'projekt' .*did you mean 'project'"),
    "unknown attribute": ("return State(h=h.sigmoid())", 4, "the attribute '.sigmoid' .*did you mean 'sigmoid'"),
    "attribute of tensors": ("return State(h=h.view(-1))", 4, "the attribute '.view' is not in the cell language"),
    "shape": ("return State(h=h * h.shape[0])", 4, "the attribute '.shape'"),
    "setting an attribute": ("h.name = 'h'\nreturn State(h=h)", 4, "attribute"),
    "length": ("return State(h=h * len(h))", 4, r"len\(\) of a value"),
    "loop over a value": ("for part in h:\n    pass\nreturn State(h=h)", 4, "a loop over a value"),
    "unpacking": ("a, b = h\nreturn State(h=a)", 4, "a loop over a value"),
    "in": ("a = h in [1, 2]\nreturn State(h=h)", 4, "'==' is not"),
    "key of a dict": ("memory = {h: 1}\nreturn State(h=h)", 4, "unhashable"),
    "list in arithmetic": ("return State(h=h + [1.0])", 4, "with its values and with numbers, not with list"),
    "text in arithmetic": ("return State(h='a' * h)", 4, "not with str"),
    "None in arithmetic": ("return State(h=h - None)", 4, "not with NoneType"),
    "truth in arithmetic": ("return State(h=h * True)", 4, "not with bool"),
    "complex numbers": ("return State(h=h * 1j)", 4, "not with complex"),
    "comparison in arithmetic": ("return State(h=h * (h > 0))", 4, "a comparison is not a number"),
    "condition that is a value": ("return State(h=where(h, h, 0.0))", 4, "decides by a comparison"),
    "comparison as state": ("return State(h=h > 0)", 2, "does not depend"),
    "infinite constant": ("return State(h=h + float('inf'))", 4, "finite number"),
    "zero division": ("return State(h=h * (1 / 0))", 4, "ZeroDivisionError"),
    "input plus state": ("return State(h=x + h)", 4, "widths 'input' and 'hidden' do not go together"),
    "mean of a mean": ("return State(h=mean(mean(h)))", 4, "has none"),
    "gate without a name": ("return State(h=affine(x, h, h))", 4, "the name of a gate .* is a word like 'r'"),
    "gate named by a sentence": ("return State(h=affine('my gate', x, h))", 4, "is a word like 'r'"),
    "gate named by a number": ("return State(h=project(1, x))", 4, "is a word like 'r'"),
    "one name, two operands": ("return State(h=recur('a', h) + recur('a', h * h))", 4, "two different values"),
    "one name, two widths": ("return State(h=product('a', h) + product('a', x))", 4, "differs in width|two different"),
    "one vector, two starts": ("return State(h=h * vector('p') + vector('p', init=1.0))", 4, "initial value"),
    "matrix of a number": ("return State(h=recur('a', 1.0))", 4, "multiplies a value as wide as"),
    "matrix of a mean": ("return State(h=recur('a', mean(h)))", 4, "multiplies a value as wide as"),
    "unknown width": ("return State(h=product('a', h, to='output'))", 4, "to 'hidden' or 'projection'"),
    "missing argument": ("return State(h=affine('a', x))", 4, "missing 1 required positional argument"),
    "option of a word": ("return State(h=recur('a', h, head=2))", 4, "unexpected keyword argument 'head'"),
    "no state": ("return tanh(affine('a', x, h))", 2, r"a cell returns State\(h=...\), not"),
    "nothing returned": ("affine('a', x, h)", 2, "not NoneType"),
    "tuple returned": ("return h, h", 2, "not tuple"),
    "missing part": ("return State(c=h)", 2, "takes the state h and returns c"),
    "part too many": ("return State(h=h, c=h)", 2, "takes the state h and returns h, c"),
    "number as state": ("return State(h=0.0)", 2, "the new state 'h' is 0.0"),
    "vector as state": ("return State(h=vector('p'))", 2, "does not depend on the sequence"),
    "positional state": ("return State(h)", 4, "positional argument"),
    "unset variable": ("a = a + 1\nreturn State(h=h)", 4, "'a'"),
    "error of one's own": ("raise ValueError('my words')", 4, "ValueError: my words"),
    "changing a state": ("s = State(h=h)\ns.h = x\nreturn s", 5, "make a new State"),
}  # fmt: skip

HEADER = "import math; import numpy as np; import torch; from rondo.cells import *\n@cell\ndef mine(x, h):\n"


@pytest.mark.parametrize("case", BODIES)
def test_refusals_name_file_line_and_op(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body, line, words = BODIES[case]
    monkeypatch.chdir(tmp_path)
    indented = "".join(f"    {text}\n" for text in body.splitlines())
    Path("own.py").write_text(HEADER + indented, encoding="utf-8")
    with pytest.raises(CellError, match=words) as caught:
        get_cell("own.py:mine")
    message = str(caught.value)
    assert message.startswith(f"own.py:{line}, cell 'mine': "), message
    assert "Symbol" not in message, message
    assert "\n" not in message, message


SIGNATURES = {
    "no state": ("def mine(x):\n    return State(h=x)", "f\\(x, h\\)"),
    "no h": ("def mine(x, c):\n    return State(c=c)", "named h"),
    "option without default": ("def mine(x, h, *, k):\n    return State(h=h)", "option 'k' .* needs a default"),
    "variable arguments": ("def mine(x, *h):\n    return State(h=x)", "f\\(x, h\\)|at least one part"),
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_refused_signatures(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, words = SIGNATURES[case]
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(f"from rondo.cells import *\n@cell\n{text}\n", encoding="utf-8")
    with pytest.raises(RondoError, match=words):
        get_cell("own.py:mine")


def test_a_lambda_has_no_name() -> None:
    with pytest.raises(CellError, match="def, not lambda"):
        cell(lambda x, h: State(h=h))


def test_the_line_is_the_user_s_when_the_error_is_in_a_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    helper = "def helper(a):\n    return a ** 2\n"
    text = f"from rondo.cells import *\n{helper}\n@cell\ndef mine(x, h):\n    return State(h=helper(h))\n"
    Path("own.py").write_text(text, encoding="utf-8")
    with pytest.raises(CellError, match=r"own.py:3, cell 'mine': '\*\*'"):
        get_cell("own.py")


FILES = {
    "absent.py:mine": ("", "no file 'absent.py'"),
    "own.py:other": (GOOD, "name the cell, own.py:NAME; 'other' is not one"),
    "own.py:mien": (GOOD, "did you mean 'mine'"),
    "own.py:leaky": (GOOD, "'leaky' in own.py is not a cell: mark the function with @cell"),
    "own.py": ("x = 1\n", "own.py has no cell"),
    "own.py:gru": ("def gru(x, h:\n", r"own.py:1: "),
    "own.py:a": ("import no_such_module\n", "running own.py failed: ModuleNotFoundError: .*no_such_module"),
    "own.txt:a": (GOOD, "not a Python file"),
    "gruu": ("", "unknown cell 'gruu'; did you mean 'gru'"),
    "": ("", "unknown cell ''"),
}


@pytest.mark.parametrize("reference", FILES)
def test_files_that_cannot_be_used(reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, words = FILES[reference]
    monkeypatch.chdir(tmp_path)
    if text:
        Path(reference.partition(":")[0]).write_text(text, encoding="utf-8")
    with pytest.raises(RondoError, match=words):
        get_cell(reference)


def test_two_cells_in_a_file_must_be_named(file: Path) -> None:
    second = "@cell\ndef second(x, h):\n    return State(h=tanh(affine('a', x, h)))\n"
    file.write_text(GOOD + second, encoding="utf-8")
    assert get_cell("my_cells.py:second").name == "second"
    with pytest.raises(UsageError, match=r"name the cell, my_cells\.py:NAME"):
        get_cell("my_cells.py")


def test_wrong_options_of_a_shipped_cell_keep_their_own_words() -> None:
    with pytest.raises(UsageError, match=r"^nonlinearity is tanh or relu, not 'sin'$"):
        get_cell("rnn", nonlinearity="sin")
    with pytest.raises(UsageError, match="cell 'gru' has no option 'heads'; it has none"):
        get_cell("gru", heads=2)


DAMAGED = [None, [], {}, {"graph": {}}, {"name": "a"}, "gru"]


@pytest.mark.parametrize("data", DAMAGED, ids=repr)
def test_damaged_cells_are_refused(data: object) -> None:
    with pytest.raises(CellError):
        Cell.from_json(data)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [{"name": "a b"}, {"name": 3}, {"name": "\x1b[31m"}, {"documentation": 3}, {"options": 3},
     {"initialisation": {"keep": 3}}, {"initialisation": {"forget_bias": "x"}}, {"initialisation": 7}],
    ids=repr,
)  # fmt: skip
def test_damaged_entries_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(CellError, match="a damaged cell"):
        Cell.from_json({**registry["gru"].to_json(), **change})
