"""Reading the hosts file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.discovery.hosts_file import parse_hosts

CASES = {
    "nothing": (b"", {}),
    "several names of an address": (
        b"10.0.0.1 gpu1 GPU1.example # the first\n",
        {"gpu1": "10.0.0.1", "gpu1.example": "10.0.0.1"},
    ),
    "several addresses of a name": (b"127.0.0.1\tlocalhost\n::1 localhost\n", {"localhost": "127.0.0.1 ::1"}),
    "comments and rubbish": (b"#10.0.0.1 a\nnonsense b\n10.0.0.1\n\xff\xfe c\n 10.0.0.2   d\r\n", {"d": "10.0.0.2"}),
    "a zone is of this host only": (b"fe80::1%lo0 a\nfd00:0::1 a\n", {"a": "fd00::1"}),
}


@pytest.mark.parametrize(("data", "hosts"), CASES.values(), ids=CASES)
def test_names_are_found(data: bytes, hosts: dict[str, str]) -> None:
    assert {name: " ".join(addresses) for name, addresses in parse_hosts(data).items()} == hosts


@given(st.binary(max_size=200))
def test_any_bytes_are_read(data: bytes) -> None:
    parse_hosts(data)
