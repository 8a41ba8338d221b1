"""nginx and HAProxy with the files of deploy/, on ports and with a certificate of tests."""

import datetime
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devstack.environment import ROOT
from devstack.ports import free_port, is_free
from devstack.tools import Tool, ensure_tool
from tests.waiting import await_true

DEPLOY = ROOT / "deploy"
NGINX = Tool(("nginx",), "nginx-light", "the tests of the edge")
HAPROXY = Tool(("haproxy",), "haproxy", "the tests of the edge")
NAME = "tokenproxy.example.com"
# As a server of one's own has it, but in a folder.
NGINX_MAIN = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/tokenproxy.conf;
}}
"""


@dataclass(frozen=True)
class Edge:
    """One running edge."""

    name: str
    https_port: int
    http_port: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.https_port}"

    @property
    def plain_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"


def rewritten(text: str, changes: Mapping[str, str]) -> str:
    """Replace what must differ from a server's. Raises AssertionError if it is no longer there."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def make_certificate(folder: Path) -> None:
    """Write cert.pem, key.pem, and both in site.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "cert.pem").write_bytes(public)
    (folder / "key.pem").write_bytes(secret)
    (folder / "site.pem").write_bytes(public + secret)


@contextmanager
def running(command: list[str], edge: Edge, *, log: Path, env: Mapping[str, str]) -> Iterator[Edge]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=dict(env))
    try:
        await_true(
            lambda: process.poll() is not None or not is_free(edge.https_port),
            what=f"{edge.name} to listen",
        )
        assert process.poll() is None, log.read_text()
        yield edge
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def nginx(folder: Path, *, web_port: int) -> Iterator[Edge]:
    """Run nginx in front of one web process. What `nginx -t` finds is an error."""
    folder.mkdir()
    make_certificate(folder)
    edge = Edge("nginx", https_port=free_port(), http_port=free_port())
    changes = {
        "listen 80;": f"listen 127.0.0.1:{edge.http_port};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{edge.https_port} ssl http2;",
        "    listen [::]:80;\n": "",
        "    listen [::]:443 ssl http2;\n": "",
        "/etc/nginx/tls/fullchain.pem": f"{folder}/cert.pem",
        "/etc/nginx/tls/privkey.pem": f"{folder}/key.pem",
        "/var/log/nginx/tokenproxy.log": f"{folder}/access.log",
        "127.0.0.1:8001": f"127.0.0.1:{web_port}",
        "    server 127.0.0.1:8002 max_fails=1 fail_timeout=2s;\n": "",
    }
    text = (DEPLOY / "nginx" / "tokenproxy.conf").read_text()
    (folder / "tokenproxy.conf").write_text(rewritten(text, changes))
    (folder / "nginx.conf").write_text(NGINX_MAIN.format(folder=folder))
    command = [ensure_tool(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    if os.geteuid() == 0:
        # Its workers, as nobody, open files below the folder.
        folder.chmod(0o755)
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    with running(command, edge, log=folder / "nginx.log", env=os.environ):
        yield edge


@contextmanager
def haproxy(folder: Path, *, web_port: int) -> Iterator[Edge]:
    """Run HAProxy in front of one web process. What `haproxy -c` finds is an error."""
    folder.mkdir()
    make_certificate(folder)
    edge = Edge("haproxy", https_port=free_port(), http_port=free_port())
    second = "    server web2 127.0.0.1:8002\n"
    web = (DEPLOY / "haproxy" / "web-host.cfg").read_text()
    changes = {"127.0.0.1:8001": f"127.0.0.1:{web_port}", second: ""}
    (folder / "web.cfg").write_text(rewritten(web, changes))
    rules = str(DEPLOY / "haproxy" / "haproxy.cfg")
    command = [ensure_tool(HAPROXY), "-db", "-f", rules, "-f", str(folder / "web.cfg")]
    env = {
        **os.environ,
        "EDGE_HTTP": f"127.0.0.1:{edge.http_port}",
        "EDGE_HTTPS": f"127.0.0.1:{edge.https_port}",
        "EDGE_CERTIFICATES": str(folder / "site.pem"),
        "EDGE_ERRORS": str(DEPLOY / "haproxy" / "errors"),
    }
    subprocess.run([*command, "-c"], check=True, capture_output=True, env=env)
    with running(command, edge, log=folder / "haproxy.log", env=env):
        yield edge


def check_compose_file(folder: Path) -> None:
    """Have HAProxy read what compose.yaml starts it with. Raises CalledProcessError."""
    make_certificate(folder)
    rules = DEPLOY / "haproxy"
    files = ["-f", str(rules / "haproxy.cfg"), "-f", str(rules / "web-compose.cfg")]
    env = {
        **os.environ,
        "EDGE_HTTP": "*:80",
        "EDGE_HTTPS": "*:443",
        "EDGE_CERTIFICATES": str(folder / "site.pem"),
        "EDGE_ERRORS": str(rules / "errors"),
    }
    subprocess.run([ensure_tool(HAPROXY), "-c", *files], check=True, capture_output=True, env=env)


EDGES = {"nginx": nginx, "haproxy": haproxy}
