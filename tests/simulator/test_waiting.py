from epp.simulator.sequences import LiveSequence, RequestId, SimRequest
from epp.simulator.waiting import WaitingQueue


def sequence(number: int, adapter: str = "") -> LiveSequence:
    return LiveSequence(SimRequest(RequestId(number), 1, 1, adapter=adapter), number, 0.0)


def queue_of(*adapters: str) -> WaitingQueue:
    queue = WaitingQueue()
    for number, adapter in enumerate(adapters):
        queue.push(sequence(number, adapter))
    return queue


def drain(queue: WaitingQueue, *admitted: str) -> list[int]:
    order = []
    while (front := queue.front(lambda adapter: adapter in admitted)) is not None:
        order.append(front.request.id)
        queue.remove(front)
    return order


def test_first_come_first_served() -> None:
    assert drain(queue_of("", "", ""), "") == [0, 1, 2]


def test_nobody_waits_behind_one_that_lacks_a_slot() -> None:
    queue = queue_of("a", "b", "a", "")
    assert drain(queue, "b", "") == [1, 3]
    assert (len(queue), queue.deferred) == (2, 2)


def test_the_deferred_come_back_in_the_order_of_arrival() -> None:
    queue = queue_of("a", "b", "a", "b", "")
    queue.front(lambda adapter: not adapter)
    assert queue.deferred == 4
    assert drain(queue, "", "a", "b") == [0, 1, 2, 3, 4]
    assert len(queue) == 0


def test_the_deferred_go_before_later_arrivals() -> None:
    queue = queue_of("a", "")
    queue.front(lambda adapter: not adapter)
    queue.push(sequence(2, "b"))
    assert drain(queue, "", "a", "b") == [0, 1, 2]


def test_one_that_was_preempted_goes_first() -> None:
    queue = queue_of("", "")
    queue.push_front(sequence(9))
    assert drain(queue, "") == [9, 0, 1]


def test_any_can_be_removed() -> None:
    queue = WaitingQueue()
    waiting = [sequence(number, adapter) for number, adapter in enumerate(("a", "", ""))]
    for each in waiting:
        queue.push(each)
    queue.front(lambda adapter: not adapter)
    queue.remove(waiting[0])
    queue.remove(waiting[2])
    assert drain(queue, "", "a") == [1]
    assert repr(queue) == "<WaitingQueue 0 in line, 0 deferred>"
