import pytest

from epp.telemetry.debug_access import AccessSettings, Visitor, may_see

HERE = Visitor("127.0.0.1", "localhost:9090")
AWAY = Visitor("10.0.0.9", "epp.example:9090")
OPEN, CLOSED = AccessSettings("s3cret"), AccessSettings("s3cret", protect_metrics=True)


@pytest.mark.parametrize(
    ("path", "visitor", "settings", "allowed"),
    [
        ("/healthz", AWAY, CLOSED, True),
        ("/metrics", AWAY, OPEN, True),
        ("/metrics", AWAY, CLOSED, False),
        ("/metrics", HERE, CLOSED, True),
        ("/metrics/", AWAY, OPEN, False),
        ("//metrics", AWAY, OPEN, False),
        ("/metrics/../config", AWAY, OPEN, False),
        ("/config", AWAY, OPEN, False),
        ("/nothing", AWAY, OPEN, False),
        ("/config", HERE, OPEN, True),
        ("/config", HERE, AccessSettings(), True),
    ],
)
def test_pages(path: str, visitor: Visitor, settings: AccessSettings, allowed: bool) -> None:
    assert may_see(path, visitor, settings) is allowed


@pytest.mark.parametrize(
    ("authorization", "token", "allowed"),
    [
        ("Bearer s3cret", "s3cret", True),
        ("bearer  s3cret ", "s3cret", True),
        ("Bearer s3cre", "s3cret", False),
        ("Bearer s3crets", "s3cret", False),
        ("Basic s3cret", "s3cret", False),
        ("s3cret", "s3cret", False),
        ("", "s3cret", False),
        ("Bearer ", "", False),
        ("Bearer", "", False),
        ("", "", False),
        ("Bearer \udcff", "s3cret", False),
        ("Bearer gr\udcc3\udcbcn", "grün", True),
    ],
)
def test_tokens(authorization: str, token: str, allowed: bool) -> None:
    visitor = Visitor("10.0.0.9", "epp.example", authorization)
    assert may_see("/config", visitor, AccessSettings(token)) is allowed


@pytest.mark.parametrize(
    ("visitor", "allowed"),
    [
        (Visitor("::1", "[::1]:9090"), True),
        (Visitor("::1", "[::1]"), True),
        (Visitor("::ffff:127.0.0.1", "127.0.0.1:9090"), True),
        (Visitor("127.9.9.9", "LOCALHOST"), True),
        (Visitor("127.0.0.1", ""), True),
        (Visitor("127.0.0.1", "evil.example:9090"), False),
        (Visitor("127.0.0.1", "127.0.0.1.evil.example"), False),
        (Visitor("127.0.0.1", "localhost:9090", forwarded=True), False),
        (Visitor("127.0.0.1", "localhost:9090", cross_origin=True), False),
        (Visitor("::ffff:10.0.0.1", "localhost"), False),
        (Visitor("10.0.0.1", "localhost"), False),
        (Visitor("", "localhost"), False),
        (Visitor("unix:", "localhost"), False),
    ],
)
def test_who_is_local(visitor: Visitor, allowed: bool) -> None:
    assert may_see("/config", visitor, AccessSettings()) is allowed


def test_the_token_is_not_in_the_repr() -> None:
    assert "s3cret" not in repr(CLOSED)
