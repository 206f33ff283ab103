"""What runs leave behind."""

import numpy as np

from epp.reports import Failure
from tests.reports.made import calls_of


def test_time_per_token_counts_from_the_first() -> None:
    calls = calls_of(3, ttft_s=1.0, e2e_s=3.0, output_tokens=[21, 1, 0])
    np.testing.assert_allclose(calls.tpot_s, [0.1, np.nan, np.nan])


def test_answered_are_those_that_did_not_fail() -> None:
    assert calls_of(3, failure=[Failure.NONE, Failure.BUSY, Failure.NONE]).ok.tolist() == [True, False, True]
