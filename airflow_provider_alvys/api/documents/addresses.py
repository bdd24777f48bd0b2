"""Judge the addresses that URLs from a response lead to."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

Kind = Literal["public", "loopback", "private", "forbidden"]

# Metadata services outside the link-local range: of Azure, Oracle and Alibaba, and over IPv6 of AWS (also
# the credentials of a pod), Google, Linode and Scaleway.
_METADATA = tuple(
    map(
        ip_network,
        (
            "168.63.129.16",
            "192.0.0.192",
            "100.100.100.200",
            "fd00:ec2::/32",
            "fd20:ce::254",
            "fd00:a9fe:a9fe::1",
            "fd00:42::42",
        ),
    )
)
_METADATA_NAME = re.compile(
    r"metadata|metadata\.goog|metadata\.google\.internal|instance-data(\.ec2\.internal)?"
)
_THIS_NETWORK = IPv4Network("0.0.0.0/8")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# Embeds an IPv4 address at a place that only its network knows. Some versions of Python call it private.
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_IPV4_COMPATIBLE = IPv6Network("::/96")
# Names of private networks, or a number in a spelling that is no address.
_LOCAL_NAME = re.compile(
    r"[^.]*|.*%.*|(.+\.)?(localhost|localdomain|local|internal|intranet|lan|home\.arpa|0x[0-9a-f]*|[0-9]+)"
)

_ADVICE = "which needs allow_private_downloads on the connection"


class AddressRefusedError(ValueError):
    """A host has an address that must not be connected to."""


@dataclass(frozen=True)
class AddressRules:
    """
    Which addresses may be connected to, in addition to public ones.

    Link-local addresses, those of metadata services, and those that no server has are always refused.

    :param allow_loopback: this machine.
    :param allow_private: this machine and private networks.
    """

    allow_loopback: bool = False
    allow_private: bool = False

    def check_address(self, host: str, address: str) -> None:
        """Raise AddressRefusedError if an address of a host must not be connected to."""
        kind = kind_of(address)
        is_allowed = self.allow_private and kind != "forbidden"
        if not (kind == "public" or is_allowed or (self.allow_loopback and kind == "loopback")):
            advice = "which is never allowed" if kind == "forbidden" else _ADVICE
            raise AddressRefusedError(f"{host} has the {kind} address {address}, {advice}")

    def check_name(self, host: str) -> None:
        """Raise AddressRefusedError as far as a host's name shows where it leads: a proxy resolves it."""
        address, name = literal_address(host), host.lower().rstrip(".")
        if address is not None:
            self.check_address(host, address)
        elif _METADATA_NAME.fullmatch(name):
            raise AddressRefusedError(f"{host} is a metadata service, which is never allowed")
        elif not self.allow_private and _LOCAL_NAME.fullmatch(name):
            raise AddressRefusedError(f"{host} is a name of a private network, {_ADVICE}")


def kind_of(address: str) -> Kind:
    """Return where an IP address leads, judged by the IPv4 address that it embeds, if any."""
    ip = _without_embedding(ip_address(address.partition("%")[0]))
    if isinstance(ip, IPv6Address):
        is_unused = not (ip in _GLOBAL_UNICAST or ip.is_loopback or ip.is_private or ip.is_site_local)
        is_forbidden = is_unused or ip.teredo is not None or ip in _LOCAL_NAT64
    else:
        is_forbidden = ip in _THIS_NETWORK or ip.is_reserved
    if is_forbidden or ip.is_unspecified or ip.is_multicast or ip.is_link_local:
        return "forbidden"
    if any(ip in network for network in _METADATA):
        return "forbidden"
    if ip.is_loopback:
        return "loopback"
    return "public" if ip.is_global and not (ip.version == 6 and ip.is_site_local) else "private"


def _without_embedding(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(ip, IPv4Address):
        return ip
    embedded = ip.ipv4_mapped or ip.sixtofour
    if embedded is None and (ip in _NAT64 or (ip in _IPV4_COMPATIBLE and int(ip) > 1)):
        embedded = IPv4Address(int(ip) & 0xFFFFFFFF)
    return embedded or ip


def literal_address(host: str) -> str | None:
    """Return the address of a host that is one, in any spelling that a resolver accepts; else None."""
    name = host.strip("[]").rstrip(".")
    try:
        return str(ip_address(name.partition("%")[0]))
    except ValueError:
        pass
    try:
        # Also 127.1, 0x7f.1 and 2130706433.
        return socket.inet_ntoa(socket.inet_aton(name))
    except (OSError, ValueError):
        return None


def resolve(host: str) -> list[str]:
    """Return the addresses of a host by the system's resolver. Raise OSError for an unknown host."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
