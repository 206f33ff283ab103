"""Makes a model for which a CPU has something to compute. Runs in the environment of tools/vllm_env.py.

    python vllm_model.py FOLDER

10 million parameters, a few seconds; one seed gives one model. Its tokenizer knows bytes and nothing else, so a prompt
of a workload with one byte per token has exactly its tokens, and texts that share a beginning share their blocks.
"""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

TINY = Path(__file__).resolve().parents[2] / "tests" / "vllm" / "mkmodel.py"
"""The maker of the tests' model, of which this is a larger one."""

SHAPE = {
    "hidden_size": 384,
    "intermediate_size": 1024,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 6,
    "head_dim": 64,
}


def maker() -> Any:
    """The module that makes the tests' model."""
    spec = spec_from_file_location("mkmodel", TINY)
    assert spec is not None, f"{TINY} is there"
    assert spec.loader is not None, "Python loads its own files"
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(folder: Path) -> None:
    """Writes the model."""
    tiny = maker()
    for name, value in SHAPE.items():
        setattr(tiny.CONFIG, name, value)
    tiny.CONFIG.vocab_size = 256 + len(tiny.SPECIAL)  # so that its tokenizer merges nothing
    tokenizer = tiny.make_tokenizer()
    tokenizer.save_pretrained(folder)
    model = tiny.make_model(len(tokenizer))
    with tiny.torch.no_grad():
        for token, number in tokenizer.get_vocab().items():
            if len(token) > 1 or not token.isascii():
                model.lm_head.weight[number] = 0  # servers hold back what is no whole character
    model.save_pretrained(folder, safe_serialization=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
