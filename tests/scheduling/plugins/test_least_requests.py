from epp.scheduling.plugins.least_requests import LeastRequestsCost
from tests.scheduling.plugins.contract import chat, costs, pool_with, view


def test_requests_count_whoever_sent_them_and_nothing_else_does() -> None:
    pool = pool_with(3, requests=[3, 1, 0], foreign_requests=[0, 1, 0], prefill_tokens=[0, 0, 1e6])
    look = view(pool, blocks=[10, 0, 0], prompt_tokens=640)
    assert costs(LeastRequestsCost(), chat(), look) == [3, 2, 0]
