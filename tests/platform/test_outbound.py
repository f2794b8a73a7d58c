"""What people type in as an address leads nowhere inside (SSRF)."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time

import pytest

from annotate import outbound
from tests.listener import Listener

INSIDE = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",  # decimal
    "http://0x7f000001/",  # hexadecimal
    "http://0x7f.1/",
    "http://0177.0.0.1/",  # octal
    "http://0/",
    "http://0.0.0.0/",
    "http://localhost/",
    "http://localhost./",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",  # IPv4-mapped
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",  # IPv4-compatible
    "http://[64:ff9b::7f00:1]/",  # NAT64
    "http://[2002:7f00:1::]/",  # 6to4
    "http://[2001:0:7f00:1::]/",  # Teredo
    "http://10.0.0.1/",
    "http://172.16.5.4/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",  # what clouds keep there
    "http://[::ffff:169.254.169.254]/",
    "http://100.64.0.1/",
    "http://[fe80::1]/",
    "http://[fd00::1]/",
    "http://[fec0::1]/",
    "http://224.0.0.1/",
    "http://[ff02::1]/",
    "http://255.255.255.255/",
    "http://240.0.0.1/",
    "http://198.18.0.1/",
    "http://192.0.2.1/",
]
NO_ADDRESS = [
    "ftp://example.org/",
    "file:///etc/passwd",
    "gopher://example.org/",
    "javascript:alert(1)",
    "//example.org/",
    "example.org",
    "",
    "http://",
    "http:///path",
    "http://user@example.org/",
    "http://user:password@example.org/",
    "http://example.org@127.0.0.1/",
    "http://127.0.0.1#@example.org/\\",
    "http://example.org\\@127.0.0.1/",
    "http://exa mple.org/",
    "http://example.org/\r\nHost: inside",
    "http://example.org:0/",
    "http://example.org:99999/",
    "http://example.org:port/",
    "http://[::1/",
    "http://[fe80::1%25eth0]/",
    "http://ⓛocalhost/",
    "http://1２7.0.0.1/",
    "http://%31%32%37.0.0.1/",
    "http://" + "a" * 600 + ".example/",
]


@pytest.mark.parametrize("url", INSIDE)
def test_addresses_inside_are_refused(url):
    with pytest.raises((outbound.Refused, outbound.Unreachable)) as refusal:
        outbound.resolve(url)
    if isinstance(refusal.value, outbound.Unreachable):  # this machine's resolver makes nothing of it
        with pytest.raises(OSError):
            socket.getaddrinfo(url.split("/")[2].strip("[]"), 80)


@pytest.mark.parametrize("url", NO_ADDRESS)
def test_what_is_no_plain_web_address_is_refused(url):
    with pytest.raises(outbound.Refused):
        outbound.parse(url)


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_public_addresses_are_not(address):
    assert outbound.why_refused(ipaddress.ip_address(address)) == ""


def test_the_operator_can_allow_private_ones_but_never_link_local_ones(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    for allowed in ("127.0.0.1", "::1", "10.1.2.3", "::ffff:192.168.0.1", "fd00::1"):
        assert outbound.why_refused(ipaddress.ip_address(allowed)) == "", allowed
    for refused in (
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "224.0.0.1",
        "0.0.0.0",
        "240.0.0.1",
        "fe80::1",
    ):
        assert outbound.why_refused(ipaddress.ip_address(refused)), refused


def test_the_operator_can_allow_one_network_and_no_other(settings):
    settings.WEBHOOK_ALLOWED_NETWORKS = [ipaddress.ip_network("10.20.0.0/16")]
    assert outbound.why_refused(ipaddress.ip_address("10.20.3.4")) == ""
    assert outbound.why_refused(ipaddress.ip_address("10.21.3.4"))


def test_one_inside_address_among_several_is_enough_to_refuse(monkeypatch):
    answers = [(2, 1, 6, "", (each, 80)) for each in ("93.184.215.14", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answers)
    with pytest.raises(outbound.Refused):
        outbound.resolve("http://two.example/")


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch):
    """DNS rebinding: a second look-up would be answered with an inside address; there is none."""
    asked, connected = [], []

    def resolver(host, port, *args, **kwargs):
        asked.append(host)
        return [(2, 1, 6, "", ("93.184.215.14" if len(asked) == 1 else "127.0.0.1", port))]

    def connect(address, timeout):
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(outbound.Unreachable):
        outbound.post("http://rebind.example/", b"{}", {})
    assert asked == ["rebind.example"]
    assert connected == [("93.184.215.14", 80)]


@pytest.fixture
def listener(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    with Listener() as running:
        yield running


def test_it_posts_the_bytes_and_reads_the_beginning_of_the_answer(listener):
    listener.answer = (200, "x" * 100_000)
    answer = outbound.post(f"{listener.url}/in?a=1", b'{"a": 1}', {"X-Thing": "yes"})
    assert answer.status == 200 and len(answer.body) == outbound.LONGEST_ANSWER
    [seen] = listener.seen
    assert (seen.path, seen.body, seen.headers["X-Thing"]) == ("/in?a=1", b'{"a": 1}', "yes")
    assert seen.headers["Host"] == listener.url.removeprefix("http://")


def test_a_redirect_is_an_answer_and_is_not_followed(listener):
    listener.answer = (302, "", {"Location": f"{listener.url}/elsewhere"})
    assert outbound.post(listener.url, b"{}", {}).status == 302
    assert [each.path for each in listener.seen] == ["/"]


def test_an_answer_that_drips_is_cut_off(settings, monkeypatch):
    """Each byte comes in time for the socket's own limit; only a limit over all of it ends this."""
    settings.WEBHOOK_ALLOW_PRIVATE = True
    monkeypatch.setattr(outbound, "SECONDS_IN_ALL", 0.5)
    server = socket.create_server(("127.0.0.1", 0))

    def drip():
        connection, _ = server.accept()
        with connection:
            try:
                while True:
                    connection.sendall(b"H")
                    time.sleep(0.05)
            except OSError:
                return

    threading.Thread(target=drip, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(outbound.Unreachable):
        outbound.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {})
    assert time.monotonic() - began < 5
    server.close()
