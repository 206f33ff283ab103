import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.prefix import BLOCK_BYTES, chain_of, seed_of


def blocks(chain: bytes) -> list[bytes]:
    return [chain[i : i + 8] for i in range(0, len(chain), 8)]


def test_a_prompt_shorter_than_a_block_has_no_chain() -> None:
    assert chain_of([b"x" * (BLOCK_BYTES - 1)], 0) == b""


def test_a_last_block_that_is_not_full_is_left_out() -> None:
    assert len(blocks(chain_of([b"x" * (2 * BLOCK_BYTES + 10)], 0))) == 2


@given(st.binary(min_size=600, max_size=3000), st.integers(1, 2999))
def test_how_a_prompt_is_cut_into_parts_does_not_matter(prompt: bytes, cut: int) -> None:
    assert chain_of([prompt[:cut], memoryview(prompt)[cut:]], 7) == chain_of([prompt], 7)


@given(st.binary(min_size=BLOCK_BYTES, max_size=4000), st.binary(max_size=2000))
def test_a_longer_prompt_begins_with_the_chain_of_its_prefix(prefix: bytes, rest: bytes) -> None:
    whole = blocks(chain_of([prefix + rest], 3))
    assert whole[: len(prefix) // BLOCK_BYTES] == blocks(chain_of([prefix], 3))


@given(st.lists(st.binary(min_size=BLOCK_BYTES, max_size=BLOCK_BYTES), min_size=2, max_size=8, unique=True), st.data())
def test_a_change_anywhere_changes_every_block_from_there_on(parts: list[bytes], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(parts) - 1))
    changed = [*parts]
    changed[at] = bytes([parts[at][0] ^ 1]) + parts[at][1:]
    old, new = blocks(chain_of(parts, 1)), blocks(chain_of(changed, 1))
    assert old[:at] == new[:at]
    assert all(a != b for a, b in zip(old[at:], new[at:], strict=True))


def test_two_blocks_in_the_other_order_are_another_prefix() -> None:
    a, b = b"a" * BLOCK_BYTES, b"b" * BLOCK_BYTES
    assert blocks(chain_of([a, b], 0))[1] != blocks(chain_of([b, a], 0))[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("m", "", ""), ("n", "", "")),
        (("m", "a", ""), ("m", "", "a")),
        (("ma", "", ""), ("m", "a", "")),
        (("m", "", "salt"), ("m", "", "pepper")),
    ],
)
def test_models_adapters_and_salts_share_nothing(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    prompt = [b"p" * BLOCK_BYTES]
    assert chain_of(prompt, seed_of(*one)) != chain_of(prompt, seed_of(*other))


def test_hashes_are_the_same_in_every_process() -> None:
    chain = chain_of([b"0123456789abcdef" * 32], seed_of("model"))
    assert np.frombuffer(chain, np.uint64).tolist() == PINNED


PINNED = [15946461807710884118, 6876153620519103189]
