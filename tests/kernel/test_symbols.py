"""Names of kernel functions."""

from __future__ import annotations

from mmunotify.kernel.symbols import Symbols, kernel_symbols

LINES = [
    "ffffffff81000000 T _text",
    "ffffffff81000100 t do_wp_page",
    "ffffffff81000200 t do_wp_page.cold",
    "ffffffff81000300 D some_data",
    "ffffffffc0000000 t kvm_age_hva\t[kvm]",
]


def test_names() -> None:
    """An address has the name of the function it lies in; parts count as the whole."""
    symbols = Symbols(LINES)
    addresses = [0xFFFFFFFF81000140, 0xFFFFFFFF81000210, 0xFFFFFFFFC0000010, 0x1000]
    assert symbols.stack(addresses) == ("do_wp_page", "do_wp_page", "kvm_age_hva", "?")


def test_hidden() -> None:
    """Where the kernel shows zeros there are no names."""
    symbols = Symbols(["0000000000000000 T _text"])
    assert not symbols
    assert symbols.name(0xFFFFFFFF81000140) == "?"


def test_read_once() -> None:
    """It takes a tenth of a second and 20 MB."""
    assert kernel_symbols() is kernel_symbols()
    assert kernel_symbols().name(0x1000) == "?"
