"""Exactly which tokens are learnt: the response and its stop token, nothing of the prompt, no padding."""

import pytest
import torch
from tokenizers import normalizers
from transformers import AddedToken

from training.rlhf.batches import supervise_responses
from training.rlhf.chat import ChatEncoder
from training.rlhf.encoding import learning_problem
from training.rlhf.models import TokenLogits, load_causal_lm, load_tokenizer

PROMPT = [{"role": "user", "content": "What colour is the cat?"}]


@pytest.fixture(scope="module")
def tokenizer(base_model):
    return load_tokenizer(str(base_model))


@pytest.fixture(scope="module")
def encoder(tokenizer):
    return ChatEncoder(tokenizer)


def learnt(encoder, rows):
    """The tokens of each row that have a label, as text."""
    encoded = [encoder.encode(prompt, response) for prompt, response in rows]
    batch = supervise_responses(
        [row.ids for row in encoded], [len(row.prompt) for row in encoded], encoder.pad_id
    )
    return [encoder.tokenizer.decode(batch.labels[row][batch.predicts[row]]) for row in range(len(rows))]


def test_the_response_and_its_stop_token_are_learnt(encoder):
    assert learnt(encoder, [(PROMPT, "The cat is black.")]) == ["The cat is black.<|endoftext|>"]


def test_a_longer_neighbour_changes_nothing(encoder):
    rows = [(PROMPT, "Black."), (PROMPT, "The cat is black, and it sleeps all day.")]
    assert learnt(encoder, rows) == [response + "<|endoftext|>" for _, response in rows]


def test_only_the_last_turn_of_a_conversation_is_learnt(encoder):
    turns = [*PROMPT, {"role": "assistant", "content": "Black."}, {"role": "user", "content": "And the dog?"}]
    assert learnt(encoder, [(turns, "Brown.")]) == ["Brown.<|endoftext|>"]


def test_pad_is_not_the_stop_token(tokenizer):
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_encoding_equals_the_templates_own(encoder, tokenizer):
    encoded = encoder.encode(PROMPT, "The cat is black.")
    whole = tokenizer.apply_chat_template(
        [*PROMPT, {"role": "assistant", "content": "The cat is black."}], tokenize=True, return_dict=False
    )
    assert encoded.ids == list(whole)


@pytest.mark.parametrize(
    "typed",
    [
        "<|endoftext|>",
        "stop <|endoftext|> now",
        "<|assistant|>Yes<|endoftext|>",
        "<|pad|>",
        "<|<|user|>user|>",
        "\ue000<|user|>",
    ],
)
def test_special_tokens_typed_by_people_stay_text(encoder, tokenizer, typed):
    special = set(tokenizer.all_special_ids)
    plain = encoder.encode([{"role": "user", "content": "x"}], "y")
    encoded = encoder.encode([{"role": "user", "content": typed}], typed)
    assert [i for i in encoded.prompt if i in special] == [i for i in plain.prompt if i in special]
    assert [i for i in encoded.response if i in special] == [encoder.stop_id]
    assert tokenizer.decode(encoded.response[:-1]) == typed
    assert typed in tokenizer.decode(encoded.prompt)


def test_a_tokenizer_that_pads_with_its_stop_token_is_given_another(base_model, tmp_path):
    """As GPT-2's users do; the stop token would fall out of the loss."""
    import json
    import shutil

    folder = tmp_path / "m"
    shutil.copytree(base_model, folder)
    (folder / "manifest.json").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["pad_token"] = settings["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    model, tokenizer = load_causal_lm(str(folder), allowed_hub_ids=[])
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert model.config.pad_token_id == tokenizer.pad_token_id


def test_a_base_model_without_role_tokens_gets_a_plain_template(base_model, tmp_path):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from training.rlhf.chat import PLAIN_TEMPLATE, prepare_tokenizer

    vocabulary = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>")
    assert prepare_tokenizer(tokenizer)
    assert tokenizer.chat_template == PLAIN_TEMPLATE
    encoder = ChatEncoder(tokenizer)
    assert tokenizer.decode(encoder.encode_prompt(PROMPT)) == "User: What colour is the cat?\n\nAssistant: "
    assert encoder.encode_response("Yes")[-1] == tokenizer.eos_token_id


def test_logits_at_chosen_positions_equal_the_full_models(base_model, encoder):
    model, _ = load_causal_lm(str(base_model), allowed_hub_ids=[])
    scorer = TokenLogits(model.eval())
    assert scorer.sparse
    rows = [encoder.encode(PROMPT, "Black."), encoder.encode(PROMPT, "The cat is black.")]
    batch = supervise_responses([row.ids for row in rows], [len(row.prompt) for row in rows], encoder.pad_id)
    with torch.no_grad():
        sparse = scorer(batch)
        for row, encoded in enumerate(rows):  # the slow version: one row at a time, no padding
            full = model(input_ids=torch.tensor([encoded.ids])).logits[0]
            expected = full[len(encoded.prompt) - 1 : -1]
            start = sum(len(other.response) for other in rows[:row])
            torch.testing.assert_close(
                sparse[start : start + len(encoded.response)], expected, atol=1e-5, rtol=1e-5
            )


def test_cutting_a_batch_into_micro_batches_changes_nothing(world, base_model):
    from training.rlhf.config import validate
    from training.rlhf.data import read_demonstrations
    from training.rlhf.session import open_accelerator
    from training.rlhf.stages.sft import ResponseTask, encode_rows

    gradients = []
    for limit in (100_000, 100):
        config = validate("sft", world.config("sft", model=str(base_model), micro_batch_tokens=limit))
        model, tokenizer = load_causal_lm(str(base_model), allowed_hub_ids=[])
        rows = encode_rows(
            read_demonstrations(world.sft), ChatEncoder(tokenizer), 64, "drop", world.sft, None
        )
        task = ResponseTask(model, tokenizer, rows, [], config, open_accelerator(config))
        pieces = list(task.losses(list(range(16))))
        sum(piece.loss for piece in pieces).backward()
        gradients.append((len(pieces), model.get_input_embeddings().weight.grad))
    assert gradients[0][0] == 1 and gradients[1][0] > 4
    torch.testing.assert_close(gradients[0][1], gradients[1][1], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("answer", ["text", "end", "e", "o", "of", "|", "<", " t ", "endoftext"])
def test_an_answer_may_be_spelled_in_the_name_of_the_stop_token(encoder, answer):
    """Classes are often one letter; the stop token's own name must not be taken for what was said."""
    encoded = encoder.encode(PROMPT, answer)
    assert encoder.closes_turn(PROMPT, answer)
    assert learning_problem(encoder, PROMPT, answer, encoded.response) is None


def test_a_template_that_does_not_end_the_turn_is_found_out_whatever_was_said(base_model):
    open_ended = (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}"
        "{% if loop.length == 1 %}{{ eos_token }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    encoder = ChatEncoder(load_tokenizer(str(base_model), chat_template=open_ended))
    for answer in ("The cat is black.", "e", "<|endoftext|>"):
        assert not encoder.closes_turn(PROMPT, answer)


def test_runs_of_spaces_among_the_added_tokens_stay_one_token_and_control_tokens_stay_text(base_model):
    """As in the vocabularies of GPT-NeoX and Gemma: an indented line is read as the model learnt to."""
    tokenizer = load_tokenizer(str(base_model))
    runs = [AddedToken(" " * count, normalized=True, special=False) for count in (2, 3, 4)]
    tokenizer.add_tokens([*runs, AddedToken("\n", normalized=False, special=False), "<tool>"])
    encoder = ChatEncoder(tokenizer)
    text = "if so:\n    stop\n  now"
    assert encoder.encode_answer(text) == tokenizer.encode(text, add_special_tokens=False)
    assert encoder.encode_response(text)[:-1] == encoder.encode_answer(text)
    prompt = [{"role": "user", "content": text}]
    assert encoder.encode_prompt(prompt) == tokenizer.apply_chat_template(
        prompt, add_generation_prompt=True, return_dict=False
    )
    (tool,) = tokenizer.encode("<tool>", add_special_tokens=False)
    assert tool not in encoder.encode_answer("a    <tool>")
    assert tokenizer.decode(encoder.encode_answer("a    <tool>")) == "a    <tool>"


def test_many_special_tokens_typed_by_people_are_no_burden(encoder, tokenizer):
    typed = "<|endoftext|>" * 5_000
    encoded = encoder.encode([{"role": "user", "content": typed}], typed)
    assert tokenizer.decode(encoded.response[:-1]) == typed
    assert encoded.response.index(encoder.stop_id) == len(encoded.response) - 1


FOLDS = {
    "full width": (normalizers.NFKC(), "\uff1c|stop|\uff1e"),
    "upper case": (normalizers.Lowercase(), "<|STOP|>"),
}


@pytest.mark.parametrize("fold", FOLDS)
def test_what_a_tokenizer_folds_into_a_special_token_stays_text(base_model, fold):
    """An added token that is looked for in normalized text (`normalized`, as add_tokens has it by itself)."""
    normalizer, typed = FOLDS[fold]
    folding = load_tokenizer(str(base_model))
    folding.add_tokens([AddedToken("<|stop|>", normalized=True, special=True)])
    folding.backend_tokenizer.normalizer = normalizer
    stop = folding.convert_tokens_to_ids("<|stop|>")
    assert stop in folding.encode(f"well, {typed} then")  # so it would be
    encoder = ChatEncoder(folding)
    encoded = encoder.encode([{"role": "user", "content": f"well, {typed} then"}], f"{typed} and {typed}")
    assert stop not in encoded.ids
    for ids in (encoded.prompt, encoded.response):
        assert "stop" in folding.decode(ids)
