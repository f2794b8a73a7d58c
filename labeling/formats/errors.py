"""The one error of this room: what is wrong, where, and what to do about it."""

_LONGEST = 100  # characters of a name out of the file, in a message


def printable(text: str, limit: int | None = None) -> str:
    """`text` safe to show in a terminal and beside other text: control, direction and invisible characters as
    escapes, cut at `limit`. Names and values in messages come out of strangers' files."""
    cut = text if limit is None or len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


class FormatError(ValueError):
    """A file, or a row of it, that cannot be read as what it claims to be.

    `row` counts as `Record.row` does: the physical line in JSON lines and plain text, the element in a JSON
    array, the data row in CSV and TSV (the header is not counted). It is None when the whole file is at
    fault.
    `is_row_fault` tells whether the rows after this one could still be read: a caller who offers to leave
    faulty rows out may only do so for those.
    """

    def __init__(self, problem, *, file=None, row=None, field=None, hint=None, is_row_fault=False):
        self.problem = problem
        self.file = file
        self.row = row
        # It may be a name out of the file: with half a surrogate pair or a NUL, or of megabytes.
        self.field = printable(field, _LONGEST) if field else field
        self.hint = hint
        self.is_row_fault = is_row_fault
        super().__init__(str(self))

    def __str__(self):
        where = [printable(self.file, _LONGEST)] if self.file else []
        if self.row is not None:
            where.append(f"row {self.row}")
        if self.field:
            where.append(f"field {self.field}")
        problem = printable(self.problem)
        sentence = f"{', '.join(where)}: {problem}" if where else problem
        if not sentence.endswith((".", "?", "!")):
            sentence += "."
        return f"{sentence} {printable(self.hint)}" if self.hint else sentence

    def located(self, *, file=None, row=None):
        """The same error with file and row filled in where they were not known yet."""
        self.file = self.file if self.file is not None else file
        self.row = self.row if self.row is not None else row
        self.args = (str(self),)
        return self


class RowError(FormatError):
    """A fault that ends at its own row: the next row can be read."""

    def __init__(self, problem, *, field=None, hint=None, row=None, file=None):
        super().__init__(problem, file=file, row=row, field=field, hint=hint, is_row_fault=True)


class ExportError(ValueError):
    """A row that is not a canonical dataset row, or an export format that does not fit its kind."""
