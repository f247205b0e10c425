"""Where callbacks may go: to addresses of the public internet, not into the operator's network.

Whoever may send requests names the URLs of callbacks. Without this guard the service would knock
for them at what only it can reach: itself, databases, the metadata of a cloud's machines.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

#: Networks of IPv6 whose last 32 bits are an address of IPv4 (RFC 6052, 4291).
_HOLDING_IPV4 = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))


class PrivateAddress(OSError):
    """The host name of a callback leads into a private network."""


def open_public_socket(address_info: tuple[Any, ...]) -> socket.socket:
    """A socket for an address as `getaddrinfo` tells it.  Errors: PrivateAddress.

    Asked for each address that is about to be connected to, so that a name can't lead elsewhere
    between looking at it and connecting.
    """
    family, kind, protocol, _, address = address_info
    if not is_public(address[0]):
        message = "the address is not one of the public internet"
        raise PrivateAddress(message)
    return socket.socket(family=family, type=kind, proto=protocol)


def is_public(text: str) -> bool:
    """Whether it is the address of one machine on the public internet."""
    try:
        address = _inner(ip_address(text))
    except ValueError:
        return False
    return address.is_global and not address.is_multicast


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The address of IPv4 that one of IPv6 stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if any(address in network for network in _HOLDING_IPV4):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
