"""`python -m training.rlhf.bench NAME ...`."""

from training.rlhf.allocator import restart_with_settings


def run() -> None:
    restart_with_settings("training.rlhf.bench")
    from training.rlhf.bench.cases import main

    main()


if __name__ == "__main__":
    run()
