"""What the trainer's process is not told: the site's secrets, nor the files that hold them."""

from __future__ import annotations

import json
import subprocess
import sys

from training.services.child import WITHHELD, child_environment


def test_a_child_knows_neither_secrets_nor_where_they_lie(monkeypatch):
    for name in WITHHELD:
        monkeypatch.setenv(name, "hunter2")
        monkeypatch.setenv(f"{name}_FILE", "/run/secrets/hunter2")
    monkeypatch.setenv("HF_HOME", "/models")
    seen = subprocess.run(
        [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "hunter2" not in seen
    assert json.loads(seen)["HF_HOME"] == "/models"
