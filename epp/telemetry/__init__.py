"""Looks at model servers, and shows what the picker itself does.

Model servers: `scraper` keeps the endpoints' metrics, health and model lists up to date (`schedule` says when, `pages`
and `model_list` read what comes, `engines` knows what each kind of server calls things).

Ourselves: `metrics`, `stream_metrics` and `log_observer` observe the router and the transport, `observers` joins them;
`collectors` read state when a page is asked for, `exposition` writes it, `catalogue` declares every metric. `logs` and
`faults` write records, `otel` makes spans (`traces` says when). `predictions` compares what was predicted with what
replies report. `decision_log` makes a line per request, `decision_writer` takes lines to a `rotating_file`.
`debug_server` serves it all, `debug_views` say what there is to see. `lag` judges whether the event loop keeps up.
"""
