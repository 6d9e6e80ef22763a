"""What may be reached from here: the text of a URL, and the address it leads to."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.plumbing.addresses import (
    BadPeerAddress,
    Target,
    check_registered_url,
    is_allowed,
    is_this_machine,
    target_of,
    why_refused,
)

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "100.63.255.255",
]
PUBLIC += [
    "100.128.0.1",
    "198.17.255.255",
    "198.20.0.1",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450::8a",
]
PUBLIC += ["::ffff:8.8.8.8", "2001:200::1", "169.253.255.255", "169.255.0.1", "11.0.0.1", "168.63.129.17"]

INSIDE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "100.100.100.200",
]
INSIDE += ["127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1"]
INSIDE += [
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
]
INSIDE += ["203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16"]
INSIDE += [
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
]
INSIDE += ["::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1"]
INSIDE += [
    "2001:0:7f00:1::",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
]
INSIDE += [
    "3fff::1",
    "3fff:fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "2606:4700::1%eth0",
]
INSIDE += ["fec0::1", "ff02::1", "ff0e::1", "1::1", "4000::1", "8000::1", "e000::1"]


@pytest.mark.parametrize("ip", PUBLIC)
def test_public_addresses_may_be_dialled(ip: str) -> None:
    assert why_refused(ip) is None
    assert is_allowed(ip)
    assert is_allowed(ip_address(ip))


@pytest.mark.parametrize("ip", INSIDE)
def test_inner_addresses_may_not_be_dialled_and_the_reason_is_said(ip: str) -> None:
    assert (why_refused(ip) or "").startswith("it ")
    assert not is_allowed(ip)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_nothing_is_allowed_that_python_calls_not_global(ip: IPv4Address | IPv6Address) -> None:
    embedded = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    if is_allowed(ip):
        assert (embedded or ip).is_global
        assert not ip.is_multicast


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_as_the_one_inside(ip: IPv4Address) -> None:
    assert why_refused(f"::ffff:{ip}") == why_refused(ip)


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "0x7f.0.0.1", "017700000001", "2130706433", "[::1]", "1.1.1.1 "]
)
def test_only_a_real_address_is_judged(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        is_allowed(text)


def test_the_addresses_of_this_machine_are_known() -> None:
    assert is_this_machine("127.0.0.1")
    assert is_this_machine(IPv4Address("127.0.0.1"))
    assert not is_this_machine("93.184.216.34")
    assert not is_this_machine("2606:4700:4700::1111")
    for *_, address in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_DGRAM):
        assert is_this_machine(str(address[0]))


PEERS = frozenset({("127.0.0.1", 8081), ("localhost", 8082), ("merchant", 8083), ("::1", 8084)})

GOOD = [
    ("https://shop.example", Target("https", "shop.example", 443)),
    ("https://shop.example/", Target("https", "shop.example", 443)),
    ("https://SHOP.Example:8443/a/b?c=d&e=f%20g", Target("https", "shop.example", 8443)),
    ("https://shop.example?x=@y", Target("https", "shop.example", 443)),
    ("https://shop.example/@me", Target("https", "shop.example", 443)),
    ("https://xn--e1afmkfd.xn--p1ai/", Target("https", "xn--e1afmkfd.xn--p1ai", 443)),
    ("https://a-b.1.example.co/", Target("https", "a-b.1.example.co", 443)),
    ("http://127.0.0.1:8081/callout", Target("http", "127.0.0.1", 8081)),
    ("https://127.0.0.1:8081/", Target("https", "127.0.0.1", 8081)),
    ("http://localhost:8082/", Target("http", "localhost", 8082)),
    ("http://LOCALHOST:8082/", Target("http", "localhost", 8082)),
    ("http://merchant:8083/", Target("http", "merchant", 8083)),
    ("http://[::1]:8084/", Target("http", "::1", 8084)),
]

BAD = [
    "", " ", "shop.example", "//shop.example/", "https:shop.example", "https:/shop.example", "https:///shop.example",
    "http://shop.example/", "HTTPS://shop.example/", "ftp://shop.example/", "file:///etc/passwd", "file://shop.example/x",
    "gopher://127.0.0.1:70/", "dict://127.0.0.1:11211/", "javascript:alert(1)", "data:text/plain,x", "ws://shop.example/",
    "unix:///var/run/docker.sock", "jar:https://shop.example!/", "https+unix://x/", "httpss://shop.example/",
    "https://user@shop.example/", "https://user:pass@shop.example/", "https://@shop.example/", "https://:@shop.example/",
    "https://shop.example@127.0.0.1/", "https://shop.example%40127.0.0.1/", "https://shop.example\\@127.0.0.1/",
    "https://127.0.0.1\\@shop.example/", "https://shop.example#@127.0.0.1/", "https://shop.example/#part",
    "https://shop.example /", "https://shop. example/", " https://shop.example/", "https://shop.example/\n",
    "https://shop.example/a b", "https://shop.example/\r\nHost: inside", "https://sh\top.example/", "https://shop.example/\0",
    "https://shop.example\n.evil.example/", "https://\u0430pple.example/", "https://shop\u3002example/",
    "https://shop.example/\u043f\u0443\u0442\u044c", "https://\uff11\uff12\uff17.0.0.1/", "https://\u2460\u2461\u2466.0.0.1/",
    "https://sho\u00adp.example/", "https://shop_1.example/", "https://-shop.example/", "https://shop-.example/",
    "https://.shop.example/", "https://shop..example/", "https://shop.example./", "https://localhost./", "https://localhost/",
    "https://intranet/", "https://metadata/", "https://merchant:443/", "https://.", "https://..", "https://-/",
    "https://*.example/", "https://$HOST.example/", "https://%6c%6f%63%61%6c%68%6f%73%74/", "https://shop.example%2f/",
    "https://shop.example%00.evil.example/", "https://127.0.0.1/", "https://127.0.0.1:8443/", "https://8.8.8.8/",
    "https://127.1/", "https://127.0.1/", "https://2130706433/", "https://017700000001/", "https://0x7f000001/",
    "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://0X7F.1/", "https://127.0.0.0x1/", "https://1/", "https://0/",
    "https://00000000/", "https://0x/", "https://999.999.999.999/", "https://1.2.3.4.5/", "https://shop.example.1/",
    "https://127.0.0.1./", "https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/",
    "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://[fe80::1%25eth0]/", "https://[::1]:8443/",
    "https://[::1/", "https://::1/", "https://[v1.x]/", "https://[]/", "https://[2606:4700:4700::1111]/",
    "https://shop.example:22/", "https://shop.example:80/", "https://shop.example:25/", "https://shop.example:6379/",
    "https://shop.example:0/", "https://shop.example:65536/", "https://shop.example:99999/", "https://shop.example:-443/",
    "https://shop.example:443443/", "https://shop.example:/", "https://shop.example:443:443/", "https://shop.example:x/",
    "https://shop.example: 443/", "https://shop.example:\u0664\u0664\u0663/", "https://:443/", "https://shop.example;443/",
    "https://shop.example,127.0.0.1/", "https://(shop).example/", "https://shop.example|x/", "https://shop.example`id`/",
    "https://shop.example/<script>", 'https://shop.example/"', "https://shop.example/{id}", "https://shop.example/a\\b",
    "http://127.0.0.1/", "http://127.0.0.1:8080/", "http://127.0.0.1:80810/", "http://127.0.0.2:8081/",
    "http://127.1:8081/", "http://2130706433:8081/", "http://[::ffff:127.0.0.1]:8081/", "http://localhost:8081/",
    "http://localhost.:8082/", "http://localhost:8083/", "http://merchant:8081/", "http://merchant.example:8083/",
    "http://x.merchant:8083/", "http://[0:0:0:0:0:0:0:1]:8084/", "http://user@127.0.0.1:8081/",
    "http://127.0.0.1:8081@shop.example/", "http://127.0.0.1:8081\\@shop.example/",
    "http://shop.example@127.0.0.1:8081/",
    "https://" + "a" * 64 + ".example/", "https://" + "a." * 126 + "example/",
    "https://shop.example/" + "a" * 2048,
]  # fmt: skip


@pytest.mark.parametrize(("url", "target"), GOOD)
def test_a_good_address_is_read(url: str, target: Target) -> None:
    check_registered_url(url, test_profile=False, allowed_private_peers=PEERS)
    assert target_of(url, allowed_private_peers=PEERS) == target


@pytest.mark.parametrize("url", BAD)
def test_a_bad_address_is_refused(url: str) -> None:
    with pytest.raises(BadPeerAddress, match=r"^This web address cannot be used: .+\.$"):
        check_registered_url(url, test_profile=False, allowed_private_peers=PEERS)


@pytest.mark.parametrize(("url", "_"), GOOD[-6:])
def test_without_names_in_the_list_nothing_private_is_allowed(url: str, _: Target) -> None:
    for test_profile in (False, True):
        with pytest.raises(BadPeerAddress):
            check_registered_url(url, test_profile=test_profile)


@pytest.mark.parametrize(
    "url", ["http://shop.example/", "http://shop.example:8080/", "https://shop.example/"]
)
def test_the_test_profile_speaks_plain_http_to_public_names(url: str) -> None:
    check_registered_url(url, test_profile=True)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://localhost/", "http://shop.example:22/", "http://a@b.example/"]
)
def test_the_test_profile_opens_nothing_else(url: str) -> None:
    with pytest.raises(BadPeerAddress):
        check_registered_url(url, test_profile=True)


def test_a_refusal_does_not_repeat_a_password() -> None:
    with pytest.raises(BadPeerAddress) as caught:
        check_registered_url("https://shop:hunter2@shop.example/", test_profile=False)
    assert "hunter2" not in str(caught.value)
    assert "user name or password" in str(caught.value)


def test_a_peer_is_named_without_path() -> None:
    assert target_of("https://shop.example/a?b=c").peer == "https://shop.example:443"
    assert target_of("http://[::1]:8084/a", allowed_private_peers=PEERS).peer == "http://[::1]:8084"
