"""What a trainer says reaches people without the server's folders."""

from training.services.locations import data_dir
from training.services.tailing import read_batch


def test_a_log_line_names_files_by_their_place_in_the_data_folder(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(
        '{"type": "log", "time": "2026-01-01T00:00:00+00:00", "step": 0, '
        f'"data": {{"message": "2 rows of {data_dir()}/runs/x/prompts.jsonl are too long"}}}}\n'
    )
    [event] = read_batch(path, 0).events
    assert event["data"]["message"] == "2 rows of runs/x/prompts.jsonl are too long"
