import pytest

from proxy.errors import InvalidRequest
from proxy.parsing.image_urls import check_image_url, find_remote_image


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1",
        "0", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254",  # noqa: S104
        "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "127.0.0.1.", "10.0.0.1:8080", "[::1]", "[::]",
        "[fe80::1]", "[fe80::1%25eth0]", "[fc00::1]", "[fd00:ec2::254]", "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::10.0.0.1]", "[2002:7f00:1::]",
        "localhost", "LOCALHOST", "localhost.", "a.localhost", "db", "metadata",
        "metadata.google.internal", "metadata.google.internal.", "a.INTERNAL", "nas.local",
        "printer.lan", "x.home.arpa", "x.localdomain", "１２７.０.０.１", "127。0。0。1",
        "①②⑦.0.0.1", "ⓛocalhost", "127%2e0.0.1", "a.b\\@127.0.0.1", "user@a.b", "user:x@127.0.0.1",
        "", "/127.0.0.1", "a.b:x", "[::1", "169.254.169.254\t", "127.0.\n0.1",
    ],
)  # fmt: skip
def test_it_refuses_an_image_of_an_inner_host_in_any_spelling(host: str) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(InvalidRequest) as refusal:
            check_image_url(f"{scheme}://{host}/a.png", "x")

        assert (refusal.value.param, refusal.value.code) == ("x", "invalid_value")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a b.png?x=http://127.0.0.1/#@10.0.0.1",
        "http://example.com:8080/a.png",
        "https://EXAMPLE.com./",
        "https://bücher.example/ü.png",
        "https://8.8.8.8/a.png",
        "https://[2606:4700::1111]/a.png",
        "https://localhost.example.com/a.png",
        "https://10.0.0.1.example.com/a.png",
        "data:image/png;base64,AAAA",
    ],
)
def test_it_takes_an_image_of_a_public_host(url: str) -> None:
    check_image_url(url, "x")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.b/c", "//a.b/c", "a.png", ""])
def test_it_takes_no_other_scheme(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_image_url(url, "x")


def test_it_takes_no_address_as_long_as_a_picture() -> None:
    with pytest.raises(InvalidRequest):
        check_image_url(f"https://a.b/{'x' * 8_192}", "x")
    check_image_url(f"data:image/png;base64,{'A' * 8_192}", "x")


def test_it_finds_an_image_that_is_no_data() -> None:
    inline, remote = ({"image_url": {"url": url}} for url in ("data:,", "https://a.b/c"))
    plain = {"type": "input_image", "image_url": "https://a.b/c"}

    assert find_remote_image({"messages": [{"content": "Hi"}, {"content": [inline]}]}) is None
    assert find_remote_image({"input": ["a", "b"]}) is None
    assert (
        find_remote_image({"messages": [{"content": [inline, remote]}]})
        == "messages[0].content[1].image_url"
    )
    assert find_remote_image({"input": [{"output": [plain]}]}) == "input[0].output[0].image_url"
