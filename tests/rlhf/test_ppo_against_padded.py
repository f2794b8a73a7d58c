"""One PPO step against the plain padded loop: same episodes, so same advantages and same gradients."""

import torch

from training.rlhf.bench.reference import PaddedPpo
from training.rlhf.config import validate
from training.rlhf.generation import pad_left
from training.rlhf.models import load_causal_lm, load_reward_model
from training.rlhf.run import Run
from training.rlhf.session import open_accelerator
from training.rlhf.stages.ppo import PpoTrainer

CLOSE = {"atol": 1e-5, "rtol": 1e-4}


def padded_rows(loop, episodes):
    """The trainer's own episodes as the padded loop holds them, every one as long as the longest."""
    length = max(len(response.tokens) for response in episodes.responses)
    prompts, attention = pad_left(episodes.prompts, loop.pad)
    responses = torch.full((len(prompts), length), loop.pad)
    mask = torch.zeros_like(responses, dtype=torch.bool)
    for row, response in enumerate(episodes.responses):
        responses[row, : len(response.tokens)] = torch.tensor(response.tokens)
        mask[row, : len(response.tokens)] = True
    rows = {
        "ids": torch.cat([prompts, responses], dim=1),
        "attention": torch.cat([attention, mask.long()], dim=1),
        "responses": responses,
        "mask": mask,
        "ended": episodes.ended,
        "context": torch.tensor(prompts.shape[1]),
    }
    with torch.no_grad():
        rows["logprobs"] = loop._logprobs(loop.policy, rows, slice(None))[0]
    return rows


def gradients(model):
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def test_a_step_equals_the_padded_loops(world, sft_model, reward_model, tmp_path):
    values = world.config("ppo", policy=str(sft_model), reward_model=str(reward_model), temperature=0.8)
    config = validate("ppo", values)
    with Run(tmp_path / "r", "ppo") as run:
        trainer = PpoTrainer(run, config, open_accelerator(config), None)
    chosen = trainer.prompts[:8]
    with torch.no_grad():  # a policy that has left its reference, so that KL counts
        for parameter in trainer.networks.policy.model.parameters():
            parameter += 0.01 * torch.randn(
                parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())
            )
    networks = [load_causal_lm(str(sft_model), allowed_hub_ids=[])[0] for _ in range(2)]
    networks += [load_reward_model(str(reward_model), allowed_hub_ids=[])[0] for _ in range(2)]
    networks[0].load_state_dict(trainer.networks.policy.model.state_dict())
    for network in networks:
        network.eval()
    bias = networks[2].config.reward_bias
    loop = PaddedPpo(networks, config, trainer.roller.pad_id, trainer.roller.stops[0])

    episodes = trainer.roller.sample(chosen, list(range(8)))
    lengths = {len(response.tokens) for response in episodes.responses}
    assert len(lengths) > 2 and len({len(prompt) for prompt in chosen}) > 1
    plan = trainer._plan(episodes, epoch=0)
    ours = trainer.roller.experience(episodes, plan, kl_coefficient=0.1)
    rows = padded_rows(loop, episodes)
    # The stored bias is subtracted from scores and values alike; the plain loop knows nothing of it.
    with torch.no_grad():
        networks[2].score.bias = torch.nn.Parameter(torch.tensor([-bias]))
        networks[3].score.bias = torch.nn.Parameter(torch.tensor([-bias]))
    theirs = loop.measure(rows, 0.1, micro=3)
    for name, mine in (
        ("logprobs", ours.logprobs),
        ("scores", ours.scores),
        ("values", ours.values),
        ("advantages", ours.advantages),
        ("returns", ours.returns),
    ):
        expected = theirs[name] * rows["mask"] if theirs[name].ndim == 2 else theirs[name]
        torch.testing.assert_close(mine, expected, **CLOSE)

    order = [row for micro in plan[0].parts for row in micro]
    trainer._gradients(ours, plan[0])
    loop.update(rows, theirs, torch.tensor(order), micro=3)
    torch.testing.assert_close(gradients(trainer.networks.policy.model), gradients(networks[0]), **CLOSE)
    del networks[3].score.bias
    networks[3].score.register_parameter("bias", None)
    torch.testing.assert_close(gradients(trainer.networks.value.model), gradients(networks[3]), **CLOSE)
