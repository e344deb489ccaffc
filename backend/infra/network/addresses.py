"""Which network addresses images may come from, enforced on the very connection that is made.

A name is resolved once, its addresses are checked, and the connection goes to a checked address: a name that
answers differently the second time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import create_connection

from backend.errors import AddressRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Where clouds answer with credentials of the machine, apart from the link-local 169.254.169.254.
METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)


@dataclass(frozen=True)
class AddressRules:
    """Who may be asked for an image.

    hosts: if not empty, only these names (`.example.org` includes all below). Label Studio's own host, given
    with each check, is exempt from `hosts` and `allow_private`, but not from what is never allowed.
    """

    hosts: tuple[str, ...] = ()
    allow_private: bool = True

    def check_name(self, host: str, label_studio_host: str | None) -> None:
        """Raise AddressRefused unless the host is on the list, if there is one."""
        if not self.hosts or host == label_studio_host:
            return
        if any(host == name or (name.startswith(".") and f".{host}".endswith(name)) for name in self.hosts):
            return
        raise AddressRefused(f"images may not come from {host}: it is not in IMAGE_HOSTS")

    def check_address(self, address_text: str, host: str, label_studio_host: str | None) -> None:
        """Raise AddressRefused if nothing may be fetched from this IP address."""
        address = _unwrapped(ipaddress.ip_address(address_text.split("%")[0]))
        if (
            address.is_link_local
            or address.is_multicast
            or address.is_unspecified
            or (address.is_reserved and address.version == 4)
            or address in METADATA
        ):
            raise AddressRefused(f"images never come from {host}: {address} is link-local or serves metadata")
        if not self.allow_private and not address.is_global and host != label_studio_host:
            raise AddressRefused(
                f"images may not come from {host}: {address} is private and ALLOW_PRIVATE_ADDRESSES is false"
            )


class GuardedAdapter(HTTPAdapter):
    """The transport of a requests session that connects to checked addresses only.

    Through a proxy it is the proxy that connects, so there the target is checked as far as this machine can
    resolve it.
    """

    def __init__(self, rules: AddressRules, label_studio_host: Callable[[], str | None]) -> None:
        self._rules = rules
        self._label_studio_host = label_studio_host
        super().__init__(pool_connections=16, pool_maxsize=16)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make connection pools whose connections check where they go."""
        super().init_poolmanager(*args, **kwargs)
        resolve = self._resolve

        class GuardedHTTPConnection(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return _connect(self, resolve)

        class GuardedHTTPSConnection(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return _connect(self, resolve)

        class GuardedHTTPPool(HTTPConnectionPool):
            ConnectionCls = GuardedHTTPConnection

        class GuardedHTTPSPool(HTTPSConnectionPool):
            ConnectionCls = GuardedHTTPSConnection

        self.poolmanager.pool_classes_by_scheme = {"http": GuardedHTTPPool, "https": GuardedHTTPSPool}

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Send a request after checking its host's name, and its address where a proxy will connect."""
        parts = urlsplit(request.url)
        host = parts.hostname or ""
        self._rules.check_name(host, self._label_studio_host())
        if select_proxy(request.url, kwargs.get("proxies")):
            with contextlib.suppress(socket.gaierror):  # perhaps only the proxy knows the name
                self._resolve(host, parts.port or 0)
        return super().send(request, *args, **kwargs)

    def _resolve(self, host: str, port: int) -> list[str]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        for address in addresses:
            self._rules.check_address(address, host, self._label_studio_host())
        return addresses


def _connect(connection: HTTPConnection, resolve: Callable[[str, int], list[str]]) -> socket.socket:
    try:
        addresses = resolve(connection._dns_host, connection.port)
    except (socket.gaierror, UnicodeError) as exc:
        raise NewConnectionError(connection, f"cannot resolve {connection.host}: {exc}") from exc
    failure: OSError | None = None
    for address in addresses:
        try:
            return create_connection(
                (address, connection.port),
                connection.timeout,
                source_address=connection.source_address,
                socket_options=connection.socket_options,
            )
        except TimeoutError as exc:
            raise ConnectTimeoutError(connection, f"connecting to {connection.host} took too long") from exc
        except OSError as exc:
            failure = exc
    raise NewConnectionError(connection, f"cannot connect to {connection.host}: {failure}") from failure


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
