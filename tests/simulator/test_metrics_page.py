"""The page against that of a real vLLM: the same names, types, help texts and labels."""

import re
from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from epp.simulator import Engine, EngineSettings, RequestId, SimRequest
from epp.simulator.metrics_page import MetricsPage
from tests.simulator.captures import capture

SETTINGS = EngineSettings(block_size=32, num_gpu_blocks=100, max_num_seqs=4, max_model_len=1024, max_loras=2)
PAGE = MetricsPage("tiny", SETTINGS, 1000.0)
NOW = 80.0


def busy_engine(**changes: int) -> Engine:
    """Two adapters running, one deferred, one request that waits, one that is complete."""
    engine = Engine(replace(SETTINGS, **changes), now=5.0)
    for number, adapter in enumerate(("", "a", "b", "c", "", "")):
        engine.submit(SimRequest(RequestId(number), 64, 1 if not number else 50, range(2), adapter), 5.0)
    at = engine.next_event_at()
    while engine.metrics(at).counters.generation_tokens < 10:
        assert at is not None
        engine.end_step(at)
        engine.begin_step(at)
        at = engine.next_event_at()
    return engine


def families(page: str) -> dict[str, tuple[str, str]]:
    """Type and help text by name."""
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))
    texts = dict(re.findall(r"^# HELP (\S+) (.*)$", page, re.MULTILINE))
    return {name: (kind, texts[name]) for name, kind in types.items()}


def series(page: str) -> set[str]:
    """Names with their labels in order; values only of labels that are enumerations."""
    found = re.findall(r"^(\w[^{ ]*)(\{.*\})? \S+$", page, re.MULTILINE)
    return {
        name + re.sub(r'(engine|model_name|max_lora|\w+_lora_adapters)="[^"]*"', r"\1", labels)
        for name, labels in found
        if name != "vllm:cache_config_info"
    }


def values(page: bytes) -> dict[str, float]:
    """Values by name and, after it, those labels that tell series of one name apart."""
    found = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            labels = [value for label, value in sample.labels.items() if label not in ("engine", "model_name")]
            found[" ".join((sample.name, *labels))] = sample.value
    return found


def test_families_and_series_are_those_of_vllm() -> None:
    ours, theirs = PAGE.render(busy_engine().metrics(NOW)).decode(), capture("vllm_metrics.txt")
    assert families(ours) == families(theirs)
    assert series(ours) == series(theirs)


def test_values_are_floats_as_python_writes_them() -> None:
    for line in PAGE.render(busy_engine().metrics(NOW)).decode().splitlines():
        if not line.startswith("#"):
            number = line.rpartition(" ")[2]
            assert number == repr(float(number))


def test_cache_config_tells_what_a_picker_reads_with_vllms_spelling() -> None:
    def labels(page: str) -> dict[str, str]:
        line = next(line for line in page.splitlines() if line.startswith("vllm:cache_config_info{"))
        return dict(re.findall(r'(\w+)="([^"]*)"', line))

    ours, theirs = labels(PAGE.render(busy_engine().metrics(NOW)).decode()), labels(capture("vllm_metrics.txt"))
    assert ours.items() <= theirs.items()
    assert {"block_size", "num_gpu_blocks", "enable_prefix_caching", "kv_cache_size_tokens"} <= ours.keys()


def test_values_are_the_engine_s() -> None:
    engine = busy_engine()
    found = values(PAGE.render(engine.metrics(NOW)))
    counters = engine.metrics(NOW).counters
    assert found["vllm:num_requests_running"] == 4
    assert found["vllm:num_requests_waiting"] == 1
    assert found["vllm:num_requests_waiting_by_reason deferred"] == 1
    assert found["vllm:num_requests_waiting_by_reason capacity"] == 0
    assert found["vllm:kv_cache_usage_perc"] == engine.metrics(NOW).used_blocks / 99
    assert found["vllm:prompt_tokens_total"] == counters.prompt_tokens
    assert found["vllm:generation_tokens_total"] == counters.generation_tokens
    assert found["vllm:request_success_total length"] == 1
    assert found["vllm:time_to_first_token_seconds_count"] == found["vllm:time_to_first_token_seconds_bucket +Inf"] == 5
    assert found["process_start_time_seconds"] == 1005.0
    assert found["vllm:engine_sleep_state awake"] == 1


def test_every_set_of_adapters_stays_and_the_newest_has_the_largest_value() -> None:
    engine = busy_engine()
    for number in (1, 3):  # a leaves, and c, which waits for its slot
        engine.abort(RequestId(number), 90.0 + number)
    engine.abort(RequestId(2), 100.0)
    page = PAGE.render(engine.metrics(100.0)).decode()
    found = re.findall(r'running_lora_adapters="([^"]*)",waiting_lora_adapters="([^"]*)"} (\S+)', page)
    assert [running for running, _, _ in found] == ["a,b", "b", ""]
    assert all(running == waiting for running, waiting, _ in found)
    assert max(found, key=lambda each: float(each[2])) == ("", "", "1100.0")


def test_without_lora_there_is_no_adapter_metric() -> None:
    page = MetricsPage("tiny", replace(SETTINGS, max_loras=0), 0.0)
    assert b"lora" not in page.render(Engine(replace(SETTINGS, max_loras=0)).metrics(NOW)).replace(b"LoRA", b"")


def test_the_start_time_can_be_left_out() -> None:
    metrics = Engine(SETTINGS).metrics(NOW)
    whole, without = (MetricsPage("tiny", SETTINGS, 0.0, shown).render(metrics).decode() for shown in (True, False))
    assert families(whole).keys() - families(without).keys() == {"process_start_time_seconds"}


def test_label_values_are_escaped() -> None:
    page = MetricsPage('a"b\\c\nd', SETTINGS, 0.0).render(Engine(SETTINGS).metrics(NOW))
    running = next(
        each for each in text_string_to_metric_families(page.decode()) if each.name == "vllm:num_requests_running"
    )
    assert running.samples[0].labels["model_name"] == 'a"b\\c\nd'
