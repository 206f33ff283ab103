"""Which proxy the environment asks for."""

import pytest

from epp.discovery.kubernetes.proxies import proxy_of

HTTPS = "https://api.example.com:6443"


@pytest.mark.parametrize(
    ("server", "env", "proxy"),
    [
        (HTTPS, {}, ""),
        (HTTPS, {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        (HTTPS, {"https_proxy": "p:1"}, "http://p:1"),
        (HTTPS, {"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:1"}, "http://a:1"),
        (HTTPS, {"HTTP_PROXY": "http://p:1"}, ""),
        ("http://api:80", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        (HTTPS, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, ""),
        (HTTPS, {"HTTPS_PROXY": "http://p:1", "no_proxy": "other, api.example.com"}, ""),
        (HTTPS, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com"}, ""),
        (HTTPS, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".example.com"}, ""),
        (HTTPS, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*.example.com"}, ""),
        (HTTPS, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "ample.com"}, "http://p:1"),
        (HTTPS, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.example.com:6443"}, ""),
        (HTTPS, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.example.com:443"}, "http://p:1"),
        ("https://example.com", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".example.com"}, "http://p:1"),
        ("https://localhost:1", {"HTTPS_PROXY": "http://p:1"}, ""),
        ("https://127.0.0.1:1", {"HTTPS_PROXY": "http://p:1"}, ""),
        ("https://[::1]:1", {"HTTPS_PROXY": "http://p:1"}, ""),
        ("https://10.0.0.1", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, ""),
        ("https://10.0.0.1", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.1"}, ""),
        ("https://10.0.0.1", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "10.0.0.2,nonsense/8"}, "http://p:1"),
        ("https://[fd00::1]:6443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "fd00::/8"}, ""),
        ("https://[fd00::1]:6443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "[fd00::1]:6443"}, ""),
        ("https://[fd00::1]:6443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "fd00::1"}, ""),
    ],
)
def test_proxies(server: str, env: dict[str, str], proxy: str) -> None:
    assert proxy_of(server, env) == proxy
