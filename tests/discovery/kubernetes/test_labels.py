"""Selectors, ports and names as people write them."""

import pytest

from epp.discovery.kubernetes.labels import LabelSelector, check_name, parse_ports, parse_selector


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("app=vllm", (("app", "vllm"),)),
        ("b=2,a=1", (("a", "1"), ("b", "2"))),
        ("app==vllm", (("app", "vllm"),)),
        (" app = vllm , a=1 ", (("a", "1"), ("app", "vllm"))),
        ("llm-d.ai/role=decode", (("llm-d.ai/role", "decode"),)),
        ("empty=", (("empty", ""),)),
        ("a=1,a=1", (("a", "1"),)),
    ],
)
def test_selectors(text: str, pairs: tuple[tuple[str, str], ...]) -> None:
    selector = parse_selector(text)
    assert selector == LabelSelector(pairs)
    assert parse_selector(str(selector)) == selector


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not key=value"),
        ("app", "is not key=value"),
        ("a=1,", "is not key=value"),
        ("app!=vllm", "only key=value"),
        ("app != vllm", "only key=value"),
        ("app in (a)", "is not key=value"),
        ("a=1,a=2", "stands twice"),
        ("=x", "no key"),
        ("a=b=c", "no value"),
        ("a/b/c=1", "no key"),
        ("a=" + "x" * 64, "no value"),
    ],
)
def test_what_is_no_selector(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_selector(text)


def test_ports_keep_their_order() -> None:
    assert parse_ports([8002, 8000]) == (8002, 8000)


@pytest.mark.parametrize("ports", [[], [0], [65536], [1, 1], list(range(1, 10))])
def test_what_are_no_ports(ports: list[int]) -> None:
    with pytest.raises(ValueError, match="port"):
        parse_ports(ports)


@pytest.mark.parametrize("name", ["a", "vllm-llama3-8b", "x.y", "0"])
def test_names(name: str) -> None:
    check_name("a pool", name)


@pytest.mark.parametrize("name", ["", "A", "a/b", "a,b", "a=b", "..", "-a", "a-", "a" * 254, "a\n"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a pool"):
        check_name("a pool", name)
