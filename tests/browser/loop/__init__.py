"""The loop as its people drive it: who presses what, in which window (for test_loop*.py)."""
