"""Forecasters from the command line: train, predict, update, backtest."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rondo import load
from rondo.cli.main import main
from tests.cli.small import Run

LEARN = ("--hidden", "8", "--steps", "4", "--batch-size", "16", "--threads", "1", "--device", "cpu")
ROWS = 90


def frame(first: int = 0, last: int = ROWS) -> pl.DataFrame:
    """Hours of a zone, two columns of values, a plan that is known in advance."""
    rng = np.random.default_rng(0)
    start = dt.datetime(2024, 3, 29, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    rows = [
        (
            str(start + dt.timedelta(hours=hour)),
            9 + np.sin(hour / 4) + rng.normal(0, 0.1),
            rng.normal(50, 3),
            "ab"[hour % 2],
        )
        for hour in range(ROWS)
    ]
    return pl.DataFrame(rows, schema=["moment", "load", "price", "kind"], orient="row")[first:last]


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("series") / "data.csv"
    frame(last=80).write_csv(path)
    return path


@pytest.fixture(scope="session")
def result_and_model(table: Path) -> Path:
    out = table.parent / "model"
    words = ["train", "forecast", table, "--out", out, "--time", "moment", "--target", "load", "price", "--horizon", 3]
    words += ["--context-length", 8, *LEARN, "--automatic-seconds", 0, "--quiet"]
    assert main([str(word) for word in words]) == 0
    return out


def test_what_train_says(result_and_model: Path) -> None:
    result = json.loads((result_and_model / "config.json").read_text())["result"]
    assert result["task"] == "forecast"
    assert (result["horizon"], result["windows"]) == (3, 2 * 6)
    names = {"mae", "rmse", "smape", "mase", "crps", "coverage_80"}
    assert names <= set(result["metrics"])
    assert all(names <= set(theirs) for theirs in result["baselines"].values())
    assert result["baseline"] == min(result["baselines"], key=lambda name: result["baselines"][name]["mae"])
    theirs = result["baselines"][result["baseline"]]["mae"]
    assert result["skill"] == pytest.approx(1 - result["metrics"]["mae"] / theirs)
    assert result["skill_interval"] == [None, None]
    page = (result_and_model / "report.html").read_text()
    assert ("The model shows no skill: " if result["skill"] < 0 else "No skill can be told: ") in page
    assert "its interval cannot be told from 6 origins" in page
    assert "nan" not in page.partition("Beside the baselines")[2].partition("</table>")[0]
    assert "Is it more than the last value?" in page
    assert "Beside the baselines" in page
    assert "Forecasts load, price, 3 rows ahead" in (result_and_model / "README.md").read_text()


def test_the_rows_that_come_next(rondo: Run, result_and_model: Path, tmp_path: Path) -> None:
    ended = rondo("predict", result_and_model, "--out", tmp_path / "forecast.csv", "--horizon", 2)
    assert (ended.code, ended.out) == (0, "")
    found = pl.read_csv(tmp_path / "forecast.csv")
    assert found.columns[:3] == ["moment", "load", "price"]
    assert found["moment"].to_list() == frame(80, 82)["moment"].to_list()
    assert (found["load_q0.1"] < found["load_q0.9"]).all()
    printed = rondo("predict", result_and_model, "--quantiles", "0.5", "--json").out.splitlines()
    assert len(printed) == 3
    assert list(json.loads(printed[0])) == ["moment", "load", "price", "load_q0.5", "price_q0.5"]
    paths = rondo("predict", result_and_model, "--paths", 2).out.splitlines()[0]
    assert paths == "moment,load_path1,price_path1,load_path2,price_path2"


def test_the_file_says_where_to_go_on(rondo: Run, result_and_model: Path, tmp_path: Path) -> None:
    frame(20, 60).write_csv(tmp_path / "early.csv")
    printed = rondo("predict", result_and_model, tmp_path / "early.csv").out.splitlines()
    assert printed[1].startswith(frame(60, 61)["moment"][0])


def test_new_rows(rondo: Run, result_and_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(result_and_model, model)
    frame(80, 85).write_csv(tmp_path / "new.csv")
    said = rondo("update", model, tmp_path / "new.csv", "--json").json
    assert (said["series"], said["last"]) == (2, frame(84, 85)["moment"][0])
    frame(last=85).write_csv(tmp_path / "all.csv")
    after = rondo("predict", model).out
    assert after == rondo("predict", result_and_model, tmp_path / "all.csv").out
    assert len(load(model).series_.values) == 2 * 8
    again = rondo("update", model, tmp_path / "new.csv")
    assert again.code
    assert "the new rows begin at" in again.err


def test_a_backtest_with_the_options_of_a_model(
    rondo: Run, result_and_model: Path, table: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    words = ["--origins", 4, "--refit", 2, "--automatic-seconds", 0, "--report", page, "--device", "cpu", "--quiet"]
    found = rondo("backtest", result_and_model, table, "--json", *words).json
    assert (found["folds"], found["windows"], found["horizon"]) == (2, 8, 3)
    assert found["model"] == str(result_and_model)
    assert "The folds of the backtest" in page.read_text()


def test_a_backtest_of_a_recipe(rondo: Run, table: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'time = "moment"\ntarget = ["load"]\nhorizon = 2\ncontext-length = 6\n'
        "hidden = 4\nsteps = 2\nsplit = [50, 15, 15]\n"
    )
    said = rondo("backtest", recipe, table, "--automatic-seconds", 0, "--device", "cpu")
    assert said.code == 0, said.err
    assert "14 forecasts of 2 rows" in said.out
    assert "95 % interval" in said.out
    words = ["--automatic-seconds", 0, "--device", "cpu", "--json"]
    plain, scaled, last = (rondo("backtest", recipe, table, *words, *more).json["metrics"]["mae"]
                           for more in ((), ("--scaled",), ("--scored-step", 2)))  # fmt: skip
    width = frame(last=50)["load"].std(ddof=0)
    assert scaled == pytest.approx(plain / width)
    assert plain != last
    recipe.write_text("horison = 2\n")
    assert "did you mean 'horizon'" in rondo("backtest", recipe, table).err


def test_a_column_that_may_not_be_known_in_advance_is_asked_about(rondo: Run, table: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    text = 'time = "moment"\ntarget = ["load"]\nhorizon = 2\ncontext-length = 6\nhidden = 4\nsteps = 2\n'
    for role, asks in (("future", True), ("past", False)):
        recipe.write_text(f'{text}{role} = ["price"]\n')
        said = rondo("backtest", recipe, table, "--origins", 1, "--automatic-seconds", 0, "--device", "cpu")
        assert said.code == 0, said.err
        assert ("A question: column 'price'" in said.out) == asks


def test_series_that_are_not_scored_are_named(rondo: Run, tmp_path: Path) -> None:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=day) for day in range(60)]
    rows = pl.DataFrame({"unique_id": ["n"] * 60 + ["s"] * 40, "ds": days + days[:40], "y": np.arange(100.0) % 7})
    rows.write_csv(tmp_path / "long.csv")
    words = ["--context-length", 8, "--horizon", 2, *LEARN, "--automatic-seconds", 0]
    said = rondo("train", "forecast", tmp_path / "long.csv", "--out", tmp_path / "model", *words)
    sentence = "1 of 2 series are not scored: 's'. They end before"
    assert sentence in " ".join(said.out.split())
    assert sentence in said.err
    assert "Series that are not scored" in (tmp_path / "model" / "report.html").read_text()
    result = json.loads((tmp_path / "model" / "config.json").read_text())["result"]
    assert result["left_out"]["series"] == ["s"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("predict", "MODEL", "--horizon", "4"), "from 1 to 3 rows, not 4"),
        (("predict", "MODEL", "--out", "forecast.xls"), "ends in .csv"),
        (("predict", "MODEL", "--paths", "2", "--quantiles", "0.5"), "do not go together"),
        (("predict", "MODEL", "--quantiles", "2", "0.5"), "between 0 and 1, for instance 0.02, not 2"),
        (("evaluate", "MODEL", "DATA"), "rondo backtest"),
        (("update", "MODEL"), "update needs FILE"),
        (("train", "forecast", "DATA", "--missing", "interpolate"), "--missing: 'interpolate' fills a value from rows"),
        (
            ("train", "forecast", "DATA", "--impute", "bfill"),
            "--impute: 'bfill' fills a value from rows that come later",
        ),
    ],
)
def test_what_cannot_be_is_said(
    rondo: Run, result_and_model: Path, table: Path, words: tuple[str, ...], message: str
) -> None:
    ended = rondo(*({"MODEL": str(result_and_model), "DATA": str(table)}.get(word, word) for word in words))
    assert ended.code
    assert message in ended.err
