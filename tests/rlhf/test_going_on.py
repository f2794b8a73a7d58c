"""Going on from a checkpoint: new rows beside drawn former ones, at a multiple of the learning rate."""

import json
from pathlib import Path

import pytest

from training.rlhf.data import drawn_rows

from .conftest import events, result, run_here


def test_rows_are_drawn_once_by_the_seed_and_at_most_all():
    rows = list(range(20))
    drawn = drawn_rows(rows, 7.6, seed=3)
    assert len(drawn) == 8 and drawn == sorted(set(drawn)) and set(drawn) <= set(rows)
    assert drawn == drawn_rows(rows, 7.6, seed=3) != drawn_rows(rows, 7.6, seed=4)
    assert drawn_rows(rows, 1000, seed=3) == rows and drawn_rows(rows, 0.4, seed=3) == []


def learnt(out: Path, name: str) -> list[float]:
    return [event["data"][name] for event in events(out, "metrics") if name in event["data"]]


@pytest.mark.parametrize("stage", ["sft", "reward"])
def test_former_rows_are_learnt_beside_the_new_ones(world, base_model, sft_model, tmp_path, stage):
    """Half as many former rows as new ones; the same as a file that holds both."""
    file, noun = (world.sft, "rows") if stage == "sft" else (world.rankings, "rankings")
    lines = Path(file).read_text().splitlines()
    new, former = lines[:12], lines[12:]
    drawn = drawn_rows(former, 6, seed=0)
    paths = {}
    for name, rows in (("new", new), ("former", former), ("both", new + drawn)):
        paths[name] = str(tmp_path / f"{name}.jsonl")
        Path(paths[name]).write_text("".join(line + "\n" for line in rows))
    start = str(base_model if stage == "sft" else sft_model)
    common = world.config(stage, model=start, batch_size=6, epochs=1)
    mixed = common | {"train_file": paths["new"], "mix_file": paths["former"], "mix_ratio": 0.5}
    assert run_here(stage, mixed, tmp_path / "mixed") == 0
    assert run_here(stage, common | {"train_file": paths["both"]}, tmp_path / "one") == 0
    assert result(tmp_path / "mixed")["metrics"][f"train_{noun}"] == 18
    assert learnt(tmp_path / "mixed", "train_loss") == learnt(tmp_path / "one", "train_loss")


def test_the_learning_rate_is_multiplied(world, base_model, tmp_path):
    config = world.config("sft", model=str(base_model), maximum_steps=3, schedule="constant")
    given = config | {"learning_rate": 4e-3, "learning_rate_multiplier": 0.25}
    assert run_here("sft", given, tmp_path / "a") == 0
    assert run_here("sft", config | {"learning_rate": 1e-3}, tmp_path / "b") == 0
    assert learnt(tmp_path / "a", "learning_rate") == [1e-3] * 3
    assert learnt(tmp_path / "a", "train_loss") == learnt(tmp_path / "b", "train_loss")


def test_a_bad_row_of_the_former_file_is_named(world, base_model, tmp_path):
    path = tmp_path / "former.jsonl"
    path.write_text(json.dumps({"messages": [{"role": "user", "content": "?"}]}))
    config = world.config("sft", model=str(base_model), mix_file=str(path))
    assert run_here("sft", config, tmp_path / "r") == 2
    assert "former.jsonl, row 1" in result(tmp_path / "r")["error"]["message"]
