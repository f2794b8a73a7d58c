"""Rows packed side by side: the same losses and gradients as each row by itself, and no row sees another."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from training.rlhf.batches import branch, micro_batches, read_ends, supervise_responses
from training.rlhf.losses import pairwise_loss, selected_logprobs, token_loss
from training.rlhf.models import SequenceScores, TokenLogits
from training.rlhf.packing import packed_attention, side_by_side

from .conftest import result, run_here

VOCABULARY = 97
SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 1,
}
NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
GATED = {**SMALL, "intermediate_size": 48, "max_position_embeddings": 64}
PROMPTS = [3, 1, 5, 2]
RESPONSES = [4, 9, 1, 6]


def make(family: str, head: str = "ForCausalLM", **changes):
    """A model with random weights, seeded."""
    import transformers

    config = {
        "GPT2": (transformers.GPT2Config, {**SMALL, **NO_DROPOUT, "n_positions": 64}),
        "Llama": (transformers.LlamaConfig, {**GATED, "num_key_value_heads": 2}),
        "Qwen2": (transformers.Qwen2Config, {**GATED, "num_key_value_heads": 1}),
        "GPTNeoX": (transformers.GPTNeoXConfig, GATED),
        "Bloom": (transformers.BloomConfig, SMALL),
        "Mistral": (transformers.MistralConfig, {**GATED, "num_key_value_heads": 2, "sliding_window": 6}),
    }[family]
    torch.manual_seed(0)
    name = "GPT2LMHeadModel" if (family, head) == ("GPT2", "ForCausalLM") else f"{family}{head}"
    return getattr(transformers, name)(config[0](**{**config[1], **changes})).eval()


def rows(lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(2, VOCABULARY, (length,), generator=generator).tolist() for length in lengths]


@pytest.fixture
def examples():
    prompts, responses = rows(PROMPTS, 1), rows(RESPONSES, 2)
    return [prompt + response for prompt, response in zip(prompts, responses, strict=True)]


def gradient(model):
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", ["GPT2", "Llama", "Qwen2", "GPTNeoX"])
def test_packed_loss_and_gradient_equal_those_of_each_row_by_itself(family, examples, checkpointing):
    found = []
    for packed in (True, False):
        model = make(family)
        if checkpointing:
            model.gradient_checkpointing_enable()
        scorer = TokenLogits(model, packing=packed)
        scorer.train(checkpointing)
        assert scorer.packs is packed
        # The slow version: one row at a time, with neither padding nor neighbours.
        pieces = [examples] if packed else [[row] for row in examples]
        starts = [PROMPTS] if packed else [[start] for start in PROMPTS]
        loss = torch.zeros(())
        for piece, start in zip(pieces, starts, strict=True):
            batch = supervise_responses(piece, start, 1, packed=packed)
            loss = loss + token_loss(scorer(batch), batch.targets).loss_sum / sum(RESPONSES)
        loss.backward()
        found.append((loss.detach(), gradient(model)))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["GPT2", "Llama"])
def test_rows_of_a_pack_do_not_see_one_another(family, examples):
    """Another text in one row leaves the logits of all others as they were, to the last bit."""
    scorer = TokenLogits(make(family))

    def logits(texts):
        with torch.no_grad():
            return scorer(supervise_responses(texts, PROMPTS, 1, packed=True)).split(RESPONSES)

    before = logits(examples)
    for changed in range(len(examples)):
        others = [
            [(token + 1) % VOCABULARY for token in text] if row == changed else text
            for row, text in enumerate(examples)
        ]
        for row, (old, new) in enumerate(zip(before, logits(others), strict=True)):
            assert old.equal(new) is (row != changed)


def test_the_loss_of_a_row_sends_no_gradient_into_another(examples):
    model = make("GPT2")
    scorer = TokenLogits(model)
    batch = supervise_responses(examples, PROMPTS, 1, packed=True)
    embedded = model.transformer.wte(batch.ids).detach().requires_grad_()
    model.transformer.wte.register_forward_hook(lambda *_: embedded)
    third = slice(RESPONSES[0] + RESPONSES[1], sum(RESPONSES[:3]))
    selected_logprobs(scorer(batch), batch.targets)[third].sum().backward()
    start = len(examples[0]) + len(examples[1])
    reached = embedded.grad[0].abs().sum(dim=1) > 0
    own = torch.zeros_like(reached)
    own[start : start + len(examples[2]) - 1] = True  # the last token predicts nothing
    assert reached.equal(own)


@pytest.mark.parametrize("family", ["GPT2", "Llama"])
def test_completions_that_share_a_prompt_score_as_whole_sequences_do(family):
    """The oracle encodes each completion with its prompt anew, padded, as anyone would."""
    families = [(rows([7], 1)[0], rows([3, 8, 1, 5], 2)), (rows([2], 3)[0], rows([4, 4], 4))]
    ranks = [[2, 1, 2, 3], [1, 2]]
    found = []
    for packed in (True, False):
        model = make(family, "ForSequenceClassification", num_labels=1)
        scorer = SequenceScores(model, packing=packed)
        assert scorer.packs is packed
        if packed:
            batch = branch(families)
            assert batch.tokens == 7 + 3 + 8 + 1 + 5 + 2 + 4 + 4  # each prompt once
        else:
            batch = read_ends([prompt + reply for prompt, replies in families for reply in replies], 1)
        scores = scorer(batch)
        losses = [
            pairwise_loss(part, order).loss for part, order in zip(scores.split([4, 2]), ranks, strict=True)
        ]
        sum(losses).backward()
        found.append((scores.detach(), torch.stack(losses).detach(), gradient(model)))
    for fast, slow in zip(*found, strict=True):
        torch.testing.assert_close(fast, slow, atol=1e-5, rtol=0)


def test_completions_of_one_prompt_do_not_see_one_another():
    scorer = SequenceScores(make("GPT2", "ForSequenceClassification", num_labels=1))
    prompt, replies = rows([6], 1)[0], rows([3, 4, 2], 2)
    with torch.no_grad():
        before = scorer(branch([(prompt, replies)]))
        after = scorer(branch([(prompt, [replies[0], [5, 5, 5, 5], replies[2]])]))
        moved = scorer(branch([([*prompt[:-1], 4], replies)]))
    assert before[0] == after[0] and before[2] == after[2] and before[1] != after[1]
    assert not (before == moved).any()  # and all see the prompt


@pytest.mark.parametrize("family", ["Bloom", "Mistral"])
def test_what_cannot_be_packed_is_left_as_it_was(family, examples):
    """Bloom adds biases by distance; Mistral here looks back over six tokens only."""
    model = make(family)
    before = model.config._attn_implementation
    assert not TokenLogits(model).packs
    assert model.config._attn_implementation == before


def test_attention_that_is_capped_or_windowed_is_refused_rather_than_wrong():
    parts = [torch.randn(1, 2, 8, 4) for _ in range(3)]
    layout = side_by_side([8])
    module = torch.nn.Module()
    for option in ({"softcap": 30.0}, {"sliding_window": 7}, {"s_aux": torch.zeros(2)}):
        with pytest.raises(NotImplementedError):
            packed_attention(module, *parts, None, layout=layout, **option)
    packed_attention(module, *parts, None, layout=layout, sliding_window=8)


def test_packed_groups_hold_as_many_tokens_as_fit_and_lose_no_row():
    lengths = [5, 30, 12, 40, 3, 3, 60, 1]
    assert list(micro_batches(range(8), lengths, 50, packed=True)) == [[0, 1, 2], [3, 4, 5], [6], [7]]


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation made."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        made = function(*arguments, **(named or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor):
                self.elements = max(self.elements, leaf.numel())
        return made


@pytest.mark.parametrize("packed", [False, True])
def test_no_tensor_of_batch_by_time_by_vocabulary_is_ever_made(packed):
    """A vocabulary so large that logits outweigh all else: only those of response tokens are made."""
    large = 5_000
    model = make("GPT2", vocab_size=large)
    scorer = TokenLogits(model, packing=packed)
    texts, starts = rows([30, 24, 33, 28]), [27, 20, 29, 26]
    responses = sum(len(text) - start for text, start in zip(texts, starts, strict=True))
    batch = supervise_responses(texts, starts, 1, packed=packed)
    with Largest() as seen:
        selected_logprobs(scorer(batch), batch.targets, 0.7).sum().backward()
    assert seen.elements == max(responses * large, large * 32)


def test_the_padded_way_is_still_there_and_ends_alike(world, base_model, tmp_path):
    """Same rows in each step: the runs differ by rounding alone."""
    losses = []
    for packing in (True, False):
        config = world.config(
            "sft", model=str(base_model), packing=packing, group_by_length=False, maximum_steps=6
        )
        assert run_here("sft", config, tmp_path / str(packing)) == 0
        losses.append(result(tmp_path / str(packing))["metrics"]["validation_loss"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
