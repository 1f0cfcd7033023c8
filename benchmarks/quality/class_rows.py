"""Rows of the quality table about classes of texts, signals and images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from row import DATA, Row, no_files

UCR = (
    "Adiac", "CBF", "ECG200", "FaceAll", "FiftyWords", "GunPoint", "ItalyPowerDemand", "OSULeaf", "SwedishLeaf",
    "SyntheticControl", "Trace",
)  # fmt: skip
UCR_OPTIONS: dict[str, Any] = {"minutes": 2.5, "evaluations": 4, "conv_channels": 96, "conv_stride": 2}
UCR_SETS = {name: (f"ucr/{name}_TRAIN.tsv.xz", f"ucr/{name}_TEST.tsv.xz") for name in UCR}
SENTENCES = {"text_column": "1", "label_column": "2"}
MNIST_TEST = {"test": str(DATA / "mnist/t10k-images-idx3-ubyte.gz")}


def _sentences(folder: Path) -> list[str]:
    return [str(DATA / "sst2/train.tsv.gz")]


def _hotels(folder: Path) -> list[str]:
    return [str(next((DATA / "chnsenticorp_htl").glob("*.csv*")))]


def _films(folder: Path) -> list[str]:
    return [str(path) for path in sorted((DATA / "imdb").glob("train*"))]


def _mnist(folder: Path) -> list[str]:
    return [str(DATA / "mnist/train-images-idx3-ubyte.gz")]


def _vowels(folder: Path) -> list[str]:
    return [str(DATA / "japanese_vowels/JapaneseVowels_TRAIN.ts.gz")]


def _motions(folder: Path) -> list[str]:
    return [str(_subjects("odd", folder))]


def _subjects(which: str, folder: Path) -> Path:
    """The inertial signals of the subjects with odd or even numbers."""
    path = folder / f"{which}.npz"
    with np.load(DATA / "utd_mhad/inertial.npz") as arrays:
        chosen = arrays["subject"] % 2 == (which == "odd")
        steps = np.repeat(chosen, arrays["length"])
        own = {name: arrays[name][chosen] for name in ("length", "action", "subject")}
        np.savez(path, data=arrays["data"][steps], **own)
    return path


CLASS_ROWS = (
    Row(
        "sst2", "classify", _sentences,
        {
            **SENTENCES, "valid": str(DATA / "sst2/dev.tsv.gz"), "test": str(DATA / "sst2/test.tsv.gz"),
            "minutes": 10.0, "hidden": 64, "embedding": 64, "input_dropout": 0.5, "token_dropout": 0.3, "ensemble": 8,
            "metric": "valid_accuracy", "patience": None,
        },
        "score", "at least 82.5 %, and above TF-IDF (about 81.7 %)",
    ),
    Row(
        "hotel", "classify", _hotels,
        {
            "text_column": "review", "label_column": "label", "test_fraction": 0.2, "steps": 400, "cell": "gru",
            "hidden": 64, "embedding": 64, "pair_embedding": 64, "shortcut": True, "input_dropout": 0.5,
            "token_dropout": 0.3, "warmup_steps": 30, "hold": 0.0, "averaging": "ema", "ema_decay": 0.98,
            "average_start": 0.2, "ensemble": 8, "epsilon": 1.25e-5, "weight_decay": 4.0, "patience": None,
        },
        "score", "at least 91.5 % (TF-IDF: about 89.3 %)",
    ),
    Row(
        "imdb", "classify", _films,
        {
            "test": str(DATA / "imdb/test.jsonl.xz"), "text_column": "text", "label_column": "label",
            "minutes": 60.0, "cell": "gru", "hidden": 96, "embedding": 96, "pair_embedding": 64, "min_pair_count": 5,
            "shortcut": True, "input_dropout": 0.5, "token_dropout": 0.2, "averaging": "ema", "ema_decay": 0.99,
            "average_start": 0.3, "ensemble": 3, "patience": None,
        },
        "score", "at least 91 %, and above TF-IDF (about 90.5 %)",
    ),
    Row(
        "mnist-rows", "digits", _mnist,
        {
            **MNIST_TEST, "minutes": 10.0, "cell": "lstm", "bidirectional": False, "hidden": 192, "batch_size": 128,
            "learning_rate": 4e-3, "shift": 1.0,
        },
        "score", "an LSTM in one direction: at least 99.0 %",
    ),
    Row(
        "mnist-best", "digits", _mnist,
        {
            **MNIST_TEST, "minutes": 30.0, "order": "both", "hidden": 128, "layers": 2, "readout": "concat",
            "conv_channels": 64, "conv_layers": 1, "conv_kernel": 3, "batch_size": 128, "learning_rate": 3e-3,
            "shift": 1.5, "rotate": 10.0, "zoom": 0.1, "averaging": "ema",
        },
        "score", "at least 99.4 %",
    ),
    Row(
        "mnist-pixels", "digits", _mnist,
        {
            **MNIST_TEST, "minutes": 60.0, "order": "pixels", "cell": "gru", "bidirectional": False, "hidden": 96,
            "readout": "concat", "batch_size": 32, "learning_rate": 8e-3, "warmup_steps": 500, "output_dropout": 0.1,
        },
        "score", "at least 98 %",
    ),
    Row(
        "mnist-permuted", "digits", _mnist,
        {
            **MNIST_TEST, "minutes": 60.0, "order": "pixels", "permute": 0, "cell": "gru", "bidirectional": False,
            "hidden": 96, "readout": "concat", "batch_size": 32, "learning_rate": 1e-2, "warmup_steps": 500,
            "output_dropout": 0.1,
        },
        "score", "at least 93 %",
    ),
    Row(
        "ucr", "signals", no_files, UCR_OPTIONS, "score",
        "mean of 11 sets at least 81.3 % (1-NN: 77.3 %); at least 1-NN on 9 of 11, nowhere more than 5 points below",
        sets=UCR_SETS,
    ),
    Row(
        "ucr-plain", "signals", no_files, {**UCR_OPTIONS, "conv_channels": 0}, "score",
        "none: the same without the convolutions before the layers",
        sets=UCR_SETS,
    ),
    Row(
        "japanese-vowels", "signals", _vowels,
        {"minutes": 1.0, "test": str(DATA / "japanese_vowels/JapaneseVowels_TEST.ts.gz")},
        "score", "at least 98 %", seeds=3,
    ),
    Row(
        "utd-mhad", "signals", _motions,
        {
            "minutes": 4.0, "label_column": "action", "group_column": "subject", "conv_stride": 2,
            "valid_fraction": 0.25, "ensemble": 3, "evaluations": 4,
        },
        "score", "odd subjects learned from, even ones tested on: at least 72 %",
        more=lambda folder: {"test": str(_subjects("even", folder))}, seeds=3,
    ),
)  # fmt: skip
