"""Every metric of ours, declared once. docs/metrics.md is made from these declarations (`reference`).

Names that begin with `llm_d_epp_` are the Go picker's, with its meaning, so that its dashboards work. Left out are its
labels that would have one constant value here (`fairness_id`, `priority`, `plugin_name`, `plugin_type`,
`producer_name`, `model_rewrite_name`): dashboards sum over them. `epp_` metrics are our own.
"""

from __future__ import annotations

from epp.telemetry.families import Family, Kind

__all__ = ["FAMILIES"]

_POOL = ("inference_pool",)
_MODEL = (*_POOL, "model_name", "target_model_name")
_NAME = (*_POOL, "name")
_ENDPOINT = (*_POOL, "endpoint", "endpoint_name")

# Where a bucket list is the Go picker's, its dashboards' quantiles come out alike.
_DURATION = (
    *(0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60, 120),
    *(180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600),
)
_FIRST_TOKEN = _DURATION[:24]
_BODY = tuple(float(1 << power) for power in range(6, 31))
_PROMPT = (1.0, *(float(1 << power) for power in range(3, 21)))
_OUTPUT = (1.0, *(float(1 << power) for power in range(3, 18)))
"""The Go picker's end at 8,192; reasoning models write more."""
_PER_TOKEN = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_DECISION = (0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
_SHARE = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_ERROR = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
_RATIO = (0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2, 3, 5, 10)
_HIT_BYTES = (0.0, *(float(1 << power) for power in range(8, 25, 2)))


def _counter(name: str, unit: str, meaning: str, labels: tuple[str, ...] = _POOL) -> Family:
    return Family(name, Kind.COUNTER, meaning, unit, labels)


def _gauge(name: str, unit: str, meaning: str, labels: tuple[str, ...] = _POOL) -> Family:
    return Family(name, Kind.GAUGE, meaning, unit, labels)


def _histogram(
    name: str, unit: str, meaning: str, buckets: tuple[float, ...], labels: tuple[str, ...] = _POOL
) -> Family:
    return Family(name, Kind.HISTOGRAM, meaning, unit, labels, tuple(map(float, buckets)))


# Requests, by model.

REQUESTS = _counter("llm_d_epp_request_total", "requests", "Requests that were placed on an endpoint.", _MODEL)
REQUEST_ERRORS = _counter(
    "llm_d_epp_request_error_total",
    "requests",
    "Requests that were refused here (code by the status: BadRequest, NotFound, ResourceExhausted, ServiceUnavailable, "
    "Internal; the target model is not known then), or whose reply was an error (ModelServerError: status 400 and "
    "above, or a reply that failed in spite of its status).",
    (*_MODEL, "error_code"),
)
REQUEST_DURATION = _histogram(
    "llm_d_epp_request_duration_seconds",
    "s",
    "From the placement to the end of the reply. In lean mode an abort cannot be told from an end.",
    _DURATION,
    _MODEL,
)
REQUEST_SIZE = _histogram("llm_d_epp_request_size_bytes", "B", "Bodies of placed requests.", _BODY, _MODEL)
RESPONSE_SIZE = _histogram(
    "llm_d_epp_response_size_bytes", "B", "Bodies of replies that were seen to their end.", _BODY, _MODEL
)
INPUT_TOKENS = _histogram(
    "llm_d_epp_request_input_tokens", "tokens", "Prompt tokens, as replies report them.", _PROMPT, _MODEL
)
OUTPUT_TOKENS = _histogram(
    "llm_d_epp_request_output_tokens", "tokens", "Generated tokens, as replies report them.", _OUTPUT, _MODEL
)
CACHED_TOKENS = _histogram(
    "llm_d_epp_request_cached_tokens", "tokens", "Cached prompt tokens, as replies report them.", _PROMPT, _MODEL
)
RUNNING = _gauge("llm_d_epp_request_running", "requests", "Placed requests that are not over.", _MODEL)
FIRST_TOKEN = _histogram(
    "llm_d_epp_request_ttft_seconds",
    "s",
    "From the placement to the first event with data. Only streamed replies have one, so `streaming` is `true`.",
    _FIRST_TOKEN,
    (*_MODEL, "streaming"),
)
PER_TOKEN = _histogram(
    "llm_d_epp_request_ntpot_seconds", "s", "Duration per generated token, prefill included.", _PER_TOKEN, _MODEL
)
STREAMING_PER_TOKEN = _histogram(
    "llm_d_epp_request_streaming_tpot_seconds",
    "s",
    "Time per generated token after the first one, of streamed replies.",
    _PER_TOKEN,
    _MODEL,
)
MODEL_REWRITES = _counter(
    "llm_d_epp_model_rewrite_decisions_total",
    "requests",
    "Placed requests that go out for another model than the client named.",
    (*_POOL, "model_name", "target_model"),
)
OTHER_MODELS = _counter(
    "epp_model_label_overflow_total",
    "requests",
    "Placed requests whose models are counted as `other`, because there are too many names or the name cannot be one.",
)

# Decisions.

PROCESSING = _histogram(
    "llm_d_epp_request_processing_duration_seconds",
    "s",
    "All of a decision, from the complete request to the charge. The parts: epp_decision_phase_duration_seconds.",
    _DECISION,
)
SCHEDULING = _histogram(
    "llm_d_epp_scheduler_e2e_duration_seconds",
    "s",
    "Matching prefixes, filters, scorers or the cost, and the picker. The same as the phase `schedule`.",
    _DECISION,
)
SCHEDULED = _counter(
    "llm_d_epp_scheduler_attempts_total",
    "requests",
    "Decisions with their first endpoint (`status` success), and without one (failure; endpoint labels are empty).",
    (*_POOL, "status", "target_model_name", "endpoint_name", "namespace", "port"),
)
DECISIONS = _counter(
    "epp_decisions_total",
    "requests",
    "Decisions by profile; `note` says why one was not made in the ordinary way and is empty otherwise.",
    (*_POOL, "profile", "note"),
)
PHASES = _histogram(
    "epp_decision_phase_duration_seconds",
    "s",
    "Parts of a decision: parse, prepare (hashing), schedule, charge.",
    _DECISION,
    (*_POOL, "phase"),
)
REJECTIONS = _counter(
    "epp_rejections_total",
    "requests",
    "Requests that the router refused, by the reason that clients see in x-llm-d-request-dropped-reason.",
    (*_POOL, "reason"),
)
PLUGIN_FAILURES = _counter(
    "epp_plugin_failures_total", "calls", "Calls in which a plugin raised or returned nonsense.", (*_POOL, "plugin")
)
PLUGIN_SLOW = _counter(
    "epp_plugin_slow_calls_total", "calls", "Calls in which a plugin took longer than it may.", (*_POOL, "plugin")
)
PLUGIN_OFF = _counter(
    "epp_plugin_switched_off_total", "times", "Times that a plugin was switched off for slowness.", (*_POOL, "plugin")
)

# Prefix cache.

PREFIX_SIZE = _gauge(
    "llm_d_epp_prefix_indexer_size", "entries", "Pairs of block and endpoint. The same as epp_prefix_index_entries."
)
HIT_RATIO = _histogram(
    "llm_d_epp_prefix_indexer_hit_ratio",
    "share 0..1",
    "Share of a prompt that the picked endpoint was believed to hold, of requests with a prompt.",
    _SHARE,
)
HIT_BYTES = _histogram(
    "llm_d_epp_prefix_indexer_hit_bytes", "B", "Length of that part in blocks of raw prompt.", _HIT_BYTES
)
PREFIX_ENTRIES = _gauge("epp_prefix_index_entries", "entries", "Pairs of block and endpoint in the prefix index.")
PREFIX_NODES = _gauge("epp_prefix_index_nodes", "nodes", "Runs of blocks in the prefix index.")
PREFIX_BYTES = _gauge("epp_prefix_index_bytes", "B", "Memory of the prefix index, by its own accounts.")
PREFIX_LIMIT = _gauge("epp_prefix_index_limit_bytes", "B", "Limit for epp_prefix_index_bytes.")
PREFIX_EVICTED = _counter(
    "epp_prefix_index_evicted_blocks_total",
    "entries",
    "Entries evicted for an endpoint's capacity or for the limit in bytes.",
)
PREFIX_LATE_REUSE = _gauge(
    "epp_prefix_index_late_reuse_ratio",
    "share 0..1",
    "Blocks used again in the second half of their life in a cache, over these and new ones: how much caches lack.",
)
PREDICTED_TOKENS = _counter(
    "epp_predicted_hit_tokens_total",
    "tokens",
    "Prompt tokens that were believed to be cached, of requests whose reply reports cached tokens.",
)
OBSERVED_TOKENS = _counter("epp_observed_hit_tokens_total", "tokens", "Cached prompt tokens that those replies report.")
COMPARED_TOKENS = _counter("epp_compared_prompt_tokens_total", "tokens", "Prompt tokens that those replies report.")
HIT_ERROR = _histogram(
    "epp_hit_prediction_error_ratio",
    "share 0..1",
    "Predicted less observed cached tokens of those replies, without sign, as a share of their prompt tokens.",
    _ERROR,
)
PREDICTED_TTFT = _counter(
    "epp_predicted_ttft_seconds_total",
    "s",
    "Predicted time from the placement to the first token, of requests whose first token was seen.",
)
OBSERVED_TTFT = _counter("epp_observed_ttft_seconds_total", "s", "Time to the first token of those requests.")
TTFT_RATIO = _histogram(
    "epp_ttft_prediction_ratio", "ratio", "Observed over predicted time to the first token of each of them.", _RATIO
)

# The pool.

MEAN_KV_USAGE = _gauge(
    "llm_d_epp_average_kv_cache_utilization",
    "share 0..1",
    "Mean over usable endpoints that were scraped; so for the five that follow. Missing when there is none.",
    _NAME,
)
MEAN_QUEUE = _gauge("llm_d_epp_average_queue_size", "requests", "Mean of waiting requests.", _NAME)
MEAN_RUNNING = _gauge("llm_d_epp_average_running_requests", "requests", "Mean of running requests.", _NAME)
SPREAD_KV_USAGE = _gauge(
    "llm_d_epp_std_dev_kv_cache_utilization", "share 0..1", "Standard deviation of KV cache use.", _NAME
)
SPREAD_QUEUE = _gauge("llm_d_epp_std_dev_queue_size", "requests", "Standard deviation of waiting requests.", _NAME)
SPREAD_RUNNING = _gauge(
    "llm_d_epp_std_dev_running_requests", "requests", "Standard deviation of running requests.", _NAME
)
READY = _gauge("llm_d_epp_ready_endpoints", "endpoints", "Endpoints that are usable.", _NAME)
ENDPOINTS = _gauge("epp_endpoints", "endpoints", "Endpoints by state.", (*_POOL, "state"))
EJECTIONS = _counter("epp_endpoint_ejections_total", "times", "Ejections of endpoints for failing replies.")
LEDGER_OPEN = _gauge("epp_ledger_open_charges", "requests", "Placements whose work counts as load.")
LEDGER_EXPIRED = _counter(
    "epp_ledger_expired_charges_total", "requests", "Placements released by their maximum age: ends that were lost."
)

# Each endpoint.

QUEUE = _gauge(
    "llm_d_epp_per_endpoint_queue_size",
    "requests",
    "Requests in the server's queue at the last scrape.",
    (*_NAME, "model_server_endpoint"),
)
INFLIGHT_REQUESTS = _gauge(
    "llm_d_epp_inflight_requests",
    "requests",
    "Requests placed there by this picker that are not over.",
    (*_POOL, "endpoint_name", "namespace"),
)
INFLIGHT_TOKENS = _gauge(
    "llm_d_epp_inflight_tokens",
    "tokens",
    "Prompt and expected output tokens of those requests.",
    (*_POOL, "endpoint_name", "namespace"),
)
PENDING_PREFILL = _gauge(
    "epp_endpoint_pending_prefill_tokens", "tokens", "Uncached prompt tokens placed there, not yet computed.", _ENDPOINT
)
SERVER_RUNNING = _gauge(
    "epp_endpoint_running_requests", "requests", "Requests that the server worked on at the last scrape.", _ENDPOINT
)
SERVER_KV_USAGE = _gauge(
    "epp_endpoint_kv_cache_utilization", "share 0..1", "KV cache use at the last scrape.", _ENDPOINT
)
SCRAPE_AGE = _gauge(
    "epp_endpoint_scrape_age_seconds",
    "s",
    "Time since the server's metrics were last read. Missing when they never were.",
    _ENDPOINT,
)
PROBE_FAILURES = _gauge(
    "epp_endpoint_probe_failures",
    "requests",
    "Failures in a row of what the endpoint is asked: metrics, health, models.",
    (*_ENDPOINT, "probe"),
)
PROBE_ERRORS = _counter(
    "epp_endpoint_probe_errors_total",
    "requests",
    "Failures of what the endpoint is asked: metrics, health, models.",
    (*_ENDPOINT, "probe"),
)
POLL_ERRORS = _counter(
    "llm_d_epp_datalayer_poll_errors_total",
    "requests",
    "Those of all endpoints, by the Go picker's name of what asks; `health-probe` is ours.",
    (*_POOL, "source_type"),
)
USABLE = _gauge("epp_endpoint_usable", "0 or 1", "Whether new requests should go there.", _ENDPOINT)
STATE = _gauge(
    "epp_endpoint_state", "1", "The endpoint's state, which is the reason of not usable.", (*_ENDPOINT, "state")
)
PREFILL_RATE = _gauge(
    "epp_endpoint_prefill_rate_tokens_per_second", "tokens/s", "Learned. Missing when not yet known.", _ENDPOINT
)
TOKEN_INTERVAL = _gauge(
    "epp_endpoint_token_interval_seconds", "s", "Time per generated token, learned; missing likewise.", _ENDPOINT
)
CACHE_TRUST = _gauge(
    "epp_endpoint_cache_trust_ratio", "share 0..1", "Observed over predicted cached tokens, learned.", _ENDPOINT
)
REPLIES = _counter(
    "epp_upstream_replies_total",
    "requests",
    "Placed requests that are over, by the reply's status (429, 500, 502, 503, 504, or a class such as 2xx; none: no "
    "reply was seen) and by what they say about the endpoint: good, failed, busy, unknown (client's errors, aborts, "
    "ends that were not seen).",
    (*_ENDPOINT, "status", "verdict"),
)

# Streams from the proxy.

STREAMS_OPEN = _gauge("llm_d_epp_extproc_streams_inflight", "streams", "Open ext-proc streams.")
STREAM_DURATION = _histogram(
    "llm_d_epp_extproc_stream_duration_seconds", "s", "Duration of ext-proc streams.", _DURATION
)
STREAMS = _counter(
    "llm_d_epp_extproc_streams_total",
    "streams",
    "Streams that are over, by gRPC code: OK, or Canceled when the client or the proxy gave up.",
    (*_POOL, "code"),
)
EXCHANGES = _counter(
    "epp_exchanges_total",
    "requests",
    "Exchanges that are over, by how the proxy showed the bodies: duplex, buffered, buffered_partial, streamed, none; "
    "of the reply also lean (headers and trailers only).",
    (*_POOL, "request_mode", "reply_mode"),
)
EXCHANGE_ENDS = _counter("epp_exchange_ends_total", "requests", "Exchanges that are over, by cause.", (*_POOL, "cause"))
REPLY_CHUNKS = _counter("epp_reply_chunks_total", "messages", "Chunks of replies that went through this process.")
PROXY_FAULTS = _counter("epp_proxy_faults_total", "streams", "Streams in which the proxy broke the ext-proc protocol.")
INTERNAL_ERRORS = _counter("epp_internal_errors_total", "streams", "Streams on which this process failed.")

# The process. These have no pool.

BODY_BYTES = _gauge("epp_body_bytes_in_flight", "B", "Request bodies that are held now.", ())
BODY_LIMIT = _gauge("epp_body_bytes_limit", "B", "Limit for epp_body_bytes_in_flight.", ())
BODY_REFUSED = _counter("epp_bodies_refused_total", "times", "Bodies that would have passed that limit.", ())
LAG = _gauge("epp_event_loop_lag_seconds", "s", "How late the event loop wakes, smoothed over 0.3 s.", ())
LAG_WORST = _gauge("epp_event_loop_lag_worst_seconds", "s", "The worst of the last second.", ())
BUSY = _gauge(
    "epp_event_loop_busy_ratio",
    "share 0..1",
    "For how much of the time the event loop's thread runs or, on Linux, waits for a core; smoothed over 0.5 s.",
    (),
)
OVERLOADED = _gauge("epp_overloaded", "0 or 1", "New exchanges are placed by load alone.", ())
RELOADS = _counter("epp_config_reloads_total", "times", "Configurations read while running.", ("result",))
RELOAD_OK = _gauge("epp_config_last_reload_successful", "0 or 1", "0: the old configuration was kept.", ())
RELOAD_TIME = _gauge("epp_config_last_load_timestamp_seconds", "s since 1970", "When the one in use was read.", ())
OBSERVER_FAULTS = _counter(
    "epp_observer_faults_total", "calls", "Calls in which metrics, logs or traces failed.", ("observer",)
)
DECISION_LINES = _counter(
    "epp_decision_log_lines_total",
    "lines",
    "Lines of the decision log: written, dropped (the disk was too slow) or failed (it could not be written).",
    ("result",),
)
INFO = _gauge("llm_d_epp_info", "1", "What runs; `build_ref` is the version.", ("commit", "build_ref"))

FAMILIES: tuple[Family, ...] = tuple(one for one in tuple(globals().values()) if isinstance(one, Family))
"""In the order in which they are declared."""
