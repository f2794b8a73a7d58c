"""Reinforcement learning from human feedback, as a small library and a command.

    python -m training.rlhf STAGE --config CONFIG.json --out RUN_DIR

Importing this package loads neither torch nor Django: `config`, `checkpoints`, `events` and `errors` are
what a website needs; everything that computes is imported when a stage starts.
"""
