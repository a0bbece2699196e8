"""How often one address or one link may ask: token buckets in bounded memory."""

import ipaddress
from collections import OrderedDict
from typing import NamedTuple


class _Bucket(NamedTuple):
    left: float
    at_s: float


class Buckets:
    """One bucket for each key: full at first, refilled at `per_minute`; the keys least lately seen are forgotten."""

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
        """Take one; False when there is none left.  `now_s` is a clock that never goes back, in seconds."""
        left, at_s = self._buckets.get(key) or _Bucket(self._per_minute, now_s)
        left = min(self._per_minute, left + (now_s - at_s) * self._per_minute / 60)
        granted = left >= 1
        self._buckets[key] = _Bucket(left - granted, now_s)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most_keys:
            self._buckets.popitem(last=False)
        return granted


def client_network(remote: str, forwarded_for: str, proxies: int) -> str:
    """Whom to limit: the client's address, of IPv6 the network that one household has.

    `forwarded_for` is believed only as far as `proxies` of our own have written it: what the client put there itself
    lies further left.
    """
    hops = [hop.strip() for hop in forwarded_for.split(",")] if proxies else []
    text = hops[-proxies] if 0 < proxies <= len(hops) else remote
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return remote
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
