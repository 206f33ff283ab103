from epp.simulator.blocks import BlockHash
from epp.simulator.host_tier import HostTier


def chain(*numbers: int) -> list[BlockHash]:
    return [BlockHash(number) for number in numbers]


def test_what_was_evicted_is_found_up_to_the_first_gap() -> None:
    tier = HostTier(9)
    tier.add(chain(1, 2, 3, 4), 1, 3)
    tier.add(chain(1, 2, 3, 4, 5), 4, 5)
    assert [tier.count(chain(1, 2, 3, 4, 5), start, 5) for start in range(6)] == [0, 2, 1, 0, 1, 0]
    assert tier.count(chain(1, 2, 3, 4, 5), 1, 2) == 1


def test_the_oldest_goes_first_and_of_a_sequence_its_tail() -> None:
    tier = HostTier(4)
    tier.add(chain(1, 2), 0, 2)
    tier.add(chain(7, 8, 9), 0, 3)
    assert (len(tier), tier.count(chain(1, 2), 0, 2)) == (4, 1)
    tier.add(chain(5), 0, 1)
    assert (tier.count(chain(1), 0, 1), tier.count(chain(7, 8, 9), 0, 3)) == (0, 3)
    tier.add(chain(6), 0, 1)
    assert tier.count(chain(7, 8, 9), 0, 3) == 2


def test_what_is_used_or_evicted_again_stays_longest() -> None:
    tier = HostTier(3)
    for number in (1, 2, 3):
        tier.add(chain(number), 0, 1)
    tier.use(chain(1), 0, 1)
    tier.add(chain(2), 0, 1)
    tier.add(chain(4), 0, 1)
    assert [tier.count(chain(number), 0, 1) for number in (1, 2, 3, 4)] == [1, 1, 0, 1]
