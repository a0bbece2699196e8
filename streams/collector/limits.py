"""Rate limits for an address or a link: token buckets in bounded memory."""

import ipaddress
from collections import OrderedDict
from typing import NamedTuple


class _Bucket(NamedTuple):
    tokens: float
    at_s: float


class Buckets:
    """Token buckets by key: full at first, refilled at `per_minute`; the keys least lately seen are forgotten."""

    def __init__(self, per_minute: int, most_keys: int = 100_000) -> None:
        """Raises ValueError unless both are above 0."""
        if per_minute <= 0 or most_keys <= 0:
            raise ValueError("per_minute and most_keys must be above 0")
        self._per_minute = per_minute
        self._most_keys = most_keys
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now_s: float) -> bool:
        """Take a token; False when there is none left.  `now_s` is a clock that never goes back, in seconds."""
        tokens, at_s = self._buckets.get(key) or _Bucket(self._per_minute, now_s)
        tokens = min(self._per_minute, tokens + (now_s - at_s) * self._per_minute / 60)
        granted = tokens >= 1
        self._buckets[key] = _Bucket(tokens - granted, now_s)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most_keys:
            self._buckets.popitem(last=False)
        return granted

    def give_back(self, key: str) -> None:
        """Put back the token that was taken last: what it was taken for is not to be limited."""
        if (bucket := self._buckets.get(key)) is not None:
            self._buckets[key] = bucket._replace(tokens=min(self._per_minute, bucket.tokens + 1))


def client_network(remote: str, forwarded_for: str, proxies: int) -> str:
    """The client's address of IPv4, or its /64 network of IPv6, which a household has: the key of its limits.

    `forwarded_for` is believed only as far as `proxies` of our own have written it, counted from the right: entries of
    the client itself lie further left.  `remote`, the address of the connection, stands in for an entry that is no
    address.  Ports, brackets and quotes around an address do not matter.
    """
    hops = forwarded_for.split(",") if proxies else []
    told = _address(hops[-proxies]) if 0 < proxies <= len(hops) else None
    address = told or _address(remote)
    if address is None:
        return remote
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address in `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`; None in any other text."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
