"""Benchmarks of the library: our way and a plain reference, in one process, on the same rows.

    python -m training.rlhf.bench sft|reward|ppo|sample [--shape 2x128] [--text FILE] [--repeats 3] [--quick]

Both sides start from the same weights, see the same rows, use the same optimizer and the same allocator
settings, and take turns. With one thread, time is the process's own, which neighbours do not lengthen.
"""
