"""``whycad evaluate``: from two files to the stored figures."""

import json

import pytest

from whycad.cli import main
from whycad.performance import Performance


@pytest.fixture
def predicted(tasks, pack, tmp_path, capsys):
    out = tmp_path / "predictions.csv"
    assert main(["predict", "--task", "tiny", "--dataset", str(pack), "--out", str(out), "--device", "cpu"]) == 0
    capsys.readouterr()
    return out


def evaluate(predicted, *more):
    return main(["evaluate", "--task", "tiny", "--predictions", str(predicted), "--draws", "50", *map(str, more)])


def test_figures_are_written_and_can_be_read_by_the_app(predicted, pack, tmp_path, capsys):
    out = tmp_path / "performance.json"
    assert evaluate(predicted, "--dataset", pack, "--training", pack, "--name", "Made", "--json", out) == 0
    body = json.loads(out.read_text())
    assert (body["dataset"], body["n"], body["n_failed"], body["n_without_label"]) == ("Made", 4, 1, 1)
    assert body["operating_points"]["bad"]["threshold"] == 0.5
    # Row 0 is the only training row with a label; its group is written '=g0' in the pack.
    assert body["training_counts"] == {"a": 1, "b": 0, "c": 0}
    assert str(tmp_path) not in out.read_text()
    Performance.model_validate(body)
    assert "macro_auroc" in capsys.readouterr().out


def test_it_works_without_the_data_set(predicted, capsys):
    assert evaluate(predicted) == 0
    assert capsys.readouterr().out.startswith("predictions : 4 cases")


def test_training_rows_whose_group_is_held_out_do_not_count(predicted, tmp_path):
    import numpy as np

    np.savez(
        tmp_path / "t.npz",
        images=np.zeros((4, 20, 20, 3), np.uint8),
        label=np.array(["a", "a", "b", "b"]),
        group_id=np.array(["g", "h", "h", "i"]),
        split=np.array(["train", "train", "val", "train"]),
    )
    out = tmp_path / "performance.json"
    assert evaluate(predicted, "--training", tmp_path / "t.npz", "--json", out) == 0
    assert json.loads(out.read_text())["training_counts"] == {"a": 1, "b": 1, "c": 0}


def test_another_data_set_than_was_predicted_is_noticed(predicted, tmp_path, capsys):
    import numpy as np

    np.savez(tmp_path / "short.npz", images=np.zeros((2, 20, 20, 3), np.uint8))
    assert evaluate(predicted, "--dataset", tmp_path / "short.npz") == 1
    assert "has no row" in capsys.readouterr().err


def test_a_table_of_another_task_is_refused(predicted, capsys):
    assert main(["evaluate", "--task", "skin_lesion", "--predictions", str(predicted)]) == 1
    assert "it lacks p_akiec" in capsys.readouterr().err


def test_rows_can_be_chosen_by_a_column_and_the_command_says_so(predicted, pack, tmp_path, capsys):
    out = tmp_path / "o.json"
    assert evaluate(predicted, "--dataset", pack, "--where", "sex=female", "--json", out) == 0
    body = json.loads(out.read_text())
    assert body["n"] == 2
    assert "--dataset pack.npz --where sex=female" in body["command"]
    assert "simulated data" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--where", "sex=female"], "needs the data set"),
        (["--where", "sex=nobody"], "no row fulfils"),
        (["--where", "fur=red"], "has no column"),
    ],
)
def test_conditions_that_choose_nothing_are_said(predicted, pack, capsys, more, message):
    dataset = [] if message == "needs the data set" else ["--dataset", pack]
    assert evaluate(predicted, *dataset, *more) == 1
    assert message in capsys.readouterr().err
