"""Everything that a person can get wrong, as a table: one clear message, exit code 1 or 2, no traceback, and
whatever stood there before is as it was.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.cli.small import SMALL, Run, contents

TEXT = "The quick brown fox jumps over the lazy dog.\n" * 40
POEMS = "春眠不覺曉，處處聞啼鳥。\n夜來風雨聲，花落知多少。\n\n白日依山盡，黃河入海流。\n欲窮千里目，更上一層樓。\n"


@dataclass(frozen=True)
class Case:
    """A command that must fail; ``{name}`` in it are files that ``prepare`` makes in an empty folder."""

    name: str
    command: str
    said: str
    code: int = 1
    prepare: Callable[[Path], None] | None = None


def write(name: str, content: str | bytes) -> Callable[[Path], None]:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data) and None


def both(*makers: Callable[[Path], None]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for maker in makers:
            maker(folder)

    return make


def folder_with(name: str, file: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).mkdir()
        (folder / name / file).write_text("precious", encoding="utf-8")

    return make


def zip_of_two(folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("one.txt", TEXT)
        archive.writestr("two.txt", TEXT)


TRAIN = "train text a.txt --out m --steps 1"
GOOD = write("a.txt", TEXT)

FILES = (
    Case("missing", TRAIN, "a.txt does not exist"),
    Case("empty", TRAIN, "a.txt is empty", prepare=write("a.txt", "")),
    Case("only a byte order mark", TRAIN, "a.txt is empty", prepare=write("a.txt", b"\xef\xbb\xbf")),
    Case("one character", TRAIN, "the text has 1 character, too few to part", prepare=write("a.txt", "x")),
    Case("a baseline order of 99", f"{TRAIN} --baseline-order 99", "--baseline-order is from 0 (no baseline) to 8", 2),
    Case("a folder", "train text . --out m", ". is a folder"),
    Case("binary", TRAIN, "a.txt", prepare=write("a.txt", bytes(range(256)) * 40)),
    Case("an image", TRAIN, "a.txt", prepare=write("a.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(500))),
    Case("wrongly encoded", f"{TRAIN} --encoding utf-8", "line 1",
         prepare=write("a.txt", "Größe und Maß\n".encode("latin-1") * 50)),
    Case("an encoding that does not exist", f"{TRAIN} --encoding utf-9", "utf-9", code=2, prepare=GOOD),
    Case("damaged compression", "train text a.gz --out m", "a.gz",
         prepare=write("a.gz", gzip.compress(TEXT.encode())[:60])),
    Case("an archive of two files", "train text a.zip --out m", "a.zip", prepare=zip_of_two),
    Case("shorter than a window", f"{TRAIN} --bptt-length 5000", "--bptt-length 5000", prepare=GOOD),
    Case("too short for the batch", f"{TRAIN} --batch-size 900", "--batch-size 900", prepare=GOOD),
    Case("validation file missing", f"{TRAIN} --valid b.txt", "b.txt does not exist", prepare=GOOD),
    Case("test file missing", f"{TRAIN} --test b.txt", "b.txt does not exist", prepare=GOOD),
    Case("texts without classes", "train classify a.txt --out m --steps 1", "a text a line and no classes",
         prepare=GOOD),
    Case("a table that is missing", "train classify a.csv --out m", "a.csv does not exist"),
    Case("a table with a header only", "train classify a.csv --out m", "a header and no rows",
         prepare=write("a.csv", "text,label\n")),
    Case("a table without a column for the class", "train classify a.csv --out m", "which column is the label?",
         prepare=write("a.csv", "text,colour\ngood,1\nbad,2\n")),
    Case("a column that is not there", "train classify a.csv --out m --text-column txt", "did you mean 'text'?",
         prepare=write("a.csv", "text,label\ngood,1\nbad,2\n")),
    Case("a row with a cell too many", "train classify a.csv --out m", "a.csv, line 3: 3 cells",
         prepare=write("a.csv", "text,label\ngood,1\nbad,2,3\n")),
    Case("a row without a class", "train classify a.csv --out m", "a.csv, line 3: there is no label",
         prepare=write("a.csv", "text,label\ngood,1\nbad,\n")),
    Case("a quotation that never ends", "train classify a.csv --out m", "a.csv, line 2: a quotation mark opens",
         prepare=write("a.csv", 'text,label\n"good,1\nbad,2\n')),
    Case("one class only", "train classify a.csv --out m", "all items are of one class, 'x'",
         prepare=write("a.csv", "text,label\n" + "good,x\n" * 30)),
    Case("too few of each class", "train classify a.csv --out m",
         "the 3 items have 3 classes; with 2 items held out, the 1 left to learn from have but one",
         prepare=write("a.csv", "text,label\ngood,x\nbad,y\nso,z\n")),
    Case("columns of a folder", "train classify d --out m --label-column topic", "--label-column is about tables",
         code=2, prepare=folder_with("d", "1.txt")),
    Case("no text to learn first", "train classify a.csv --out m --pretrain no.txt", "rondo: no.txt does not exist",
         prepare=write("a.csv", "text,label\n" + "good,x\nbad,y\n" * 20)),
    Case("a text a line like JSON", "train classify a.txt --out m", "--format lines if it has a text a line",
         prepare=write("a.txt", '{"text": 1, "label": "x"}\n{"text": 2, "label": "y"}\n')),
    Case("a folder of images without classes", "train digits d --out m", "d has no folders in it; expected one",
         prepare=folder_with("d", "1.png")),
    Case("two texts only", "train classify a.csv --out m", "2 items cannot be parted: at least 3 are needed",
         prepare=write("a.csv", "text,label\ngood,x\nbad,y\n")),
    Case("digits that are of one size", "train digits --out m --resize 9 9", "--resize is for pictures", code=2),
    Case("one text only", "train classify a.csv --out m", "1 item cannot be parted",
         prepare=write("a.csv", "text,label\ngood,x\n")),
    Case("blank texts only", "train classify a.csv --out m", "give no vocabulary",
         prepare=write("a.csv", "text,label\n" + '" ",x\n"",y\n' * 30)),
    Case("labels of another length", "train classify a.txt --labels b.txt --out m", "b.txt has 1 labels, a.txt 40",
         prepare=both(GOOD, write("b.txt", "x\n"))),
    Case("a class of the test part that training has not seen", "train classify a.csv --valid b.csv --out m",
         "b.csv, line 3: the label 'z' was not seen in training",
         prepare=both(write("a.csv", "text,label\n" + "good,x\nbad,y\n" * 30),
                      write("b.csv", "text,label\ngood,x\nodd,z\n"))),
    Case("vectors that are none", "train classify a.csv --vectors b.txt --out m", "b.txt holds no word vectors",
         prepare=both(write("a.csv", "text,label\n" + "good,x\nbad,y\n" * 30), write("b.txt", "good bad\n"))),
    Case("vectors that are missing", "train classify a.csv --vectors b.txt --out m", "b.txt does not exist",
         prepare=write("a.csv", "text,label\n" + "good,x\nbad,y\n" * 30)),
    Case("poems without poems", "train poetry a.jsonl --out m --steps 1", "a.jsonl", prepare=write("a.jsonl", "{}\n")),
    Case("poems without empty lines", "train poetry a.txt --out m --steps 1", "an empty line stands between two poems",
         prepare=write("a.txt", POEMS.replace("\n\n", "\n"))),
    Case("poems of characters that hardly come back", "train poetry a.txt --out m --steps 1", "or --min-count 1",
         prepare=write("a.txt", POEMS)),
    Case("poems that are not JSON", "train poetry a.jsonl --out m --steps 1", "line 1",
         prepare=write("a.jsonl", '{"paragraphs": ["白日依山盡，黃河入海流。"\n')),
)  # fmt: skip

WORDS = (
    Case("verb", "trian text a.txt", "did you mean 'train'?", code=2),
    Case("task", "train txt a.txt --out m", "did you mean 'text'?", code=2),
    Case("option", f"{TRAIN} --hiden 5", "did you mean '--hidden'?", code=2, prepare=GOOD),
    Case("option of generate", "generate m --temprature 1", "did you mean '--temperature'?", code=2),
    Case("cell", f"{TRAIN} --cell lstmm", "did you mean 'lstm'?", code=2, prepare=GOOD),
    Case("cell to explain", "explain gur", "did you mean 'gru'?", code=2),
    Case("choice", f"{TRAIN} --optimiser adan", "did you mean 'adam'?", code=2, prepare=GOOD),
    Case("backend", f"{TRAIN} --backend vender", "did you mean 'vendor'?", code=2, prepare=GOOD),
    Case("init", f"{TRAIN} --init ortogonal", "did you mean 'orthogonal'?", code=2, prepare=GOOD),
    Case("metric", f"{TRAIN} --metric val_loss", "did you mean 'valid_loss'?", code=2, prepare=GOOD),
    Case("device", f"{TRAIN} --device gpu", "--device cannot be 'gpu'", code=2, prepare=GOOD),
    Case("a device that is not here", f"{TRAIN} --device cuda:77", "--device cuda", code=2, prepare=GOOD),
    Case("no file", "train text --out m", "needs at least one FILE", code=2),
    Case("no folder", "train text a.txt", "needs --out DIR", code=2, prepare=GOOD),
    Case("no file of signals", "train signals --out m", "needs at least one FILE", code=2),
    Case("no model", "generate", "needs MODEL", code=2),
    Case("no model to predict with", "predict", "needs MODEL", code=2),
    Case("option of classify", "train classify a.csv --out m --max-token 3", "did you mean '--max-tokens'?", code=2),
    Case("a share of all", "train classify a.csv --out m --test-fraction 1", "--test-fraction is at least 0", code=2),
    Case("nothing to watch by", "train classify a.csv --out m --valid-fraction 0", "--valid-fraction is between", 2),
    Case("no tokens", "train classify a.csv --out m --max-tokens 0", "--max-tokens is at least 1", code=2),
    Case("a read-out that is none", "train classify a.csv --out m --readout men", "did you mean 'mean'?", code=2),
    Case("no cell", "explain", "needs CELL", code=2),
    Case("option of signals", "train signals a.ts --out m --scalin each", "did you mean '--scaling'?", code=2),
    Case("less than no noise", "train signals a.ts --out m --noise -1", "--noise is at least 0", code=2),
    Case("an order that is none", "train digits --out m --order row", "did you mean 'rows'?", code=2),
    Case("classes of no images", "train digits --out m --labels l.idx", "--labels names the classes of a FILE", 2),
    Case("a number", f"{TRAIN} --layers two", "--layers needs a whole number, not 'two'", code=2, prepare=GOOD),
    Case("out of range", f"{TRAIN} --learning-rate -1", "--learning-rate must be above 0", code=2, prepare=GOOD),
    Case("not a number", f"{TRAIN} --learning-rate nan", "--learning-rate must be above 0", code=2, prepare=GOOD),
    Case("no layers", f"{TRAIN} --layers 0", "layers", code=2, prepare=GOOD),
    Case("nothing held out", f"{TRAIN} --valid-fraction 0", "--valid-fraction", code=2, prepare=GOOD),
    Case("options that exclude each other", f"{TRAIN} --momentum 0.9", "--momentum has no meaning", code=2,
         prepare=GOOD),
    Case("a projection without one", f"{TRAIN} --projection 8", "projection", code=2, prepare=GOOD),
    Case("resume and overwrite", f"{TRAIN} --resume --overwrite", "--resume", code=2, prepare=GOOD),
    Case("two forms at once", "explain gru --latex --json", "--latex and --json", code=2),
    Case("sizes", "explain gru --hidden 0", "--hidden must be at least 1", code=2),
    Case("a size without the one it needs", "explain gru --input 3", "--input needs --hidden", code=2),
    Case("an option by its flag", f"{TRAIN} --layer-dropout 2", "rondo: --layer-dropout is a prob", code=2,
         prepare=GOOD),
    Case("a file of cells that is not there", "explain cells.py:mine", "no file 'cells.py'", code=2),
    Case("a cell that is not in the file", "explain a.py:mine", "mine", code=1, prepare=write("a.py", "mine = 3\n")),
    Case("a file of cells with a slip", "explain a.py:mine", "a.py:2", prepare=write("a.py", "\ndef mine(:\n")),
    Case("a cell that breaks", "explain a.py", "a.py", prepare=write("a.py", "raise KeyError('oh')\n")),
    Case("a cell with what the language lacks", "explain a.py:mine", "a.py:5", prepare=write(
        "a.py", "from rondo.cells import *\n@cell\ndef mine(x, h):\n    a = tanh(affine('a', x, h))\n"
        "    return State(h=a if a > 0 else h)\n")),
    Case("options file missing", f"{TRAIN} --config o.toml", "cannot read o.toml", code=2, prepare=GOOD),
    Case("options file not TOML", f"{TRAIN} --config o.toml", "o.toml is not TOML", code=2,
         prepare=both(GOOD, write("o.toml", "hidden: 3\n"))),
    Case("options file binary", f"{TRAIN} --config o.toml", "o.toml is not UTF-8", code=2,
         prepare=both(GOOD, write("o.toml", b"\xff\xfe\x00"))),
    Case("unknown option in the file", f"{TRAIN} --config o.toml", "o.toml: unknown option 'hiden'; did you mean",
         code=2, prepare=both(GOOD, write("o.toml", "hiden = 3\n"))),
    Case("wrong type in the file", f"{TRAIN} --config o.toml", "o.toml: hidden needs a whole number", code=2,
         prepare=both(GOOD, write("o.toml", "[model]\nhidden = 'many'\n"))),
)  # fmt: skip

FOLDERS = (
    Case("output is a file", "train text a.txt --out a.txt", "a.txt is a file", code=2, prepare=GOOD),
    Case("output holds something else", TRAIN, "m holds something other", code=2,
         prepare=both(GOOD, folder_with("m", "thesis.tex"))),
    Case("output holds something else, and overwrite", f"{TRAIN} --overwrite", "m holds something other", code=2,
         prepare=both(GOOD, folder_with("m", "thesis.tex"))),
    Case("output holds something else, and resume", f"{TRAIN} --resume", "m holds something other", code=2,
         prepare=both(GOOD, folder_with("m", "config.json"))),
    Case("digits into something else", "train digits --out m", "m holds something other", code=2,
         prepare=folder_with("m", "thesis.tex")),
    Case("demo into something else", "demo --out m", "something other", code=2, prepare=lambda f: both(
        lambda g: (g / "m").mkdir(), folder_with("m/text", "thesis.tex"))(f)),
    Case("model is not there", "generate m", "there is no model at m"),
    Case("model to predict with is not there", "predict m a.txt", "there is no model at m", prepare=GOOD),
    Case("model is a file", "evaluate a.txt a.txt", "a.txt is a file", prepare=GOOD),
    Case("model is an empty folder", "info m", "config.json and model.safetensors missing",
         prepare=lambda folder: (folder / "m").mkdir()),
    Case("model is another folder", "info m", "not a complete model", prepare=folder_with("m", "thesis.tex")),
    Case("diagram into no folder", "explain gru --svg a.txt/x.svg", "cannot write a.txt/x.svg", prepare=GOOD),
)  # fmt: skip


def check(rondo: Run, words: list[str], said: str, code: int, folder: Path) -> None:
    before = contents(folder)
    ended = rondo(*words)
    assert said in ended.err, ended.err
    assert ended.code == code
    assert ended.err.startswith("rondo: ")
    assert len(ended.err.splitlines()) == 1, ended.err
    assert "bug in Rondo" not in ended.err
    assert ended.out == ""
    assert contents(folder) == before


@pytest.mark.parametrize("case", [*FILES, *WORDS, *FOLDERS], ids=lambda case: case.name)
def test_bad_input(case: Case, rondo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if case.prepare is not None:
        case.prepare(tmp_path)
    quiet = ["--quiet"] if case.command.startswith(("train", "demo")) else []
    check(rondo, [*case.command.split(), *quiet], case.said, case.code, tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read(rondo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    GOOD(tmp_path)
    (tmp_path / "a.txt").chmod(0)
    ended = rondo(*TRAIN.split(), "--quiet")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "a.txt" in ended.err
    assert "ermission" in ended.err


def test_a_file_that_fails_while_it_is_read(rondo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For root, and for disks that break: /proc/self/mem can be opened, and reading it fails."""
    if not Path("/proc/self/mem").exists():
        pytest.skip("needs /proc/self/mem, a file that cannot be read")
    monkeypatch.chdir(tmp_path)
    check(rondo, ["train", "text", "/proc/self/mem", "--out", "m", "--quiet"], "/proc/self/mem", 1, tmp_path)


# Models that were damaged, made by a newer version, or made to harm.


class Trap:
    """Unpickling this writes a file."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.ran), "w")


def cut(name: str, share: float = 0.5) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        data = (model / name).read_bytes()
        (model / name).write_bytes(data[: int(len(data) * share)])

    return change


def flip(model: Path) -> None:
    data = bytearray((model / "model.safetensors").read_bytes())
    data[-20] ^= 0xFF
    (model / "model.safetensors").write_bytes(data)


def remove(name: str) -> Callable[[Path], None]:
    return lambda model: (model / name).unlink()


def replaced(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda model: (model / name).write_bytes(content) and None


def configured(**changes: object) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        path = model / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def network(**changes: object) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        own = json.loads((model / "config.json").read_text())["network"]
        configured(network={**own, **changes})(model)

    return change


def other_weights(model: Path) -> None:
    save_file({"embedding.weight": torch.zeros(3, 3)}, model / "model.safetensors")
    digest = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    configured(weights_sha256=digest)(model)


def pickled(name: str) -> Callable[[Path], None]:
    return lambda model: (model / name).write_bytes(pickle.dumps(Trap(model.parent / "ran"))) and None


def torch_saved(model: Path) -> None:
    torch.save({"weight": Trap(model.parent / "ran")}, model / "model.safetensors")


def pickled_array(model: Path) -> None:
    """An array of objects is a pickle inside a .npy inside the .npz."""
    import numpy as np

    array = np.empty(1, dtype=object)
    array[0] = Trap(model.parent / "ran")
    np.savez(model / "baseline.npz", counts=array, allow_pickle=True)


def only_a_pickle(model: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "checkpoint.safetensors").unlink()
    pickled("pytorch_model.bin")(model)


@dataclass(frozen=True)
class Damage:
    name: str
    change: Callable[[Path], None]
    said: str


DAMAGES = (
    Damage("no weights", remove("model.safetensors"), "model.safetensors missing. Training was interrupted"),
    Damage("no configuration", remove("config.json"), "config.json missing"),
    Damage("no vocabulary", remove("vocabulary.json"), "vocabulary.json"),
    Damage("weights cut off", cut("model.safetensors"), "model.safetensors"),
    Damage("weights empty", replaced("model.safetensors", b""), "model.safetensors"),
    Damage("weights with a wrong bit", flip, "checksum"),
    Damage("weights of another model", other_weights, "do not belong to its config.json"),
    Damage("configuration cut off", cut("config.json"), "config.json"),
    Damage("configuration not text", replaced("config.json", b"\xff\xfe\x00\x80"), "config.json"),
    Damage("configuration of something else", replaced("config.json", b'{"architectures": ["Bert"]}'), "config.json"),
    Damage("configuration without network", configured(network={}), "config.json"),
    Damage("vocabulary cut off", cut("vocabulary.json"), "vocabulary.json"),
    Damage("vocabulary not one", replaced("vocabulary.json", b"[1, 2]"), "vocabulary.json"),
    Damage("baseline cut off", cut("baseline.npz"), "baseline.npz"),
    Damage("baseline not one", replaced("baseline.npz", b"no"), "baseline.npz"),
    Damage("a cell that is none", network(cell={"name": "gru", "graph": {"nodes": []}}), "cell"),
    Damage("a cell named as a file", network(cell="cells.py:mine"), "m/config.json does not describe"),
    Damage("made by a newer version", configured(format=99, rondo="9.0"), "Rondo 9.0"),
    Damage("an unknown task", configured(task="txt"), "did you mean 'text'?"),
    Damage("a pickle for weights", pickled("model.safetensors"), "pickle"),
    Damage("torch.save for weights", torch_saved, "pickle"),
    Damage("a pickle beside no weights", only_a_pickle, "pickle"),
    Damage("a pickle for the configuration", pickled("config.json"), "config.json"),
    Damage("a pickle for the vocabulary", pickled("vocabulary.json"), "vocabulary.json"),
    Damage("a pickle for the baseline", pickled("baseline.npz"), "baseline.npz"),
    Damage("a pickle in the baseline", pickled_array, "baseline.npz"),
)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_damaged_and_hostile_models(
    damage: Damage, rondo: Run, text_model: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(text_model, "m")
    damage.change(tmp_path / "m")
    check(rondo, ["generate", "m", "--length", "1"], damage.said, 1, tmp_path)
    assert not (tmp_path / "ran").exists()


def test_the_trap_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "ran"))).close()
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("verb", ["generate", "evaluate", "info", "explain"])
def test_every_verb_that_reads_a_model_refuses_a_pickle(
    verb: str, rondo: Run, text_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "m"
    shutil.copytree(text_model, folder)
    pickled("config.json" if verb == "explain" else "model.safetensors")(folder)
    ended = rondo(verb, folder, *([folder / "README.md"] if verb == "evaluate" else []))
    assert (ended.code, ended.out) == (1, "")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--temperature -1", "temperature"),
        ("--temperature nan", "temperature"),
        ("--top-p 0", "--top-p"),
        ("--top-k -1", "--top-k"),
        ("--repetition-penalty 0", "--repetition-penalty"),
        ("--samples 0", "samples"),
        ("--length -1", "length"),
        ("--seed -1", "--seed"),
        ("--threads 0", "--threads"),
        ("--device tpu", "--device cannot be 'tpu'"),
        ("--device cuda:77", "not on this machine"),
        ("--form 五言绝句", "--form is for models of poetry"),
        ("--acrostic 春夏秋冬", "--acrostic is for models of poetry"),
        ("--no-rhyme", "--rhyme is for models of poetry"),
    ],
)
def test_bad_wishes_when_writing(words: str, said: str, rondo: Run, text_model: Path) -> None:
    check(rondo, ["generate", str(text_model), *words.split()], said, 2, text_model)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "at least one FILE"),
        ("a.txt --samples 3", "--samples has no meaning"),
        ("a.txt --form 五言绝句", "--form has no meaning"),
    ],
)
def test_bad_wishes_when_scoring(words: str, said: str, rondo: Run, text_model: Path) -> None:
    check(rondo, ["evaluate", str(text_model), *words.split()], said, 2, text_model)


def test_digits_do_not_write_and_are_no_texts(rondo: Run, digit_model: Path, text: Path) -> None:
    check(rondo, ["generate", str(digit_model)], "reads and does not write", 2, digit_model)
    check(rondo, ["evaluate", str(digit_model), str(text)], "is no idx file", 1, digit_model)
    check(rondo, ["predict", str(digit_model)], "they cannot be piped in", 2, digit_model)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("--length 3", 2, "--length is for models of text"),
        ("--form 五言绝诗", 2, "五言绝诗"),
        ("--form 五言绝句 --acrostic 春夏秋冬春", 2, "acrostic"),
        ("--first-line 明月", 2, "明月"),
    ],
)
def test_bad_wishes_for_poems(words: str, code: int, said: str, rondo: Run, poetry_model: Path) -> None:
    check(rondo, ["generate", str(poetry_model), *words.split()], said, code, poetry_model)


@pytest.mark.parametrize("extra", [[], ["--overwrite", "--resume"], ["--resume", "--hidden", "13"]])
def test_a_model_is_not_written_over(extra: list[str], rondo: Run, text_model: Path, text: Path) -> None:
    command = ["train", "text", str(text), "--out", str(text_model), "--steps", "9", "--bptt-length", "20", *SMALL]
    check(rondo, [*command, *extra, "--quiet"], "--hidden was" if "--hidden" in extra else "", 2, text_model)
