"""HTTP requests to addresses that people typed in: only to where the operator lets them go.

A name is resolved once, every address it has is checked, and the connection goes to one of those checked
addresses: a name that resolves elsewhere a moment later (DNS rebinding) gains nothing. Redirects are not
followed, proxies of the environment are not used, time and size of the answer are bounded.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

from .words import _, later

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LONGEST_URL = 500
LONGEST_ANSWER = 4_000  # bytes that are read of an answer
SECONDS_TO_CONNECT = 4.0
SECONDS_IN_ALL = 8.0
HOST_NAME = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*\.?"
)
PRIVATE = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "127.0.0.0/8",
    "100.64.0.0/10",
    "fc00::/7",
    "::1/128",
)
INSIDE = tuple(ipaddress.ip_network(each) for each in PRIVATE)
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(Exception):
    """The address may not be asked; says why, to whoever typed it in.

    The text becomes words when it is read out: in their language, or in English for a log of deliveries.
    """


class Unreachable(Exception):
    """It was asked, or would have been, and there was no proper answer."""


@dataclass(frozen=True)
class Target:
    scheme: str
    host: str  # as in the Host header and the certificate
    port: int
    path: str
    addresses: tuple[str, ...]  # each checked


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes  # its beginning


def parse(url: str) -> tuple[str, str, int, str]:
    """(scheme, host, port, path with query). Raises Refused for whatever is not plainly a web address."""
    if len(url) > LONGEST_URL:
        raise Refused(later("At most %(most)s characters.", most=LONGEST_URL))
    if not url.isascii() or re.search(r"[\s\\\x00-\x20\x7f]", url):
        raise Refused(_("Write it without spaces, backslashes and letters beyond ASCII."))
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise Refused(_("This is not a web address.")) from error
    if parts.scheme not in ("http", "https"):
        raise Refused(_("It must begin with https:// or http://."))
    if "@" in parts.netloc:
        raise Refused(_("Leave user name and password out of the address; deliveries are signed."))
    if not HOST_NAME.fullmatch(host) and not _is_address(host):
        raise Refused(_("There is no proper host in this address."))
    if port == 0:
        raise Refused(_("There is no port 0."))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def resolve(url: str) -> Target:
    """Where a request to this address would go. Asks the resolver once; raises Refused or Unreachable."""
    scheme, host, port, path = parse(url)
    try:
        # The resolver also reads 2130706433, 0x7f.1 and the like: what it makes of them is checked.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(later("The name %(host)s has no address.", host=host)) from error
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in addresses:
        why = why_refused(ipaddress.ip_address(text.partition("%")[0]))
        if why:
            raise Refused(
                later(
                    "%(host)s is %(address)s, %(why)s. Only the operator of this site can allow that.",
                    host=host,
                    address=text,
                    why=why,
                )
            )
    return Target(scheme, host, port, path, addresses)


def why_refused(address: Address) -> str:
    """Why nothing is sent to this address, "" where it may be."""
    for each in (address, *_within(address)):
        if any(each in network for network in settings.WEBHOOK_ALLOWED_NETWORKS):
            continue
        if each.is_multicast:
            return _("an address of many (multicast)")
        if each.is_link_local or getattr(each, "is_site_local", False):
            return _("a link-local address")
        if _is_inside(each):
            if not settings.WEBHOOK_ALLOW_PRIVATE:
                return _("a private address")
        elif each.is_unspecified or (not _within(each) and (each.is_reserved or not each.is_global)):
            return _("a reserved address")
    return ""


def _is_inside(address: Address) -> bool:
    """Private networks and this machine, as opposed to ranges that are for nothing one could send to."""
    return any(address in network for network in INSIDE)


def _within(address: Address) -> tuple[Address, ...]:
    """IPv4 addresses that an IPv6 address stands for (mapped, 6to4, Teredo, NAT64)."""
    if not isinstance(address, ipaddress.IPv6Address):
        return ()
    found: list[Address] = [each for each in (address.ipv4_mapped, address.sixtofour) if each is not None]
    found += address.teredo or ()
    if address in NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(found)


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send the body; whatever answers within the bounds, also an error or a redirect. Raises Refused,
    Unreachable.
    """
    target = resolve(url)
    connection = _Connection(target)
    timer = threading.Timer(SECONDS_IN_ALL, connection.abort)
    timer.daemon = True
    timer.start()
    try:
        connection.request("POST", target.path, body=body, headers=dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.read(LONGEST_ANSWER))
    except (OSError, http.client.HTTPException, ValueError) as error:
        if connection.was_aborted or isinstance(error, TimeoutError):
            raise Unreachable(later("No answer within %(n)s seconds.", n=f"{SECONDS_IN_ALL:.0f}")) from error
        raise Unreachable(_in_words(error)) from error
    finally:
        timer.cancel()
        connection.close()


def _in_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        why = getattr(error, "verify_message", "") or error.reason
        return later("No safe connection: %(why)s.", why=why)
    if isinstance(error, ConnectionRefusedError):
        return _("Nothing listens there (connection refused).")
    return later("The connection failed: %(why)s.", why=(str(error) or type(error).__name__)[:200])


class _Connection(http.client.HTTPConnection):
    """To the checked addresses of a target, and to nothing else."""

    def __init__(self, target: Target) -> None:
        super().__init__(target.host, target.port, timeout=SECONDS_TO_CONNECT)
        self.target = target
        self.default_port = 443 if target.scheme == "https" else 80  # left out of the Host header
        self.was_aborted = False

    def connect(self) -> None:
        self.sock = _connected(self.target.addresses, self.target.port)
        if self.target.scheme == "https":
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.target.host)

    def abort(self) -> None:
        """However slowly the other side drips its answer, this ends it."""
        self.was_aborted = True
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:  # closed meanwhile: it has ended
                return


def _connected(addresses: Sequence[str], port: int) -> socket.socket:
    last: OSError = OSError("no address")
    for address in addresses[:2]:
        try:
            return socket.create_connection((address, port), timeout=SECONDS_TO_CONNECT)
        except OSError as error:
            last = error
    raise last
