"""Sampling is pure, seeded row by row, and independent of which rows are generated together."""

import pytest
import torch

from training.rlhf.generation import (
    choose_tokens,
    generate,
    left_padded_positions,
    pad_left,
    uniform_stream,
)
from training.rlhf.kv_cache import RoomyLayer, new_cache
from training.rlhf.models import TokenLogits, load_causal_lm

from .test_packing import make

PROMPTS = [[5, 40, 41, 42, 43, 44, 60, 61], [5, 50], [5, 60, 61, 62], [5, 70, 71]]
CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=["padded", "packed"])
def model(base_model, request):
    """Both ways in which prompts are read."""
    found = load_causal_lm(str(base_model), allowed_hub_ids=[])[0].eval()
    assert TokenLogits(found, packing=request.param == "packed").packs is (request.param == "packed")
    return found


def run(model, prompts, seeds, temperature=1.0, stops=(0,), length=20, top_p=1.0):
    found = generate(
        model,
        prompts,
        seeds=seeds,
        pad_id=1,
        stops=list(stops),
        max_new_tokens=length,
        temperature=temperature,
        top_p=top_p,
        device=CPU,
    )
    return [(row.tokens, row.ended) for row in found]


def slow_sample(model, prompt, seed, length, stops):
    """One row, no cache, no padding: the definition."""
    stream = uniform_stream([seed], length)
    tokens = []
    for column in range(length):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt + tokens])).logits[0, -1:].float()
        tokens.append(int(choose_tokens(logits, stream[:, column], temperature=1.0)))
        if tokens[-1] in stops:
            return tokens, True
    return tokens, False


def test_batched_rows_say_what_they_say_alone(model):
    stops = list(range(0, 300, 6))  # so that rows end at different times and leave the batch
    many = PROMPTS * 4  # several rows stay when others leave, so that mixed-up caches would show
    expected = [slow_sample(model, prompt, seed, 20, stops) for seed, prompt in enumerate(many)]
    assert len({len(tokens) for tokens, _ in expected}) > 4
    assert run(model, many, list(range(16)), stops=stops) == expected


def test_the_seed_of_a_row_decides(model):
    first = run(model, [PROMPTS[0]] * 3, [7, 8, 7])
    assert first[0] == first[2] != first[1]


def test_temperature_zero_is_greedy_as_in_transformers(model):
    expected = model.generate(
        torch.tensor([PROMPTS[0]]), max_new_tokens=20, do_sample=False, eos_token_id=0, pad_token_id=1
    )[0, len(PROMPTS[0]) :].tolist()
    assert run(model, [PROMPTS[0]], [0], temperature=0.0)[0][0] == expected


def test_nothing_follows_a_stop_token(model):
    stops = list(range(0, 300, 3))
    for tokens, ended in run(model, PROMPTS, [1, 2, 3, 4], stops=stops):
        assert [token in stops for token in tokens] == [False] * (len(tokens) - 1) + [ended]


def test_sampling_follows_the_distribution():
    logits = torch.tensor([[0.0, 1.0, 2.0, -torch.inf]]).expand(100_000, 4)
    uniforms = torch.rand(100_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    counts = torch.bincount(choose_tokens(logits, uniforms, temperature=0.5), minlength=4) / 100_000
    torch.testing.assert_close(counts, torch.softmax(logits[0] / 0.5, 0), atol=0.005, rtol=0)
    assert counts[3] == 0


def test_the_extremes_of_the_uniform_never_pick_an_impossible_token():
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]])
    assert choose_tokens(logits, torch.tensor([0.0]), temperature=1.0).item() == 1
    assert choose_tokens(logits, torch.tensor([1 - 1e-16], dtype=torch.float64), temperature=1.0).item() in (
        1,
        2,
    )


def test_top_p_keeps_the_smallest_set_that_reaches_it():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).expand(2000, 4)
    uniforms = torch.linspace(0, 0.9999, 2000, dtype=torch.float64)
    assert set(choose_tokens(logits, uniforms, temperature=1.0, top_p=0.7).tolist()) == {0, 1}
    assert set(choose_tokens(logits, uniforms, temperature=1.0, top_p=0.81).tolist()) == {0, 1, 2}


def test_left_padded_prompts_count_positions_from_their_own_start():
    ids, attention = pad_left([[7, 8, 9], [5]], pad_id=1)
    assert ids.tolist() == [[7, 8, 9], [1, 1, 5]]
    assert left_padded_positions(attention).tolist() == [[0, 1, 2], [0, 0, 0]]


def test_equal_prompts_are_read_once(model):
    read = []
    hook = model.get_input_embeddings().register_forward_pre_hook(
        lambda _, given: read.append(given[0].numel())
    )
    prompt, other = PROMPTS[0], [*PROMPTS[0][:-1], 60]
    found = run(model, [prompt, other, prompt, prompt], [5, 6, 7, 5], length=9, stops=[-1])
    hook.remove()
    assert read[0] == len(prompt) + len(other)
    assert read[1:] == [4] * 8  # and the last token is not read at all
    assert found[0] == found[3] != found[2]
    assert found == [run(model, [p], [s], length=9, stops=[-1])[0] for p, s in
                     [(prompt, 5), (other, 6), (prompt, 7), (prompt, 5)]]  # fmt: skip


@pytest.mark.parametrize("family", ["Llama", "GPTNeoX"])
def test_rotary_models_say_alone_what_they_say_in_a_batch(family):
    foreign = make(family)
    assert TokenLogits(foreign).packs
    many = [[token % 90 + 2 for token in prompt] for prompt in PROMPTS * 2]
    expected = [slow_sample(foreign, prompt, seed, 12, [2, 3, 4]) for seed, prompt in enumerate(many)]
    assert run(foreign, many, list(range(8)), length=12, stops=[2, 3, 4]) == expected


def test_a_roomy_cache_holds_what_the_librarys_own_holds():
    from transformers import DynamicCache, GPT2Config

    config = GPT2Config(n_layer=1)
    roomy, plain = new_cache(config), DynamicCache(config=config)
    assert type(roomy.layers[0]) is RoomyLayer
    generator = torch.Generator().manual_seed(0)
    batch = 6
    for step, length in enumerate([5] + [1] * 90 + [3] + [1] * 60):
        if step in (20, 95):
            kept = torch.arange(0, batch, 2)
            roomy.batch_select_indices(kept)
            plain.batch_select_indices(kept)
            batch = len(kept)
        new = [torch.randn(batch, 2, length, 4, generator=generator) for _ in range(2)]
        for ours, theirs in zip(roomy.update(*new, 0), plain.update(*new, 0), strict=True):
            assert ours.equal(theirs)
    assert roomy.get_seq_length() == plain.get_seq_length() == 158
