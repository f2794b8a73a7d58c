"""A language model as one GGUF file, the format of llama.cpp, tokenizer and chat template included.

Names of tensors come from the `gguf` package; layouts are those of llama.cpp's converter: rotary halves of
Llama's queries and keys interleaved, GPT-2's weights turned, GPT-NeoX's query, key and value apart.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.rlhf.chat import ChatEncoder
from training.rlhf.errors import CheckpointError
from training.rlhf.export.shapes import FAMILIES, pre_tokenizer_of
from training.rlhf.model_folders import context_of

NAME = "model.gguf"
NORMAL, UNUSED, CONTROL, USER_DEFINED = 1, 5, 3, 4  # of gguf.TokenType
TURNED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


def write_gguf(model: Any, tokenizer: Any, folder: Path, facts: dict[str, str]) -> None:
    """`model.gguf` in `folder`; matrices in the model's own number format, vectors in 32 bits."""
    import gguf

    config: Any = model.config
    family = config.model_type
    quantized, file_type = {
        torch.float32: (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
        torch.float16: (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
        torch.bfloat16: (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    }[next(model.parameters()).dtype]
    writer = gguf.GGUFWriter(folder / NAME, FAMILIES[family])
    writer.add_name(facts["name"])
    writer.add_license(facts["license"])
    if facts.get("license_link"):
        writer.add_license_link(facts["license_link"])
    writer.add_file_type(file_type)
    _add_sizes(writer, config)
    _add_tokenizer(writer, tokenizer, model.get_input_embeddings().weight.shape[0])
    names = gguf.get_tensor_name_map(_architecture(family), config.num_hidden_layers)
    for name, tensor in _tensors(model, config):
        stem, ending = name.rsplit(".", 1)
        target = names.get_name(stem)
        if target is None:
            raise CheckpointError(f"gguf has no name for the tensor {name} of this model")
        kind = quantized if tensor.dim() > 1 else gguf.GGMLQuantizationType.F32
        numbers = gguf.quants.quantize(tensor.float().contiguous().numpy(), kind)
        writer.add_tensor(f"{target}.{ending}", numbers, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_gguf(folder: Path, original: Any) -> tuple[nn.Module, Any]:
    """(model in float32, tokenizer) as a reader of GGUF has them: transformers' own, which knows no GPT-NeoX.

    That one is read by us, into an empty model of the original's shape.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
    from transformers.integrations.gguf import convert_gguf_tokenizer, get_gguf_tokenizer

    if original.config.model_type == "gpt_neox":
        _, described, settings = get_gguf_tokenizer(str(folder / NAME))
        backend, _ = convert_gguf_tokenizer("gpt2", described)
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=settings["eos_token"])
        return _read_neox(folder, original), tokenizer
    config = AutoConfig.from_pretrained(folder, gguf_file=NAME)
    if config.model_type == "gpt2":
        # The reader puts these two where GPT-2 has no use for them.
        config.n_positions, config.n_inner = config.n_ctx, config.feed_forward_length
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=NAME, config=config, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(folder, gguf_file=NAME)


def _architecture(family: str) -> Any:
    import gguf

    return next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == FAMILIES[family])


def _add_sizes(writer: Any, config: Any) -> None:
    family, width = config.model_type, config.hidden_size
    writer.add_context_length(context_of(config))
    writer.add_embedding_length(width)
    writer.add_block_count(config.num_hidden_layers)
    inner = config.n_inner or 4 * width if family == "gpt2" else config.intermediate_size
    writer.add_feed_forward_length(inner)
    writer.add_head_count(config.num_attention_heads)
    if family in ("llama", "qwen2"):
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        writer.add_vocab_size(config.vocab_size)
        head = getattr(config, "head_dim", None) or width // config.num_attention_heads
        writer.add_rope_dimension_count(head)
        if family == "llama":
            writer.add_key_length(head)
            writer.add_value_length(head)
    else:
        writer.add_layer_norm_eps(config.layer_norm_epsilon if family == "gpt2" else config.layer_norm_eps)
    if family == "gpt_neox":
        rotary = config.rope_parameters
        head = width // config.num_attention_heads
        writer.add_rope_dimension_count(int(head * rotary.get("partial_rotary_factor", 1.0)))
        writer.add_rope_freq_base(rotary["rope_theta"])
        writer.add_parallel_residual(config.use_parallel_residual)


def _add_tokenizer(writer: Any, tokenizer: Any, rows: int) -> None:
    """Every token by its number, and one stand-in for each row of the embeddings that has none.

    How it splits is asked of the tokenizer that was loaded, which trained the model: for some families
    transformers makes one of its own kind of whatever tokenizer.json says.
    """
    added = tokenizer.added_tokens_decoder
    tokens = {number: text for text, number in tokenizer.get_vocab().items()}
    texts, kinds = [], []
    for number in range(rows):
        if number in added:
            is_control = added[number].special or number in tokenizer.all_special_ids
            kinds.append(CONTROL if is_control else USER_DEFINED)
        else:
            kinds.append(NORMAL if number in tokens else UNUSED)
        texts.append(tokens.get(number, f"[PAD{number}]"))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer_of(described(tokenizer)))
    writer.add_token_list(texts)
    writer.add_token_types(kinds)
    writer.add_token_merges(_merges_of(tokenizer))
    stop = ChatEncoder(tokenizer).stop_id
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_eot_token_id(stop)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_add_bos_token(False)  # the chat template says what a conversation begins with
    writer.add_chat_template(tokenizer.chat_template)


def described(tokenizer: Any) -> dict[str, Any]:
    """As tokenizer.json would have it."""
    found: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return found


def _merges_of(tokenizer: Any) -> list[str]:
    merges = described(tokenizer)["model"]["merges"]
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]


def _tensors(model: nn.Module, config: Any) -> list[tuple[str, Tensor]]:
    """(name in transformers, tensor as GGUF lays it out), tied output weights left out."""
    found = []
    tied = config.tie_word_embeddings
    for name, tensor in model.state_dict().items():
        is_output = name in ("lm_head.weight", "embed_out.weight")
        if is_output and tied:
            continue
        tensor = tensor.detach().cpu()
        if config.model_type == "gpt2" and name.endswith(TURNED):
            tensor = tensor.T
        if config.model_type == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            tensor = tensor.reshape(heads, 2, -1, tensor.shape[1]).transpose(1, 2).reshape(tensor.shape)
        if config.model_type == "gpt_neox" and ".attention.query_key_value." in name:
            tensor = _regrouped(tensor, config.num_attention_heads, 3)
        found.append((name, tensor))
    return found


def _regrouped(tensor: Tensor, outer: int, inner: int) -> Tensor:
    """Rows as (outer, inner, rest) in the order (inner, outer, rest); undone with both swapped."""
    shape = tensor.shape
    return tensor.reshape(outer, inner, -1, *shape[1:]).transpose(0, 1).reshape(shape)


def _read_neox(folder: Path, original: nn.Module) -> nn.Module:
    import gguf

    config: Any = original.config
    names = gguf.get_tensor_name_map(_architecture("gpt_neox"), config.num_hidden_layers)
    stored = {
        tensor.name: torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
        for tensor in gguf.GGUFReader(folder / NAME).tensors
    }
    again = type(original)(config).float().eval()
    state = {}
    for name in again.state_dict():
        stem, ending = name.rsplit(".", 1)
        tensor = stored[f"{names.get_name(stem)}.{ending}"]
        if ".attention.query_key_value." in name:
            tensor = _regrouped(tensor, 3, config.num_attention_heads)
        state[name] = tensor
    again.load_state_dict(state)
    return again
