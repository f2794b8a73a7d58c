"""Everything that can go wrong in a way a person can act on: one sentence, one code, one exit status."""

EXIT_FAILED = 1
EXIT_REFUSED = 2
EXIT_NOT_FINITE = 3
EXIT_ORPHANED = 70
EXIT_INTERRUPTED = 143


class RlhfError(Exception):
    """A failure with a stable `code` and a sentence that says what to do."""

    code = "failed"
    exit_status = EXIT_FAILED

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def as_dict(self) -> dict:
        return {"code": self.code, "message": self.message}


class ConfigError(RlhfError):
    """A field of the configuration is unknown, missing, of the wrong type or out of bounds."""

    code = "bad_config"
    exit_status = EXIT_REFUSED

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.reason = message

    def as_dict(self) -> dict:
        return {"code": self.code, "message": self.message, "field": self.field}


class DataError(RlhfError):
    """An input file is missing, malformed or cannot train; names file, row (from 1) and field if known."""

    code = "bad_data"
    exit_status = EXIT_REFUSED

    def __init__(self, message: str, *, file: str, row: int | None = None, field: str | None = None) -> None:
        place = file if row is None else f"{file}, row {row}"
        super().__init__(f"{place}{f', field {field}' if field else ''}: {message}")
        self.file, self.row, self.field = file, row, field

    def as_dict(self) -> dict:
        return {
            "code": self.code,
            "message": self.message,
            "file": self.file,
            "row": self.row,
            "field": self.field,
        }


class ModelFolderError(RlhfError):
    """A model folder is missing, incomplete, damaged, of the wrong kind, or would run foreign code."""

    code = "bad_model"
    exit_status = EXIT_REFUSED


class CheckpointError(RlhfError):
    """A checkpoint is not whole: no manifest, a missing file, or a digest that does not match."""

    code = "bad_checkpoint"
    exit_status = EXIT_REFUSED


class RunFolderError(RlhfError):
    """The run folder is in use, already holds another run, or cannot be written."""

    code = "bad_run_folder"
    exit_status = EXIT_REFUSED


class NonFiniteError(RlhfError):
    """A loss, gradient, score or KL became NaN or infinite; names the tensor or row."""

    code = "not_finite"
    exit_status = EXIT_NOT_FINITE


class OutOfMemoryError(RlhfError):
    """The device or host ran out of memory; `lower` are the fields to lower, and to what."""

    code = "out_of_memory"

    def __init__(self, message: str, lower: dict[str, int] | None = None) -> None:
        super().__init__(message)
        self.lower = lower or {}

    def as_dict(self) -> dict:
        return super().as_dict() | {"lower": self.lower}


class DiskFullError(RlhfError):
    """There is no room to write."""

    code = "disk_full"


class NotWrittenError(RlhfError):
    """The system refused to write, and not for want of room."""

    code = "not_written"


class InterruptedRun(RlhfError):
    """SIGTERM or SIGINT arrived; a checkpoint was written first where there was anything to keep."""

    code = "interrupted"
    exit_status = EXIT_INTERRUPTED


def first_line(error: Exception) -> str:
    """What a foreign library complained of, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
