"""Proximal policy optimization against a reward model: our own loop, since nothing maintained offers one.

Policy and value model learn; the reference (the policy as it began) and the reward model stay as they are.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from training.rlhf import memory, ppo_math
from training.rlhf.adapters import save_model
from training.rlhf.averaging import WeightAverage
from training.rlhf.batches import epoch_batches
from training.rlhf.chat import ChatEncoder
from training.rlhf.config.ppo import OF_ROLLOUTS
from training.rlhf.culprits import place_in
from training.rlhf.data import PromptRow, read_prompts
from training.rlhf.errors import DataError, NonFiniteError
from training.rlhf.kl_budget import KlBudget
from training.rlhf.models import load_reader
from training.rlhf.ppo_networks import VALUE_MODEL, load_networks, network_sizes
from training.rlhf.pretraining_mix import PretrainingMix
from training.rlhf.rereading import Rereader, reads_alike
from training.rlhf.rollout import (
    ROWS_AT_A_TIME,
    Episodes,
    Experience,
    Minibatch,
    Roller,
    length_metrics,
)
from training.rlhf.run import Run
from training.rlhf.session import Session, derived_seed, open_accelerator

LIVE_POLICY = "live_policy.safetensors"


def execute(run: Run, config: Any, resume: Path | None) -> None:
    accelerator = open_accelerator(config, in_team=True)
    trainer = PpoTrainer(run, config, accelerator, resume)
    trainer.session.resume_from(resume)
    trainer.train()


class PpoTrainer:
    """The loop and what it holds on to between steps; all of that is in each checkpoint."""

    def __init__(self, run: Run, config: Any, accelerator: Any, resume: Path | None) -> None:
        self.run, self.config, self.accelerator = run, config, accelerator
        self.tokenizer, self.context = load_reader(
            config.policy, allowed_hub_ids=config.allowed_hub_ids, field="policy"
        )
        self.rereader = self._find_rereader()
        self.places: list[str] = []
        self.held_out_places: list[str] = []
        self.prompts = self._encode(read_prompts(config.prompts_file), config.prompts_file, self.places)
        self.held_out_prompts: list[list[int]] = []
        if config.validation_prompts_file:
            rows = read_prompts(config.validation_prompts_file)[: config.validation_prompts]
            file = config.validation_prompts_file
            self.held_out_prompts = self._encode(rows, file, self.held_out_places)
        self.config = config = self._fit(resumed=resume is not None)
        self.networks, self.tokenizer = load_networks(config, resume, rereads=self.rereader is not None)
        self.roller = Roller(self.networks, self.tokenizer, config, accelerator, self.rereader)
        self.controller = ppo_math.KlController(
            config.kl_coefficient, config.kl_controller == "adaptive", config.kl_target, config.kl_horizon
        )
        metric = config.best_metric if self.held_out_prompts else OF_ROLLOUTS[config.best_metric]
        self.session = Session(
            run,
            config,
            accelerator,
            kind="causal_lm",
            base=config.policy,
            modules={"policy": self.networks.policy.model, "value": self.networks.value.model},
            rates={"policy": config.learning_rate, "value": config.value_learning_rate},
            total_steps=config.steps,
            save_models=self._save_models,
            best=(metric, "max"),
        )
        self.texts = PretrainingMix(
            self.networks.policy, self.tokenizer, config, accelerator, self.session.backward
        )
        for network in (self.networks.reference, self.networks.reward):
            network.to(accelerator.device)
        self.budget = KlBudget(config.kl_budget)
        self.average: WeightAverage | None = None
        if config.ema_decay:
            self.average = WeightAverage(self.networks.policy.model, config.ema_decay)
            if resume:
                self.average.resume(resume / LIVE_POLICY)

    def train(self) -> None:
        session, config = self.session, self.config
        self.begun_at = session.step
        self.controller.coefficient = session.state.get("kl_coefficient", config.kl_coefficient)
        if session.step == 0:
            session.state["before"] = self._evaluate()
            if session.state["before"]:
                session.note(session.state["before"], eligible=False)
        finished = session.state.get("finished", False) or session.step >= session.total_steps
        while not finished:
            # 1. Sample a response to each prompt of this step.
            step = session.begin_step()
            chosen = self._prompts_of(step)
            seeds = [derived_seed(config.seed, "rollout", step, index) for index in range(len(chosen))]
            self.networks.policy.eval()
            places = [self.places[row] for row in chosen]
            prompts = [self.prompts[row] for row in chosen]
            episodes = self.roller.sample(prompts, seeds, place=places.__getitem__)
            # 2. Score them, and turn scores and KL into advantages.
            coefficient = self.controller.coefficient
            experience = self.roller.experience(episodes, self._plan(episodes, epoch=0), coefficient)
            # 3. Improve policy and value model.
            metrics = self._update(experience)
            if self.average:
                self.average.update()
            # 4. Steer the KL penalty by what this batch came out at.
            measured = self._describe(experience)
            self.controller.update(measured["kl"], len(chosen))
            session.state["kl_coefficient"] = self.controller.coefficient
            session.log(measured | metrics | {"kl_coefficient": coefficient})
            # 5. Evaluate on held-out prompts, keep the KL budget, save.
            improved, finished = self._judge(step, measured)
            session.state["finished"] = finished
            session.end_step(improved=improved, finished=finished)
        self._finish()

    def _update(self, experience: Experience) -> dict[str, float]:
        """`ppo_epochs` passes of clipped updates over the batch; means over all of its optimizer steps."""
        started = time.monotonic()
        factor = self.session.rate_factor()
        sums: dict[str, float] = {}
        updates = 0
        self._compute_again(self.config.gradient_checkpointing)
        for epoch in range(self.config.ppo_epochs):
            plan = experience.plan if epoch == 0 else self._plan(experience.episodes, epoch)
            for minibatch in plan:
                found = self._gradients(experience, minibatch)
                found |= self.texts.gradients(self.session.step, updates, len(minibatch.rows))
                norms = self.session.optimizer.step(factor)
                found |= {"policy_gradient_norm": norms["policy"], "value_gradient_norm": norms["value"]}
                if updates == 0:
                    # 1 by construction; anything else means that rollout and update see different policies.
                    sums["first_ratio_deviation"] = found["ratio_deviation"]
                for name, value in found.items():
                    sums[name] = sums.get(name, 0.0) + value
                updates += 1
        self._compute_again(False)
        self.roller.seconds["update"] += time.monotonic() - started
        first = sums.pop("first_ratio_deviation")
        means = {name: total / updates for name, total in sums.items()}
        return means | {"first_ratio_deviation": first, "learning_rate": self.config.learning_rate * factor}

    def _compute_again(self, on: bool) -> None:
        """Gradient checkpointing happens in training mode alone; there is no dropout that this could wake."""
        self.networks.policy.train(on)
        self.networks.value.train(on)

    def _gradients(self, experience: Experience, minibatch: Minibatch) -> dict[str, float]:
        """Accumulate the gradients of one minibatch: its mean over response tokens, in micro-batches.

        Of several processes each has its share of them; what is returned is of the whole minibatch.
        """
        team = self.session.team
        with team.together():
            found = self._own_gradients(experience, minibatch)
        deviation = max(team.gather(found.pop("ratio_deviation")))
        sums = team.add_up({name: [value] for name, value in found.items()})
        return {name: values[0] for name, values in sums.items()} | {"ratio_deviation": deviation}

    def _own_gradients(self, experience: Experience, minibatch: Minibatch) -> dict[str, float]:
        tokens = int(experience.response_mask[minibatch.rows].sum())
        sums = dict.fromkeys(("policy_loss", "value_loss", "clip_fraction", "value_clip_fraction"), 0.0)
        deviation = 0.0
        for rows in minibatch.parts:
            batch = self.roller.batch(experience.episodes, rows)
            mask = experience.response_mask[rows]
            old, values, advantages, returns = (
                tensor[rows][mask].to(self.accelerator.device)
                for tensor in (
                    experience.logprobs,
                    experience.values,
                    experience.advantages,
                    experience.returns,
                )
            )
            everywhere = torch.ones_like(old, dtype=torch.bool)  # only response tokens are here at all
            policy = ppo_math.policy_loss(
                self.roller.logprobs(self.networks.policy, batch),
                old,
                advantages,
                everywhere,
                self.config.clip_range,
            )
            value = ppo_math.value_loss(
                self.roller.values(batch), values, returns, everywhere, self.config.value_clip_range
            )
            loss = (policy.loss_sum + self.config.value_coefficient * value.loss_sum) / tokens
            if not bool(torch.isfinite(loss)):
                raise NonFiniteError(
                    f"the PPO loss is not finite at step {self.session.step} (episodes {rows[:8]})"
                )
            self.session.backward(loss)
            for name, part in (
                ("policy_loss", policy.loss_sum),
                ("value_loss", value.loss_sum),
                ("clip_fraction", policy.clipped),
                ("value_clip_fraction", value.clipped),
            ):
                sums[name] += float(part.detach()) / tokens
            deviation = max(deviation, float(policy.ratio_deviation))
        return sums | {"ratio_deviation": deviation}

    def _plan(self, episodes: Episodes, epoch: int) -> list[Minibatch]:
        """Minibatches of the batch in random order, each cut into micro-batches of like length."""
        order = list(range(len(episodes.prompts)))
        random.Random(f"{self.config.seed}/{self.session.step}/{epoch}").shuffle(order)
        size = self.config.minibatch_size
        minibatches = [order[start : start + size] for start in range(0, len(order), size)]
        return [Minibatch(rows, self.roller.cut(rows, episodes.lengths)) for rows in minibatches]

    def _prompts_of(self, step: int) -> list[int]:
        """Rows for this step: shuffled passes over the prompts, read on from where the last step stopped."""
        size, count = self.config.batch_size, len(self.prompts)
        rows = []
        for place in range((step - 1) * size, step * size):
            epoch, offset = divmod(place, count)
            rows.append(self._order(epoch)[offset])
        return rows

    def _order(self, epoch: int) -> list[int]:
        if getattr(self, "_order_of", None) != epoch:
            batches = epoch_batches(
                [1] * len(self.prompts),
                batch_size=len(self.prompts),
                seed=self.config.seed,
                epoch=epoch,
                group_by_length=False,
            )
            self._order_of, self._order_rows = epoch, batches[0]
        return self._order_rows

    def _describe(self, experience: Experience) -> dict[str, float]:
        kl = ppo_math.kl_estimates(
            experience.logprobs, experience.reference_logprobs, experience.response_mask
        )
        mask = experience.response_mask
        return {
            "reward_mean": float(experience.scores.double().mean()),
            "reward_std": float(experience.scores.double().std(correction=0)),
            "kl": float(kl.k1.double().mean()),
            "kl_k3": float(kl.k3.double().mean()),
            # The mean surprise of the policy at its own samples estimates its entropy without a (B, T, V)
            # tensor.
            "entropy": float(-(experience.logprobs * mask).double().sum() / mask.sum()),
            "value_mean": float((experience.values * mask).double().sum() / mask.sum()),
            **length_metrics(experience.episodes),
            **({"scores_cut": self.rereader.cut_share} if self.rereader else {}),
        }

    def _judge(self, step: int, measured: dict[str, float]) -> tuple[bool, bool]:
        """(is this the best checkpoint so far, is the run over)."""
        session, budget = self.session, self.budget
        finished = step >= session.total_steps
        is_neared = budget.is_neared(measured["kl"], session.state)
        if not (is_neared or session.due_for_evaluation()):
            return False, finished
        found = self._evaluate() or self._measured_in_practice(step, measured)
        kl = found["validation_kl" if self.held_out_prompts else "kl"]
        is_over = budget.is_over(kl)
        improved = session.note(found, eligible=not is_over)
        if is_over:
            for line in budget.words(kl, session.state["best"]):
                self.run.log(line)
            finished = True
        elif session.is_out_of_patience():
            session.log_lost_patience()
            finished = True
        return improved, finished

    def _measured_in_practice(self, step: int, measured: dict[str, float]) -> dict[str, float]:
        """What chooses between checkpoints where no prompts are held out: the step's rollouts. Under a budget
        its prompts are answered again, for rollouts are of the policy before the update that is saved.
        """
        reward, kl = measured["reward_mean"], measured["kl"]
        if self.budget.nats:
            rows = self._prompts_of(step)
            seeds = [derived_seed(self.config.seed, "practice", step, index) for index in range(len(rows))]
            places = [self.places[row] for row in rows]
            found = self._look_at([self.prompts[row] for row in rows], seeds, places.__getitem__)
            reward, kl = found["validation_reward"], found["validation_kl"]
        return {
            "reward_mean": reward,
            "kl": kl,
            "objective_mean": reward - self.config.kl_coefficient * kl,
        }

    def _evaluate(self) -> dict[str, float]:
        if not self.held_out_prompts:
            return {}
        seeds = [
            derived_seed(self.config.seed, "held-out", index) for index in range(len(self.held_out_prompts))
        ]
        return self._look_at(self.held_out_prompts, seeds, self.held_out_places.__getitem__)

    def _look_at(
        self, prompts: list[list[int]], seeds: list[int], place: Callable[[int], str]
    ) -> dict[str, float]:
        self.networks.policy.eval()
        with self._averaged():
            return self.roller.held_out(prompts, seeds, place)

    def _averaged(self) -> AbstractContextManager[None]:
        """The policy as it is evaluated and given away."""
        return self.average.in_place() if self.average else nullcontext()

    def _finish(self) -> None:
        seconds = {f"seconds_{name}": round(value, 3) for name, value in self.roller.seconds.items()}
        before = {f"{name}_before": value for name, value in (self.session.state.get("before") or {}).items()}
        self.session.finish(
            self.session.last_metrics
            | before
            | seconds
            | {
                "kl_coefficient": self.controller.coefficient,
                "episodes": self.session.step * self.config.batch_size,
                "seconds_are_of_episodes": (self.session.step - self.begun_at) * self.config.batch_size,
            },
            final_may_be_best=not self.budget.nats,
        )

    def _fit(self, *, resumed: bool) -> Any:
        """The configuration, once four networks, the update and sampling are known to fit."""
        config = self.config
        longest = max(map(len, self.prompts)) + config.maximum_new_tokens
        load = memory.load_of_episodes(
            [len(prompt) for prompt in self.prompts], config.maximum_new_tokens, config.minibatch_size
        )

        return memory.fit(
            self.run,
            config,
            self.accelerator,
            load,
            lambda: network_sizes(config, rereads=self.rereader is not None),
            cache=lambda: memory.cache_bytes(
                config.policy, rows=min(config.batch_size, ROWS_AT_A_TIME), tokens=longest
            ),
            resumed=resumed,
            shorten="maximum_prompt_length",
        )

    def _find_rereader(self) -> Rereader | None:
        """None where the reward model reads the policy's own tokens."""
        reader, context = load_reader(
            self.config.reward_model, allowed_hub_ids=self.config.allowed_hub_ids, field="reward_model"
        )
        if reads_alike(self.tokenizer, reader):
            self.context = min(self.context, context)
            return None
        self.run.log(
            "the reward model has another tokenizer or chat template than the policy: responses are read "
            "again as text, and the value model starts from the policy, with a fresh head"
        )
        return Rereader(ChatEncoder(self.tokenizer), ChatEncoder(reader), context)

    def _encode(self, rows: list[PromptRow], file: str, places: list[str]) -> list[list[int]]:
        """Those that fit; where each is from is added to `places`."""
        encoder = ChatEncoder(self.tokenizer)
        room = self.context - self.config.maximum_new_tokens
        if room < 1:
            raise DataError(
                f"maximum_new_tokens ({self.config.maximum_new_tokens}) leaves no room for a prompt in the "
                f"{self.context} tokens that policy and reward model read",
                file=file,
            )
        limit = min(self.config.maximum_prompt_length, room)
        encoded = [encoder.encode_prompt(row.prompt) for row in rows]
        fitting = [
            (ids, place_in(file, row.row))
            for row, ids in zip(rows, encoded, strict=True)
            if len(ids) <= limit and self._is_readable(row, ids)
        ]
        kept = [ids for ids, _ in fitting]
        places += [place for _, place in fitting]
        if not kept:
            raise DataError(
                f"every prompt is longer than {limit} tokens; shorten them, raise maximum_prompt_length, or "
                "lower maximum_new_tokens if prompt and response together fill what the models read",
                file=file,
            )
        if len(kept) < len(encoded):
            self.run.log(
                f"{len(encoded) - len(kept)} of {len(encoded)} prompts of {file} are longer than {limit} "
                "tokens, or than the reward model can read beside a response, and were dropped",
                dropped_rows=len(encoded) - len(kept),
                file=file,
            )
        return kept

    def _is_readable(self, row: PromptRow, ids: list[int]) -> bool:
        return self.rereader is None or self.rereader.learn(row.prompt, ids, self.config.maximum_new_tokens)

    def _save_models(self, folder: Path) -> None:
        with self._averaged():
            save_model(self.networks.policy.model, self.tokenizer, folder)
        if self.average:
            self.average.save_live(folder / LIVE_POLICY)
        (folder / VALUE_MODEL).mkdir()
        save_model(self.networks.value.model, self.tokenizer, folder / VALUE_MODEL)
