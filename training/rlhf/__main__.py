"""`python -m training.rlhf STAGE ...`."""

from training.rlhf.allocator import restart_with_settings


def run() -> int:
    restart_with_settings("training.rlhf")
    from training.rlhf.cli import main

    return main()


if __name__ == "__main__":
    raise SystemExit(run())
