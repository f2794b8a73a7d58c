"""Which kind of model a stage can start from. The trainer refuses the others too, and so does the form."""

from __future__ import annotations

from annotate.errors import Invalid
from annotate.words import _
from training.models import Checkpoint, RunInputRole, Stage
from training.rlhf.model_folders import is_encoder_decoder

from .locations import checkpoint_directory


def has_encoder(checkpoint: Checkpoint) -> bool:
    """Whether it is an encoder–decoder model; False where its files are gone."""
    folder = checkpoint_directory(checkpoint)
    return (folder / "config.json").is_file() and is_encoder_decoder(str(folder))


def check_kind(stage: Stage, role: str, label: str, source: object) -> None:
    """Raises Invalid where a reward model or a policy would not be causal."""
    if stage not in (Stage.REWARD, Stage.PPO) or role != RunInputRole.MODEL:
        return
    if isinstance(source, Checkpoint) and has_encoder(source):
        raise Invalid(
            _("%(input)s: %(source)s is an encoder–decoder model.") % {"input": label, "source": source},
            field=role,
            hint=_(
                "It can be fine-tuned, sampled and evaluated. For a reward model or PPO, fine-tune a causal "
                "language model on the same demonstrations and start from that."
            ),
        )
