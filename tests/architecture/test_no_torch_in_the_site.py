"""The web process never loads torch: it costs seconds and hundreds of megabytes."""

import json
import os
import subprocess
import sys

from tests.architecture.source import ROOT, module_name, python_files

PROGRAM = """
import importlib, json, sys
import django
django.setup()
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
print(json.dumps(sorted({"torch", "transformers", "peft", "accelerate", "scipy.stats"} & set(sys.modules))))
"""


def test_importing_every_module_of_the_site_loads_no_torch():
    names = [
        name
        for name in map(module_name, python_files())
        if not name.startswith("training.rlhf") and ".migrations" not in name
    ]
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(names)],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    loaded = set(json.loads(result.stdout.splitlines()[-1]))
    assert not loaded & {"torch", "transformers", "peft", "accelerate"}
