"""The diary survives a torn last line, and never repeats a sequence number."""

import pytest

from training.rlhf.events import EventLog, read_events


def test_events_are_numbered_and_read_back(tmp_path):
    log = EventLog(tmp_path / "e")
    log.write("state", 0, {"state": "running"})
    log.write("metrics", 1, {"train_loss": 0.1})
    assert [(event["sequence"], event["type"]) for event in read_events(tmp_path / "e")] == [
        (1, "state"),
        (2, "metrics"),
    ]
    assert [event["step"] for event in read_events(tmp_path / "e", after=1)] == [1]


def test_a_torn_last_line_is_dropped_and_counting_goes_on(tmp_path):
    path = tmp_path / "e"
    log = EventLog(path)
    log.write("log", 1, {"message": "ü"})
    log.close()
    with open(path, "ab") as file:
        file.write(b'{"sequence": 2, "ty')
    assert len(list(read_events(path))) == 1
    again = EventLog(path)
    again.write("log", 2, {"message": "on"})
    assert [event["sequence"] for event in read_events(path)] == [1, 2]


def test_numbers_that_json_does_not_know_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant|Out of range"):
        EventLog(tmp_path / "e").write("metrics", 1, {"train_loss": float("nan")})
