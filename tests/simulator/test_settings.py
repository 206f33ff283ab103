import pytest

from epp.simulator import EngineSettings, PodSettings, SimServerSettings


def test_pods_take_addresses_ports_and_speeds_in_turn() -> None:
    settings = SimServerSettings(pods=4, hosts=("127.0.0.1", "127.0.0.2"), port=8000, speeds=(1.0, 1.0, 0.5))
    assert [(pod.host, pod.port, pod.speed) for pod in settings.pod_settings()] == [
        ("127.0.0.1", 8000, 1.0),
        ("127.0.0.2", 8000, 1.0),
        ("127.0.0.1", 8001, 0.5),
        ("127.0.0.2", 8001, 1.0),
    ]


def test_free_ports_stay_free() -> None:
    assert {pod.port for pod in SimServerSettings(pods=3, port=0).pod_settings()} == {0}


def test_all_pods_serve_alike() -> None:
    engine = EngineSettings(max_loras=2)
    settings = SimServerSettings(model="m", adapters=("a",), engine=engine, seed=5, mean_output_tokens=9)
    for pod in settings.pod_settings():
        assert (pod.model, pod.adapters, pod.engine, pod.seed, pod.mean_output_tokens) == ("m", ("a",), engine, 5, 9)


BAD: dict[str, tuple[dict[str, object], str]] = {
    "no pods": ({"pods": 0}, "pods is 0; it must be between 1 and 1000"),
    "no address": ({"hosts": ()}, "at least one"),
    "a name for an address": ({"hosts": ("localhost",)}, "localhost"),
    "ports beyond the last": ({"port": 65535, "pods": 2}, "port is 65536"),
    "no model": ({"model": ""}, "different, non-empty names"),
    "an adapter named as the model": (
        {"model": "m", "adapters": ("m",), "engine": EngineSettings(max_loras=1)},
        "different, non-empty names",
    ),
    "adapters without slots": ({"adapters": ("a",)}, "max_loras is 0: set it to at least 1"),
    "an unknown cost model": ({"cost": "free"}, "there are: program-scheduling, dynamo-mocker"),
    "standing still": ({"speeds": (0.0,)}, "speed is 0.0"),
    "a negative seed": ({"seed": -1}, "seed must be"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SimServerSettings(**changes)  # type: ignore[arg-type]


def test_a_pod_alone_is_checked_too() -> None:
    with pytest.raises(ValueError, match="port is -1"):
        PodSettings(port=-1)
