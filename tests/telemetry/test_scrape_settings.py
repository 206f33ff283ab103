"""Settings that cannot be wrong once they are made."""

import pytest

from epp.telemetry.scrape_settings import ScrapeSettings

BAD = {
    "an interval of nothing": ({"interval_s": 0.0}, "interval_s is 0.0: it must be between 0.01 and 86400"),
    "not a number": ({"timeout_s": float("nan")}, "timeout_s is nan"),
    "a negative back-off": ({"max_backoff_s": -1.0}, "max_backoff_s"),
    "no room for a page": ({"max_page_bytes": 0}, "max_page_bytes is 0"),
    "a port beyond": ({"metrics_port": 65_536}, "metrics_port is 65536"),
    "a relative path": ({"metrics_path": "metrics"}, "metrics_path is 'metrics': it must begin with /"),
    "a path with a line end": ({"health_path": "/a\r\nb"}, "health_path"),
    "a path with a space": ({"models_path": "/a b"}, "models_path"),
    "another scheme": ({"scheme": "ftp"}, "scheme is 'ftp': it must be http or https"),
    "an unknown engine": ({"engine": "vlm"}, "engine is 'vlm': known are vllm, sglang"),
}


@pytest.mark.parametrize(("settings", "reason"), BAD.values(), ids=BAD)
def test_a_bad_value_is_refused_with_the_limits(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ScrapeSettings(**settings)  # type: ignore[arg-type]


def test_health_and_models_can_be_switched_off() -> None:
    assert ScrapeSettings(health_path="", models_path="").health_path == ""
