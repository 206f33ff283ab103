"""Makes a tiny random Llama with tokenizer and chat template, and two LoRA adapters for it. Nothing is downloaded.

    python mkmodel.py FOLDER        makes FOLDER/base, FOLDER/lora-a, FOLDER/lora-b

Runs in the environment of tools/vllm_env.py. 148,000 parameters, 300 KB, a second or two; one seed gives one model.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL = ["<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]

CORPUS = [
    "the quick brown fox jumps over the lazy dog " * 20,
    "you are a helpful assistant. " * 20,
    "hello world, what is the capital of France? " * 20,
]
"""For a few merges beside the 256 bytes: with these every text has tokens."""

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

CONFIG = LlamaConfig(
    vocab_size=512,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=2,
    head_dim=32,
    max_position_embeddings=4096,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=2,
    tie_word_embeddings=False,  # tied ones repeat one token for ever
)

RANK = 4
TARGETS = ["q_proj", "v_proj"]


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=CONFIG.vocab_size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=1,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    fast.model_max_length = CONFIG.max_position_embeddings
    fast.chat_template = CHAT_TEMPLATE
    return fast


def make_model(tokens: int) -> LlamaForCausalLM:
    torch.manual_seed(0)
    model = LlamaForCausalLM(CONFIG).to(torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.15)
        # Special tokens make no text, and those beyond the vocabulary are nothing.
        model.lm_head.weight[: len(SPECIAL)] = 0
        model.lm_head.weight[tokens:] = 0
    return model


def make_adapter(folder: Path, base: Path, seed: int) -> None:
    """A LoRA adapter in the layout of PEFT, which is not needed for it."""
    torch.manual_seed(seed)
    size = CONFIG.hidden_size
    weights = {}
    for layer in range(CONFIG.num_hidden_layers):
        for target in TARGETS:
            key = f"base_model.model.model.layers.{layer}.self_attn.{target}"
            weights[f"{key}.lora_A.weight"] = torch.randn(RANK, size) * 0.02
            weights[f"{key}.lora_B.weight"] = torch.randn(size, RANK) * 0.02
    folder.mkdir()
    save_file(weights, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base),
        "r": RANK,
        "lora_alpha": 8,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": TARGETS,
        "fan_in_fan_out": False,
        "inference_mode": True,
        "modules_to_save": None,
        "use_rslora": False,
        "use_dora": False,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))


def main(folder: Path) -> None:
    base = folder / "base"
    base.mkdir(parents=True)
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(base)
    make_model(len(tokenizer)).save_pretrained(base, safe_serialization=True)
    for seed, name in enumerate("ab", start=1):
        make_adapter(folder / f"lora-{name}", base, seed)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
