"""The command. `--help` of a stage lists each field of its configuration from the one definition of it."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import textwrap
import traceback
from pathlib import Path
from typing import Any

from training.rlhf import checkpoints
from training.rlhf.config import PRESETS, STAGES, TRAINING_STAGES, describe
from training.rlhf.devices import check_device
from training.rlhf.disk import is_full, is_of_the_system
from training.rlhf.errors import (
    EXIT_FAILED,
    EXIT_REFUSED,
    ConfigError,
    DiskFullError,
    InterruptedRun,
    RlhfError,
    RunFolderError,
)
from training.rlhf.out_of_memory import is_out_of_memory, told
from training.rlhf.run import Follower, Run
from training.rlhf.team import own_rank
from training.rlhf.template_styles import template_of

PREVIEW, ENCODE, SIZES, ESTIMATE = "preview", "encode", "sizes", "estimate"
# Fields that may be given as options too, by stage: what one types rather than writes into a file.
AS_OPTIONS = {"export": ("checkpoint", "format", "weights", "license")}


def main(arguments: list[str] | None = None) -> int:
    """Run a stage; the exit status says how it ended (see `errors`)."""
    options = _parser().parse_args(arguments)
    if options.stage == PREVIEW:
        return _preview(options)
    if options.stage == ENCODE:
        return _encode(options)
    if options.stage == SIZES:
        return _sizes(options)
    if options.stage == ESTIMATE:
        return _estimate(options)
    try:
        opened = Follower if own_rank() else Run
        with opened(Path(options.out), options.stage) as run:
            return _attend(run, options)
    except RlhfError as error:
        print(f"{options.stage}: {error.message}", file=sys.stderr)
        return error.exit_status


def _preview(options: argparse.Namespace) -> int:
    """Show what is learnt; the exit status is that of a run which would be refused."""
    from training.rlhf.preview import as_text, preview

    try:
        template = _template_of(options)
        found = preview(
            model=options.model,
            data=options.data,
            stage=options.of_stage,
            rows=options.rows,
            maximum_length=options.maximum_length,
            over_long=options.over_long,
            chat_template=template,
            at_most=options.at_most,
            labels=options.labels,
            allowed_hub_ids=options.allow_hub_id,
        )
    except (RlhfError, OSError, UnicodeDecodeError) as error:
        return _refused(PREVIEW, error)
    print(json.dumps(found, ensure_ascii=False) if options.json else as_text(found))
    return EXIT_REFUSED if found["refused"] else 0


def _encode(options: argparse.Namespace) -> int:
    """Write demonstrations as token ids, and say how many."""
    from training.rlhf.encode import encode_file

    try:
        template = _template_of(options)
        counts = encode_file(
            model=options.model,
            data=options.data,
            out=options.out,
            maximum_length=options.maximum_length,
            chat_template=template,
            allowed_hub_ids=options.allow_hub_id,
        )
    except (RlhfError, OSError, UnicodeDecodeError) as error:
        return _refused(ENCODE, error)
    print(json.dumps(counts))
    return 0


def _sizes(options: argparse.Namespace) -> int:
    """A line of JSON now and then with the rows looked at, the last line with the sizes."""
    from training.rlhf.sizes import measure_files

    def tell(done: int) -> None:
        print(json.dumps({"done": done}), flush=True)

    try:
        found = measure_files(
            model=options.model,
            data=options.data,
            tell=tell,
            chat_template=_template_of(options),
            allowed_hub_ids=options.allow_hub_id,
        )
    except (RlhfError, OSError, UnicodeDecodeError) as error:
        return _refused(SIZES, error)
    print(json.dumps(found))
    return 0


def _estimate(options: argparse.Namespace) -> int:
    """Say what a run would choose and need; the exit status is that of a run which would be refused."""
    from training.rlhf.estimate import estimate

    try:
        values = _read_config(options.data)
        found = estimate(options.of_stage, values or {}, completions=options.completions)
    except (RlhfError, OSError) as error:
        return _refused(ESTIMATE, error)
    print(json.dumps(found))
    return EXIT_REFUSED if found["refused"] else 0


def _template_of(options: argparse.Namespace) -> str:
    own = Path(options.chat_template_file).read_text() if options.chat_template_file else ""
    return template_of(
        options.template, separator=options.separator, stop_sequence=options.stop_sequence, chat_template=own
    )


def _add_template(command: argparse.ArgumentParser) -> None:
    command.add_argument("--chat-template-file", default="", help="Jinja template instead of the model's own")
    for spec in describe("sft"):
        if spec.name in ("template", "separator", "stop_sequence"):
            flag = "--" + spec.name.replace("_", "-")
            command.add_argument(flag, default=spec.default, choices=spec.choices, help=spec.help)


def _refused(command: str, error: Exception) -> int:
    """Say why in one line. What is no error of ours came from reading the template's file."""
    message = error.message if isinstance(error, RlhfError) else f"chat_template_file: {error}"
    print(f"{command}: {message}", file=sys.stderr)
    return EXIT_REFUSED


def _attend(run: Run, options: argparse.Namespace) -> int:
    """Start the stage and turn every end it may come to into events, a result and an exit status."""
    config = None
    try:
        if options.resume and run.finished():
            return 0
        config = run.settle_config(_config_of(options), resume=options.resume)
        check_device(config.device)  # before torch is loaded, which takes a while
        run.state("starting", resume=options.resume)
        if run.leads:
            checkpoints.sweep_leftovers(run.checkpoints)
        stage = importlib.import_module(f"training.rlhf.stages.{options.stage}")
        if options.stage in TRAINING_STAGES:
            stage.execute(run, config, _checkpoint_to_resume(run) if options.resume else None)
        else:
            stage.execute(run, config)
        return 0
    except InterruptedRun as error:
        run.log(error.message)
        run.finish("interrupted")
        return error.exit_status
    except RunFolderError:  # it is somebody else's: nothing is written there
        raise
    except RlhfError as error:
        return _fail(run, error)
    except Exception as error:  # noqa: BLE001 - the last line of defence: every end is recorded
        failure = told(error, run.footing, config) if is_out_of_memory(error) else _as_failure(error)
        if not isinstance(failure, DiskFullError):
            traceback.print_exc()
        return _fail(run, failure, say=isinstance(failure, DiskFullError))


def _fail(run: Run, failure: RlhfError, *, say: bool = True) -> int:
    """Record how the run ended, and `say` it; the exit status."""
    if say:
        print(f"{run.stage}: {failure.message}", file=sys.stderr)
    try:
        run.fail(failure)
    except OSError as second:  # not even that fits; the exit status still tells
        print(f"{run.stage}: {failure.message} ({second})", file=sys.stderr)
    return failure.exit_status or EXIT_FAILED


def _as_failure(error: Exception) -> RlhfError:
    if "Connection closed by peer" in str(error) or "Connection reset by peer" in str(error):
        return RlhfError(
            "another process of this run has ended: look at its output, then go on with --resume"
        )
    if is_full(error):  # while a checkpoint is written, see `told_of_the_disk`
        file = getattr(error, "filename", None)
        about = f", {file} could not be written" if file else ""
        return DiskFullError(
            f"the disk is full{about}: what was saved is whole. Make room, then continue with --resume"
        )
    if is_of_the_system(error):
        return RlhfError(f"the system refused: {error}")
    return RlhfError(f"an error nobody foresaw ({type(error).__name__}: {error}); the log has its trace")


def _checkpoint_to_resume(run: Run) -> Path | None:
    def put_aside(folder: Path, message: str) -> None:
        """It would count as the newest, and what is saved from now on be retired before it."""
        aside = checkpoints.put_aside(folder).name if run.leads else folder.name
        run.log(
            f"{message}; put aside as {aside}, falling back to the checkpoint before it",
            damaged_checkpoint=folder.name,
        )

    found = checkpoints.newest_verified(run.checkpoints, on_damage=put_aside)
    if found is None:
        run.log("there is no whole checkpoint yet: starting from the beginning")
    return found


def _config_of(options: argparse.Namespace) -> dict[str, Any] | None:
    """The configuration file with what was given as options over it."""
    values = _read_config(options.config)
    given = {name: getattr(options, name) for name in AS_OPTIONS.get(options.stage, ())}
    given = {name: value for name, value in given.items() if value is not None}
    return {**(values or {}), **given} if given and isinstance(values, dict | None) else values


def _read_config(path: str | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        values = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError("config", f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError("config", f"{path} is not JSON ({error})") from error
    if isinstance(values, dict) and set(values) == {"stage", "config"}:
        values = values["config"]  # a run folder's own config.json is a configuration too
    return values


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.rlhf", description=__doc__.splitlines()[0])
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for name, config in STAGES.items():
        stage = stages.add_parser(
            name,
            help=(config.__doc__ or "").splitlines()[0],
            description=config.__doc__,
            epilog=_fields_help(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        stage.add_argument("--config", help="JSON file with the fields below; may be left out with --resume")
        stage.add_argument("--out", required=True, help="run folder, made if missing")
        stage.add_argument("--resume", action="store_true", help="continue the run in that folder")
        for field in AS_OPTIONS.get(name, ()):
            stage.add_argument(f"--{field}", help="the field of that name")
    _add_preview(stages)
    _add_encode(stages)
    _add_sizes(stages)
    _add_estimate(stages)
    return parser


def _add_estimate(stages: Any) -> None:
    text = "Say which micro-batch a run would choose and what memory it needs; no row is read."
    command = stages.add_parser(ESTIMATE, help=text, description=text)
    command.add_argument("--data", required=True, metavar="CONFIG", help="JSON as for --config of a run")
    command.add_argument("--stage", dest="of_stage", required=True, choices=("sft", "reward", "ppo"))
    command.add_argument(
        "--completions", type=_whole(2, 1000), default=4, help="completions of a ranking (4), for reward"
    )
    command.add_argument("--allow-hub-id", action="append", default=[], help="hub id that may be loaded")


def _add_sizes(stages: Any) -> None:
    text = "Say how many tokens the rows of files have, and how many do not fit the model's context."
    command = stages.add_parser(SIZES, help=text, description=text)
    command.add_argument("--model", required=True, help="model folder (its tokenizer is read), or hub id")
    command.add_argument("--data", required=True, action="append", help="JSONL; may be given several times")
    _add_template(command)
    command.add_argument("--allow-hub-id", action="append", default=[], help="hub id that may be loaded")


def _add_encode(stages: Any) -> None:
    text = "Write demonstrations as input_ids, attention_mask and labels, as SFT would see them."
    command = stages.add_parser(ENCODE, help=text, description=text)
    command.add_argument("--model", required=True, help="model folder (its tokenizer is read), or hub id")
    command.add_argument("--data", required=True, help="JSONL of demonstrations")
    command.add_argument("--out", required=True, help="JSONL to be written")
    command.add_argument(
        "--maximum-length", type=_whole(8, 1_000_000), default=1_000_000, help="longer rows are left out"
    )
    _add_template(command)
    command.add_argument("--allow-hub-id", action="append", default=[], help="hub id that may be loaded")


def _add_preview(stages: Any) -> None:
    """Makes no run, as `encode` does not."""
    text = "Show on real rows which tokens are learnt, and what a run would leave out or refuse."
    command = stages.add_parser(PREVIEW, help=text, description=text)
    command.add_argument("--model", required=True, help="model folder (its tokenizer is read), or hub id")
    command.add_argument("--data", required=True, help="JSONL of demonstrations (sft) or rankings (reward)")
    command.add_argument("--stage", dest="of_stage", required=True, choices=("sft", "reward"))
    command.add_argument("--rows", type=_whole(1, 1000), default=6, help="rows to print, evenly spread (6)")
    command.add_argument(
        "--maximum-length", type=_whole(8, 1_000_000), default=512, help="most tokens of a row (512)"
    )
    command.add_argument("--over-long", choices=("drop", "refuse"), default="drop", help="as in a run (drop)")
    _add_template(command)
    command.add_argument(
        "--at-most",
        type=_whole(0, 10**9),
        default=0,
        help="rows to measure, evenly spread; 0 takes all",
    )
    command.add_argument("--allow-hub-id", action="append", default=[], help="hub id that may be loaded")
    command.add_argument(
        "--labels",
        choices=("ranks", "preferences", "scores"),
        default="ranks",
        help="as in a reward run (ranks)",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")


def _whole(low: int, high: int) -> Any:
    """A whole number within bounds, for argparse."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number from {low:,} to {high:,}")
        return int(text)

    return parse


def _fields_help(stage: str) -> str:
    lines = ["fields of CONFIG.json:"]
    for spec in describe(stage):
        default = "required" if spec.required else f"default {json.dumps(spec.default)}"
        lines.append(f"  {spec.name}  ({default}; {spec.bounds})")
        lines += textwrap.wrap(
            f"{spec.help} [{spec.source}]", 100, initial_indent="      ", subsequent_indent="      "
        )
    lines.append("presets:")
    for name, preset in PRESETS[stage].items():
        lines.append(f"  {name}: {preset['description']}")
    return "\n".join(lines).replace("%", "%%")
