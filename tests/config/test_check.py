from __future__ import annotations

import pytest

from epp.config import check_text

HEADER = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"

CASES = {
    "good": (HEADER + "epp: {endpoints: {static: ['a:80']}}", 0, ""),
    "endpoints come by flags": (
        HEADER, 0,
        "note: f:1:1: names no endpoints: flags must, see --endpoint, --endpoints-file, --dns, --srv and --pool-name",
    ),
    "errors": (
        HEADER + "epp: {endpoints: {static: ['a']}}\nplugins: [{type: latency-scorer}]", 1,
        "error: f:3:28: epp.endpoints.static[0]: 'a' has no port: write host:port\n"
        "not here: f:4:18: plugins[0].type: latency-scorer is not here: latency is not predicted; load and cache "
        "decide, and time to first token is estimated from work ahead",
    ),
    "not here": (
        HEADER + "epp: {endpoints: {static: ['a:80']}}\nfeatureGates: [flowControl]", 2,
        "not here: f:4:16: featureGates[0]: flow control is not here: every request is placed or refused at once",
    ),
    "warnings": (
        HEADER + "epp: {endpoints: {static: ['a:80']}, scraping: {interval: 100ms}}\nfeatureGates: [dataLayer]", 0,
        "warning: f:4:16: featureGates[0]: has no effect: the data layer is always on",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_check_says_what_a_start_would(case: str) -> None:
    text, code, lines = CASES[case]
    report = check_text(text.encode(), "f")
    assert report.exit_code == code
    assert str(report) == lines
