"""Reading metrics pages. The captured ones are of real servers, less histogram buckets and HTTP metrics."""

import math
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from epp.endpoints.types import Scrape
from epp.telemetry.engines import ENGINES, MetricNames, Series
from epp.telemetry.pages import parse_page

DATA = Path(__file__).parents[1] / "data" / "metrics"
VLLM = ENGINES["vllm"]

CAPTURED = {
    "idle.txt": Scrape(
        running=0,
        waiting=0,
        kv_usage=0,
        block_size=128,
        capacity_tokens=2_097_152,
        start_time=1795224802.66,
        processed_tokens=0,
    ),
    "after_load.txt": Scrape(
        running=0,
        waiting=0,
        kv_usage=0,
        block_size=32,
        capacity_tokens=3200,
        max_loras=2,
        adapters=frozenset(),
        start_time=1795225238.05,
        processed_tokens=9047 + 3333,
    ),
    "load_lora_waiting.txt": Scrape(
        running=4,
        waiting=4,
        kv_usage=0.5656565656565656,
        block_size=32,
        capacity_tokens=3200,
        max_loras=2,
        adapters=frozenset("ab"),
        start_time=1795225238.05,
        processed_tokens=8247 + 1013,
    ),
    "dp2_load.txt": Scrape(  # each engine has 3200 tokens; num_gpu_blocks is 200 on both series and counts both
        running=8,
        waiting=4,
        kv_usage=pytest.approx((0.23232323232323238 + 0.16161616161616166) / 2),
        block_size=32,
        capacity_tokens=6400,
        max_loras=1,
        adapters=frozenset("a"),
        processed_tokens=500 + 600 + 248 + 26,
    ),
    "rust_frontend.txt": Scrape(
        running=4,
        waiting=2,
        kv_usage=0.48484848484848488,
        adapters=frozenset("a"),
        processed_tokens=1848 + 909,
    ),
}


def page_of(name: str) -> bytes:
    """A captured page."""
    return (DATA / name).read_bytes()


@pytest.mark.parametrize(("name", "scrape"), CAPTURED.items(), ids=CAPTURED)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_captured_pages(name: str, scrape: Scrape, end: str) -> None:
    assert parse_page(page_of(name).replace(b"\n", end.encode()), VLLM) == scrape


def families(page: str) -> Iterable[Metric]:
    """All of a page, by another implementation."""
    return (
        openmetrics.text_string_to_metric_families(page)
        if page.rstrip().endswith("# EOF")
        else text_string_to_metric_families(page)
    )


@pytest.mark.parametrize("name", CAPTURED)
def test_captured_pages_read_by_prometheus_client(name: str) -> None:
    samples = [sample for family in families(page_of(name).decode()) for sample in family.samples]

    def sum_of(metric: str) -> float:
        return sum(sample.value for sample in samples if sample.name == metric)

    scrape = parse_page(page_of(name), VLLM)
    assert scrape.running == sum_of("vllm:num_requests_running")
    assert scrape.waiting == sum_of("vllm:num_requests_waiting")
    usages = [sample.value for sample in samples if sample.name == "vllm:kv_cache_usage_perc"]
    assert scrape.kv_usage == pytest.approx(sum(usages) / len(usages))
    infos = [sample.labels for sample in samples if sample.name == "vllm:cache_config_info"]
    assert scrape.capacity_tokens == (sum(int(info["kv_cache_size_tokens"]) for info in infos) or None)
    assert {scrape.block_size} == ({int(info["block_size"]) for info in infos} or {None})
    loras = [sample for sample in samples if sample.name == "vllm:lora_requests_info"]
    newest = max(loras, key=lambda sample: sample.value, default=None)
    assert scrape.adapters == (set(filter(None, newest.labels["running_lora_adapters"].split(","))) if newest else None)
    assert (scrape.start_time or 0.0) == sum_of("process_start_time_seconds")
    assert scrape.processed_tokens == sum_of("vllm:prompt_tokens_total") + sum_of("vllm:generation_tokens_total")


RUNNING, WAITING, USAGE = "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"
CACHE, LORA = "vllm:cache_config_info", "vllm:lora_requests_info"

LINES = {
    "nothing": ("", Scrape()),
    "only comments": (f"# HELP {RUNNING} 3\n# TYPE {RUNNING} gauge\n", Scrape()),
    "no labels": (f"{RUNNING} 3\n", Scrape(running=3)),
    "no line end": (f"{RUNNING} 3", Scrape(running=3)),
    "empty labels": (f"{RUNNING}{{}} 3\n", Scrape(running=3)),
    "tabs and more spaces": (f"{RUNNING}\t 3 \n", Scrape(running=3)),
    "a timestamp": (f'{RUNNING}{{a="b"}} 3 1395066363000\n', Scrape(running=3)),
    "an exemplar": (f'{RUNNING}{{a="b"}} 3 # {{trace="x"}} 9 1.5\n', Scrape(running=3)),
    "a number sign in a label": (f'{RUNNING}{{a="#1 }}"}} 3\n', Scrape(running=3)),
    "braces and quotes in a label": (f'{RUNNING}{{a="}} 7 \\" {{",b="\\\\"}} 3\n', Scrape(running=3)),
    "an exponent": (f"{RUNNING} 1.6e+01\n", Scrape(running=16)),
    "several engines": (f'{RUNNING}{{engine="0"}} 3\n{RUNNING}{{engine="1"}} 4.0\n', Scrape(running=7)),
    "a longer name before it": (f"{WAITING}_by_reason 9\n{WAITING} 2\n", Scrape(waiting=2)),
    "a longer name after it": (f"{WAITING} 2\n{WAITING}_by_reason 9\n{WAITING}7 5\n", Scrape(waiting=2)),
    "a name within a line": (f'x{{y="{RUNNING} 9"}} 1\nx {RUNNING} 9\n', Scrape()),
    "not a number": (f"{RUNNING} NaN\n{WAITING} 1_0_x\n", Scrape()),
    "beyond all measure": (f"{RUNNING} +Inf\n{WAITING} 1e300\n{USAGE} -0.5\n", Scrape()),
    "rubbish among engines": (
        f'{RUNNING}{{e="0"}} -1\n{RUNNING}{{e="1"}} x\n{RUNNING}{{e="2"}} 2\n',
        Scrape(running=2),
    ),
    "no value": (f"{RUNNING}\n{WAITING}{{}}\n{USAGE}{{ 1\n", Scrape()),
    "usage beyond 1": (f"{USAGE} 55\n", Scrape(kv_usage=1.0)),
    "usage of several engines without capacities": (
        f'{USAGE}{{engine="0"}} 0.5\n{USAGE}{{engine="1"}} 0.1\n',
        Scrape(kv_usage=pytest.approx(0.3)),
    ),
    "usage of several engines weighted by capacity": (
        f'{USAGE}{{engine="0",m="x"}} 0.5\n{USAGE}{{engine="1",m="x"}} 0.1\n'
        f'{CACHE}{{engine="0",kv_cache_size_tokens="300"}} 1\n{CACHE}{{engine="1",kv_cache_size_tokens="100"}} 1\n',
        Scrape(kv_usage=pytest.approx(0.4), capacity_tokens=400),
    ),
    "blocks without a capacity in tokens count all engines": (
        f'{CACHE}{{block_size="16",engine="0",num_gpu_blocks="200"}} 1\n'
        f'{CACHE}{{block_size="16",engine="1",num_gpu_blocks="200"}} 1\n',
        Scrape(block_size=16, capacity_tokens=3200),
    ),
    "capacity in tokens counts more than blocks": (
        f'{CACHE}{{block_size="16",kv_cache_size_tokens="1000",num_gpu_blocks="200"}} 1\n',
        Scrape(block_size=16, capacity_tokens=1000),
    ),
    "a capacity that is None": (
        f'{CACHE}{{block_size="16",kv_cache_size_tokens="None",num_gpu_blocks="None"}} 1\n',
        Scrape(block_size=16),
    ),
    "labels with a similar name or value": (
        f'{CACHE}{{user_block_size="7",x=",block_size=",y="\\",block_size=\\"9\\"",block_size="16"}} 1\n',
        Scrape(block_size=16),
    ),
    "spaces between labels": (f'{CACHE}{{a="1", block_size="16", b="2"}} 1\n', Scrape(block_size=16)),
    "the newest adapters are those with the largest value": (
        f'{LORA}{{max_lora="2",running_lora_adapters="a",waiting_lora_adapters="a"}} 3e+09\n'
        f'{LORA}{{max_lora="2",running_lora_adapters="b, c",waiting_lora_adapters=""}} 3.1e+09\n'
        f'{LORA}{{max_lora="2",running_lora_adapters="",waiting_lora_adapters=""}} 2e+09\n',
        Scrape(max_loras=2, adapters=frozenset("bc")),
    ),
    "names of adapters are unescaped": (
        f'{LORA}{{running_lora_adapters="a\\"b,c\\\\n,\\n,é"}} 1\n',
        Scrape(adapters=frozenset(['a"b', "c\\n", "é"])),
    ),
    "asleep": (
        'vllm:engine_sleep_state{engine="0",model_name="tiny",sleep_state="awake"} 0.0\n'
        'vllm:engine_sleep_state{engine="0",model_name="tiny",sleep_state="weights_offloaded"} 1.0\n'
        'vllm:engine_sleep_state{engine="0",model_name="tiny",sleep_state="discard_all"} 0.0\n',
        Scrape(asleep=True),
    ),
    "awake": (
        'vllm:engine_sleep_state{sleep_state="awake",engine="0"} 1\n'
        'vllm:engine_sleep_state{sleep_state="weights_offloaded",engine="0"} 0\n',
        Scrape(),
    ),
    "one of two engines asleep": (
        'vllm:engine_sleep_state{engine="0", sleep_state="awake"} 1.0\n'
        'vllm:engine_sleep_state{engine="1", sleep_state="awake"} 0.0\n',
        Scrape(asleep=True),
    ),
}


@pytest.mark.parametrize(("text", "scrape"), LINES.values(), ids=LINES)
def test_lines(text: str, scrape: Scrape) -> None:
    assert parse_page(text.encode(), VLLM) == scrape
    assert parse_page(b"up 1\n" + text.encode() + b"\nend 1\n", VLLM) == scrape


def test_families_are_found_in_any_order() -> None:
    blocks = page_of("after_load.txt").decode().split("# HELP ")
    turned = "# HELP ".join(["", *reversed(blocks)])
    assert parse_page(turned.encode(), VLLM) == CAPTURED["after_load.txt"]


OTHERS = {
    "sglang": (
        'sglang:num_running_reqs{model_name="m"} 5.0\nsglang:num_queue_reqs{model_name="m"} 2.0\n'
        'sglang:token_usage{model_name="m"} 0.28\nsglang:cache_config_info{page_size="64",num_pages="100"} 1.0\n'
        'sglang:cache_config_info{page_size="64",num_pages="50",dp_rank="1"} 1.0\n'
        'sglang:prompt_tokens_total{model_name="m"} 100.0\nsglang:generation_tokens_total{model_name="m"} 7.0\n',
        Scrape(running=5, waiting=2, kv_usage=0.28, block_size=64, capacity_tokens=9600, processed_tokens=107),
    ),
    "trtllm-serve": (
        "trtllm_num_requests_running 5\ntrtllm_num_requests_waiting 2\ntrtllm_kv_cache_utilization 0.5\n"
        "trtllm_kv_cache_tokens_per_block 32\ntrtllm_kv_cache_max_blocks 100\n",
        Scrape(running=5, waiting=2, kv_usage=0.5, block_size=32, capacity_tokens=3200),
    ),
    "triton-tensorrt-llm": (
        'nv_trt_llm_request_metrics{model="m",request_type="waiting",version="1"} 2\n'
        'nv_trt_llm_request_metrics{model="m",request_type="scheduled",version="1"} 5\n'
        'nv_trt_llm_request_metrics{model="m",request_type="max",version="1"} 512\n'
        'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="m"} 0.25\n'
        'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="tokens_per",model="m"} 64\n'
        'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="m"} 1000\n',
        Scrape(running=5, waiting=2, kv_usage=0.25, block_size=64, capacity_tokens=64_000),
    ),
    "triton": (
        'nv_inference_exec_count{model="a"} 12345\nnv_inference_pending_request_count{model="a"} 2\n'
        'nv_inference_pending_request_count{model="b"} 3\n',
        Scrape(waiting=5),
    ),
}


@pytest.mark.parametrize(("engine", "text", "scrape"), [(name, *case) for name, case in OTHERS.items()], ids=OTHERS)
def test_other_engines(engine: str, text: str, scrape: Scrape) -> None:
    assert parse_page(text.encode(), ENGINES[engine]) == scrape


def test_a_page_of_each_engine_tells_of_load() -> None:
    pages = {"vllm": page_of("idle.txt").decode(), **{engine: text for engine, (text, _) in OTHERS.items()}}
    assert pages.keys() == ENGINES.keys()
    for engine, text in pages.items():
        scrape = parse_page(text.encode(), ENGINES[engine])
        assert (scrape.running, scrape.waiting) != (None, None)


def test_the_newest_of_very_many_adapter_sets_counts() -> None:
    lines = [f'{LORA}{{max_lora="4",running_lora_adapters="a{i},b{i % 7}"}} {1.7e9 + i}' for i in range(70_000)]
    page = "\n".join([f"{RUNNING} 1", *lines, f"{USAGE} 0.5"]).encode()
    assert parse_page(page, VLLM) == Scrape(
        running=1, kv_usage=0.5, max_loras=4, adapters=frozenset(["a69999", f"b{69_999 % 7}"])
    )


LABELS = st.dictionaries(
    st.sampled_from(["a", "b", "ab", "le"]), st.text(st.sampled_from('ab=",{}\\# \né'), max_size=6), max_size=3
)
VALUES = st.sampled_from(["0", "1.5", "2.0", "NaN", "+Inf", "-3", "1e3", "7.25"])
NAMES = st.sampled_from(["m", "m_x", "mm", "m:m"])


def line_of(name: str, labels: dict[str, str], value: str) -> str:
    """A sample as servers write it."""
    written = ",".join(
        f'{key}="{text}"'
        for key, raw in labels.items()
        for text in [raw.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")]
    )
    return f"{name}{{{written}}} {value}\n" if labels else f"{name} {value}\n"


@given(st.dictionaries(NAMES, st.lists(st.tuples(LABELS, VALUES), max_size=4)), LABELS)
def test_generated_pages_read_by_prometheus_client(
    page: dict[str, list[tuple[dict[str, str], str]]], wanted: dict[str, str]
) -> None:
    text = "".join(line_of(name, labels, value) for name, samples in page.items() for labels, value in samples)
    values = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "m" and wanted.items() <= sample.labels.items()
    ]
    sensible = [value for value in values if math.isfinite(value) and value >= 0]
    scrape = parse_page(text.encode(), MetricNames(running=Series("m", tuple(wanted.items())), start_time=None))
    assert scrape == Scrape(running=sum(sensible) if sensible else None)


FRAGMENTS = st.sampled_from(
    [
        *[RUNNING, WAITING, USAGE, CACHE, LORA, "vllm:engine_sleep_state", "process_start_time_seconds"],
        *['{engine="0"}', '{engine="1",', 'sleep_state="awake"}', 'block_size="16"', 'kv_cache_size_tokens="9"'],
        *[
            "{",
            "}",
            ",",
            " ",
            "\n",
            "#",
            "1",
            "0.5",
            "NaN",
            "1e308",
            "-1",
            "9" * 20,
            "\t",
            "\r",
            "é",
            "\x00",
            '"',
            "\\",
        ],
    ]
)


@given(st.lists(FRAGMENTS, max_size=60).map("".join).map(str.encode) | st.binary(max_size=200))
def test_whatever_a_page_holds_reading_it_gives_sensible_values(page: bytes) -> None:
    for names in ENGINES.values():
        scrape = parse_page(page, names)
        numbers = [scrape.running, scrape.waiting, scrape.start_time, scrape.capacity_tokens, scrape.block_size]
        assert all(number is None or (math.isfinite(number) and number >= 0) for number in numbers)
        assert scrape.kv_usage is None or 0 <= scrape.kv_usage <= 1


@given(st.integers(0, 15_000))
def test_a_page_cut_anywhere_is_read_as_far_as_it_goes(cut: int) -> None:
    whole, part = CAPTURED["after_load.txt"], parse_page(page_of("after_load.txt")[:cut], VLLM)
    assert part.running in (None, whole.running)
    assert part.waiting in (None, whole.waiting)
    assert part.block_size in (None, whole.block_size)


HOSTILE = {
    "one line without end": b"x" * (1 << 20),
    "labels without end": RUNNING.encode() + b'{a="' + b"b" * (1 << 20),
    "quotes without end": RUNNING.encode() + b"{" + b'"' * (1 << 20),
    "backslashes": RUNNING.encode() + b'{a="' + b"\\" * (1 << 20),
    "many series": (RUNNING.encode() + b" 1\n") * 40_000,
    "many similar names": (b"\n" + RUNNING.encode() + b"_x 1") * 40_000,
    "many adapter sets": (LORA.encode() + b'{running_lora_adapters="a"} 1\n') * 20_000,
    "many adapters": LORA.encode() + b'{running_lora_adapters="' + b"a," * 8_000 + b'"} 1\n',
    "many labels": CACHE.encode() + b"{" + b'a="1",' * 2_000 + b'block_size="16"} 1\n',
}


@pytest.mark.parametrize("page", HOSTILE.values(), ids=HOSTILE)
def test_hostile_pages_are_read_to_their_end(page: bytes) -> None:
    scrape = parse_page(page, VLLM)
    assert (scrape.running or 0) <= 1024
    assert len(scrape.adapters or ()) <= 1024
