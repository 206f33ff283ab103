from __future__ import annotations

import pytest

from epp.config.errors import Findings
from epp.config.file_model import read_parts
from epp.config.plugins import resolve_plugins
from epp.config.translate import check_references, plugin_layer
from epp.config.yaml_document import Json, read_document


def translate(text: str) -> tuple[Json, Findings]:
    findings = Findings()
    root = read_document(text.encode(), "f", findings)
    assert root is not None
    file = read_parts(root, findings)
    resolved = resolve_plugins(file, findings)
    check_references(file, resolved, findings)
    assert findings.errors == []
    return plugin_layer(file, resolved, findings).plain(), findings


def entry(type_: str, parameters: str, rest: str = "") -> str:
    return f"plugins: [{{name: x, type: {type_}, parameters: {parameters}}}]\n{rest}"


LAYERS: dict[str, tuple[str, Json]] = {
    "metrics source": (
        entry("metrics-data-source", "{scheme: https, path: /m, port: 9000, interval: 2s, insecureSkipVerify: false, "
              "caCertPath: ca, clientCertPath: c, clientKeyPath: k}"),
        {"scraping": {
            "scheme": "https", "path": "/m", "port": 9000, "interval": "2s",
            "tls": {"verify": True, "caFile": "ca", "certFile": "c", "keyFile": "k"},
        }},
    ),
    "https is not verified by default, as in the Go picker": (
        entry("metrics-data-source", "{scheme: https}"), {"scraping": {"scheme": "https", "tls": {"verify": False}}},
    ),
    "http has nothing to verify": (entry("metrics-data-source", "{scheme: http}"), {"scraping": {"scheme": "http"}}),
    "models source": (
        entry("models-data-source", "{path: /m, interval: 10s}"),
        {"scraping": {"models": {"path": "/m", "interval": "10s"}}},
    ),
    "extractor": (
        entry("core-metrics-extractor", "{defaultEngine: mine, engineConfigs: [{name: mine, queuedRequestsSpec: w, "
              "runningRequestsSpec: r, kvUsageSpec: k, loraSpec: l, cacheInfoSpec: c, cacheBlockSizeLabelName: bs, "
              "cacheNumBlocksLabelName: nb}, {name: y, cacheBlockSizeSpec: s, cacheNumBlocksSpec: n}]}"),
        {"scraping": {"engine": "mine", "engines": {
            "mine": {"waiting": "w", "running": "r", "kvUsage": "k", "loraInfo": "l", "cacheInfo": "c",
                     "blockSizeLabel": "bs", "blocksLabel": "nb"},
            "y": {"blockSize": "s", "blocks": "n"},
        }}},
    ),
    "a label of their own": (
        entry("core-metrics-extractor", "{engineLabelKey: kind}"), {"scraping": {"engineLabel": "kind"}},
    ),
    "the index's capacity is in tokens": (
        entry("approx-prefix-cache-producer", "{lruCapacityPerServer: 1000, blockSizeTokens: 64}"),
        {"prefix": {"capacityTokens": 64000}},
    ),
    "discovery under dataLayer": (
        entry("file-discovery", "{path: /e, watchFile: true}", "dataLayer: {discovery: {pluginRef: x}}"),
        {"endpoints": {"file": {"path": "/e", "watch": True}}},
    ),
    "discovery one level deeper": (
        entry("file-discovery", "{path: /e}", "dataLayer: {discovery: {endpoints: {pluginRef: x}}}"),
        {"endpoints": {"file": {"path": "/e"}}},
    ),
    "discovery at the top": (
        entry("file-discovery", "{path: /e}", "discovery: {pluginRef: x}"), {"endpoints": {"file": {"path": "/e"}}},
    ),
    "a file that nothing refers to": (entry("file-discovery", "{path: /e}"), {}),
    "a source that the data layer leaves out": (
        "plugins: [{type: metrics-data-source, parameters: {port: 1}}, {name: y, type: models-data-source}]\n"
        "dataLayer: {sources: [{pluginRef: y}]}",
        {},
    ),
    "parsers": ("plugins: [{type: openai-parser}]\nrequestHandler: {parsers: [{pluginRef: openai-parser}]}", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYERS)
def test_parameters_are_taken_into_the_section(case: str) -> None:
    text, expected = LAYERS[case]
    assert translate(text)[0] == expected


REMARKS = {
    "a file that nothing refers to": (
        entry("file-discovery", "{path: /e}"),
        "f:1:11: plugins[0]: has no effect: dataLayer.discovery does not refer to 'x'",
    ),
    "a source that the data layer leaves out": (
        LAYERS["a source that the data layer leaves out"][0],
        "f:1:11: plugins[0]: has no effect: dataLayer.sources does not refer to 'metrics-data-source'",
    ),
    "two sources that differ": (
        "plugins: [{name: a, type: metrics-data-source, parameters: {port: 1}}, "
        "{name: b, type: metrics-data-source, parameters: {port: 2}}]",
        "f:1:128: epp.scraping.port: 2 has no effect: f:1:67 says 1",
    ),
    "a parameter without effect": (
        entry("approx-prefix-cache-producer", "{maxPrefixBlocksToMatch: 1}"),
        "f:1:94: plugins[0].parameters.maxPrefixBlocksToMatch: has no effect here: prefixes are always matched, by "
        "one index within a budget of bytes",
    ),
    "the size of blocks": (
        entry("approx-prefix-cache-producer", "{blockSizeTokens: 64}"),
        "f:1:87: plugins[0].parameters.blockSizeTokens: only converts lruCapacityPerServer: blocks of the index are "
        "256 bytes",
    ),
    "the size of the index in its old place": (
        entry("prefix-cache-scorer", "{hashBlockSize: 64, lruCapacityPerServer: 31250}"),
        "f:1:80: plugins[0].parameters.lruCapacityPerServer: is an old key: it is taken over as "
        "epp.prefix.capacityTokens",
    ),
}


@pytest.mark.parametrize("case", REMARKS)
def test_what_is_not_taken_over_is_told(case: str) -> None:
    text, expected = REMARKS[case]
    _, findings = translate(text)
    assert expected in [str(each) for each in (*findings.warnings, *findings.absent, *findings.notes)]


DANGLING = {
    "schedulingProfiles: [{name: p, plugins: [{pluginRef: y}, {pluginRef: q}]}]": (
        "f:2:54: schedulingProfiles[0].plugins[0].pluginRef: no plugin is named 'y'; known are q"
    ),
    "dataLayer: {discovery: {pluginRef: y}}": "f:2:13: dataLayer.discovery: no plugin is named 'y'; known are q",
    "dataLayer: {discovery: {pluginRef: q}}": (
        "f:2:13: dataLayer.discovery: plugin 'q' finds no endpoints: file-discovery does"
    ),
    "discovery: {endpoints: {pluginRef: y}}": "f:2:1: discovery: no plugin is named 'y'; known are q",
    "dataLayer: {sources: [{pluginRef: y}]}": (
        "f:2:35: dataLayer.sources[0].pluginRef: no plugin is named 'y'; known are q"
    ),
    "dataLayer: {sources: [{pluginRef: q, extractors: [{pluginRef: y}]}]}": (
        "f:2:63: dataLayer.sources[0].extractors[0].pluginRef: no plugin is named 'y'; known are q"
    ),
    "requestHandler: {parsers: [{pluginRef: y}]}": (
        "f:2:40: requestHandler.parsers[0].pluginRef: no plugin is named 'y'; known are q"
    ),
    "parser: {pluginRef: y}": "f:2:21: parser.pluginRef: no plugin is named 'y'; known are q",
    "saturationDetector: {pluginRef: y}": "f:2:33: saturationDetector.pluginRef: no plugin is named 'y'; known are q",
    "flowControl: {priorityBands: [{orderingPolicyRef: y}]}": (
        "f:2:51: flowControl.priorityBands[0].orderingPolicyRef: no plugin is named 'y'; known are q"
    ),
    "flowControl: {usageLimitPolicyPluginRef: y, saturationDetector: {pluginRef: utilization-detector}}": (
        "f:2:42: flowControl.usageLimitPolicyPluginRef: no plugin is named 'y'; known are q"
    ),
    "requestHandler: {parsers: [{pluginRef: openai-parser}]}": None,
    "flowControl: {priorityBands: [{fairnessPolicyRef: round-robin-fairness-policy}]}": None,
}


@pytest.mark.parametrize("section", DANGLING)
def test_references_lead_somewhere(section: str) -> None:
    findings = Findings()
    root = read_document(f"plugins: [{{name: q, type: queue-scorer}}]\n{section}".encode(), "f", findings)
    assert root is not None
    file = read_parts(root, findings)
    check_references(file, resolve_plugins(file, findings), findings)
    expected = DANGLING[section]
    assert [str(error) for error in findings.errors] == ([expected] if expected else [])
