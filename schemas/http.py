"""HTTP connections of every client of ours, to registry, ClickHouse, webhooks and token servers: one rule for proxies.

`HTTP_PROXY`, `HTTPS_PROXY` and `ALL_PROXY` name the proxy for an address of that scheme, `NO_PROXY` the hosts that are
reached without: names with all that ends in them, networks such as 10.0.0.0/8, and * for every host.  This machine
itself is always reached without.
"""

import ssl
from base64 import b64encode
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from schemas.errors import BadInput


def pool_for(url: str, *, context: ssl.SSLContext | None = None, **arguments: Any) -> urllib3.PoolManager:
    """Make the pool of connections to the server of an address, through its proxy where it has one; never retries.

    Raises BadInput for a proxy that is none.
    """
    arguments = {"retries": False, "ssl_context": context, **arguments}
    proxy = proxy_of(url)
    if proxy is None:
        return urllib3.PoolManager(**arguments)
    parts = urlsplit(proxy)
    user = user_of(proxy)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return urllib3.ProxyManager(
        address, proxy_headers={"Proxy-Authorization": basic(user)} if user else None, **arguments
    )


def user_of(url: str) -> str:
    """User and password in an address, as `user:password`; empty for none."""
    parts = urlsplit(url)
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""


def basic(user_info: str) -> str:
    """Make the value of a header that says user and password, in UTF-8 (RFC 7617)."""
    return f"Basic {b64encode(user_info.encode()).decode()}"


def proxy_of(url: str) -> str | None:
    """Look up the address of the proxy for an address in the environment; None to reach its server directly.

    Raises BadInput for a proxy that is none.
    """
    parts = urlsplit(url)
    proxies, host = getproxies(), parts.hostname or ""
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or _is_direct(host, f"{host}:{parts.port}" if parts.port else host, proxies.get("no", "")):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        if urlsplit(proxy).scheme in ("http", "https") and urlsplit(proxy).hostname and urlsplit(proxy).port != 0:
            return proxy
    except ValueError:
        pass
    raise BadInput(f"{parts.scheme.upper()}_PROXY or ALL_PROXY must look like http://host:port")


def _is_direct(host: str, host_and_port: str, no_proxy: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or bool(proxy_bypass(host_and_port))
    return address.is_loopback or bool(proxy_bypass(host_and_port)) or _is_in(host, no_proxy)


def _is_in(address: str, no_proxy: str) -> bool:
    """True for an address in one of the networks that are listed."""
    for listed in no_proxy.split(","):
        try:
            if ip_address(address) in ip_network(listed.strip().strip("[]"), strict=False):
                return True
        except ValueError:
            continue
    return False


def tls_context(ca: str = "", certificate: str = "", key: str = "", key_password: str = "") -> ssl.SSLContext:
    """Make a TLS context that trusts the authority in the file `ca`, the machine's own without one, and checks names.

    `certificate` and `key` are files, for a server that wants to know us.  Raises ValueError that names what cannot be
    loaded.
    """
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise ValueError(f"{ca} holds no certificate of an authority: {_reason(error)}") from error
    if not certificate:
        return context
    try:
        context.load_cert_chain(certificate, key or None, lambda: key_password)  # None would ask on the terminal
    except OSError as error:
        hint = "" if key_password else ", or it needs a password"
        raise ValueError(f"{certificate} with {key or 'no key'} cannot be loaded{hint}: {_reason(error)}") from error
    return context


def tls_trouble(error: BaseException) -> str:
    """Say what is wrong with a server's certificate or its TLS; empty for an error about something else."""
    root = _root_cause(error)
    if isinstance(root, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {root.verify_message.rstrip('.').lower()}"
    return f"no TLS with it: {_reason(root)}" if isinstance(root, ssl.SSLError) else ""


def is_about_certificates(error: BaseException) -> bool:
    """True for an error that no waiting mends: a certificate that is not trusted."""
    return isinstance(_root_cause(error), ssl.SSLCertVerificationError)


def _reason(error: BaseException) -> str:
    text = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
    return str(text).replace("_", " ").lower()


def _root_cause(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
