from epp.simulator.lora import MAX_LABEL_SETS, AdapterSlots, LabelSets


def test_the_base_model_needs_no_slot() -> None:
    slots = AdapterSlots(0)
    assert slots.admits("")
    assert not slots.start("")
    slots.stop("")
    assert not slots.admits("a")


def test_an_adapter_is_loaded_once_and_stays_when_idle() -> None:
    slots = AdapterSlots(2)
    assert slots.start("a")
    assert not slots.start("a")
    slots.stop("a")
    assert slots.running == ("a",)
    slots.stop("a")
    assert slots.running == ()
    assert slots.resident == ("a",)
    assert not slots.start("a")


def test_a_full_batch_admits_only_its_own_adapters() -> None:
    slots = AdapterSlots(2)
    slots.start("a")
    slots.start("b")
    assert [slots.admits(name) for name in ("a", "b", "c", "")] == [True, True, False, True]
    slots.stop("a")
    assert slots.admits("c")


def test_the_idle_adapter_that_was_used_least_recently_makes_room() -> None:
    slots = AdapterSlots(3)
    for name in ("a", "b", "c"):
        slots.start(name)
    for name in ("b", "a"):
        slots.stop(name)
    assert slots.start("d")
    assert slots.resident == ("c", "a", "d")


def test_running_adapters_are_listed_in_the_order_in_which_they_came() -> None:
    slots = AdapterSlots(2)
    slots.start("b")
    slots.start("a")
    assert slots.running == ("b", "a")


def test_label_sets_stay_and_the_current_one_is_the_newest() -> None:
    sets = LabelSets()
    for now, adapters in enumerate([("a",), ("a", "b"), ("a",), ()]):
        sets.record(adapters, float(now))
    assert [(each.adapters, each.last_seen) for each in sets.snapshot()] == [
        (("a", "b"), 1.0),
        (("a",), 2.0),
        ((), 3.0),
    ]


def test_label_sets_are_bounded() -> None:
    sets = LabelSets()
    for number in range(MAX_LABEL_SETS + 5):
        sets.record((str(number),), 0.0)
    assert len(sets.snapshot()) == MAX_LABEL_SETS
    assert sets.snapshot()[0].adapters == ("5",)
