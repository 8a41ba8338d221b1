"""A Redis behind TLS: an authority of one's own, and a relay in front of a real server."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

VALID = timedelta(days=2)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """Vouches for servers and clients; nobody knows it but who is told."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.certificate = folder / f"{name}.pem"
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        signed = self._signed(self._name, self._key, is_authority=True)
        self.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def vouch_for(self, name: str, *, address: str = "") -> Pair:
        """Make a certificate for a server at an address, or for a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        pair = Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        signed = self._signed(subject, key, address=address)
        pair.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pair

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        address: str = "",
        is_authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        unsigned = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - VALID)
            .not_valid_after(now + VALID)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if address:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
            unsigned = unsigned.add_extension(names, critical=False)
        return unsigned.sign(self._key, hashes.SHA256())


@dataclass
class Relay:
    """Passes bytes on to a server, and notes who was let in."""

    to_port: int
    tls: ssl.SSLContext | None = None
    port: int = 0
    # The common names of the clients' certificates; "" of who showed none.
    let_in: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with AsyncExitStack() as open_ends:
            open_ends.push_async_callback(_hang_up, writer)
            if self.tls is not None:
                try:
                    await writer.start_tls(self.tls)
                except OSError:
                    # One end has refused the other.
                    return
            shown = writer.get_extra_info("peercert") or {}
            names = dict(pair for part in shown.get("subject", ()) for pair in part)
            self.let_in.append(names.get("commonName", ""))
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.to_port)
            open_ends.push_async_callback(_hang_up, to_server)
            await asyncio.gather(_pass(reader, to_server), _pass(from_server, writer))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # Whoever hangs up takes the other end along.
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.close()


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@contextmanager
def relayed(
    to_port: int, *, tls: ssl.SSLContext | None = None, path: Path | None = None
) -> Iterator[Relay]:
    """Serve a server's port behind TLS, or at a path."""
    relay = Relay(to_port, tls)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="relay")
    thread.start()

    async def listen() -> asyncio.Server:
        if path is not None:
            return await asyncio.start_unix_server(relay.serve, path)
        return await asyncio.start_server(relay.serve, "127.0.0.1", 0)

    async def end(server: asyncio.Server) -> None:
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with closing(loop):
        try:
            server = asyncio.run_coroutine_threadsafe(listen(), loop).result()
            if path is None:
                relay.port = server.sockets[0].getsockname()[1]
            try:
                yield relay
            finally:
                asyncio.run_coroutine_threadsafe(end(server), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


def server_context(pair: Pair, *, clients: Authority | None = None) -> ssl.SSLContext:
    """Return how a server speaks TLS; with `clients`, only to those that it vouches for."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.certificate)
    return context
