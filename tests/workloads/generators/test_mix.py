from __future__ import annotations

import numpy as np
import pytest

from epp.workloads import WorkloadError
from epp.workloads.generators import Mix, generate


def test_kinds_come_side_by_side_in_their_shares() -> None:
    workload = generate(Mix(calls=600, chat_share=0.5, agents_share=0.3), np.random.default_rng(3))
    assert len(workload.calls) == 600
    alone = sum(call.session is None for call in workload.calls)
    assert alone == 120
    middle = workload.calls[200:400]
    assert 0 < sum(call.session is None for call in middle) < len(middle)


def test_sessions_of_different_kinds_are_different_sessions() -> None:
    workload = generate(Mix(calls=600), np.random.default_rng(3))
    first_prompts: dict[int, int] = {}
    for call in workload.calls:
        if call.session is not None and call.after is None:
            assert call.session not in first_prompts
            first_prompts[call.session] = call.prompt[0].id
    for call in workload.calls:
        if call.after is not None:
            assert workload.calls[call.after].session == call.session


def test_a_share_of_nothing_leaves_a_kind_out() -> None:
    workload = generate(Mix(calls=100, chat_share=0.0, agents_share=0.0), np.random.default_rng(1))
    assert all(call.session is None for call in workload.calls)


def test_shares_beyond_the_whole_are_refused() -> None:
    with pytest.raises(WorkloadError, match="at most 1"):
        generate(Mix(chat_share=0.8, agents_share=0.4), np.random.default_rng(1))
