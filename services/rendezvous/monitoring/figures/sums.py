"""Sums that come out the same in any order: integers. Pure."""

from __future__ import annotations

import numpy as np

from rendezvous.replay.bootstrapping import Float64s

FRACTION_BITS = 32
"""A bounded loss is counted in units of 2**-32: at most 2**-33 (1.2e-10) off, and so is any mean of them."""
ONE = 1 << FRACTION_BITS
EXACT_BITS = 1126
"""The smallest part of any float64 is 2**-1074; `frexp` and 53 bits of mantissa reach down to 2**-1126."""
_SPLITTER = 2.0**27 + 1
_MANTISSA_BITS, _HALF_BITS, _LEAST_EXPONENT = 53, 26, -1073


def fixed(values: Float64s) -> int:
    """The sum in units of 2**-32, each value rounded by itself.

    Overflows when the values of one call add up to 2**31: at 16 nats a row after 1.3e8 rows in one call. What is kept
    over calls is a Python integer, which never does.
    """
    return int(np.rint(np.ldexp(values, FRACTION_BITS)).astype(np.int64).sum())


def exact(values: Float64s) -> int:
    """The sum without any rounding, in units of 2**-1126, of finite numbers of any size (up to 2**26 of them).

    By exponent, because integers of the mantissas alone would overflow; in halves of 26 and 27 bits, because float64
    counts of integers are exact below 2**53.
    """
    if not len(values):
        return 0
    mantissas, exponents = np.frexp(values)
    whole = np.ldexp(mantissas, _MANTISSA_BITS)
    high = np.floor(np.ldexp(whole, -_HALF_BITS))
    low = whole - np.ldexp(high, _HALF_BITS)
    least = int(exponents.min())
    places = exponents - least
    total = 0
    for place, (much, little) in enumerate(zip(np.bincount(places, high), np.bincount(places, low), strict=True)):
        if much or little:
            total += ((int(much) << _HALF_BITS) + int(little)) << (place + least - _LEAST_EXPONENT)
    return total


def exact_squares(values: Float64s) -> int:
    """The sum of squares without any rounding: each square as three products that float64 holds (Veltkamp, Dekker).

    Of numbers up to 1e150. A variance made of it keeps its digits however small it is beside the mean.
    """
    spread = values * _SPLITTER
    high = spread - (spread - values)
    low = values - high
    return exact(high * high) + 2 * exact(high * low) + exact(low * low)


def packed(total: int) -> list[int]:
    """An exact sum for JSON: an odd number and how often it is doubled, since its last thousand bits are mostly 0."""
    zeros = (total & -total).bit_length() - 1 if total else 0
    return [total >> zeros, zeros]


def unpacked(saved: list[int]) -> int:
    """What `packed` gave."""
    number, zeros = saved
    return number << zeros
