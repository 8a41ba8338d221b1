"""nginx as a plain proxy: what moving the bytes costs at least."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.table.gateways.starting import UPSTREAM_KEY, Missing, Place, Running, run, start_server
from devstack.errors import LaunchError
from devstack.ports import free_port
from devstack.tools import Tool, ensure_tool

NGINX = Tool(("nginx",), "nginx-light", "the comparison with nginx")
CONFIGURATION = """
daemon off;
master_process on;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-errors.log;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_max_body_size 16m;
    client_body_buffer_size 1m;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    upstream fake {{ server 127.0.0.1:{upstream}; keepalive 1024; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        keepalive_requests 100000000;
        location / {{
            proxy_pass http://fake;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


@contextmanager
def start(place: Place) -> Iterator[Running]:
    """Serve with one worker process. Raises Missing."""
    try:
        nginx = ensure_tool(NGINX)
    except LaunchError as error:
        raise Missing(str(error)) from error
    version = run([nginx, "-v"]).strip().rpartition("/")[2]
    port = free_port()
    configuration = place.folder / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(folder=place.folder, upstream=place.upstream_port, port=port)
    )
    argv = [nginx, "-p", str(place.folder), "-e", "stderr", "-c", str(configuration)]
    process = start_server("nginx", argv, place=place, port=port)
    try:
        headers = {"Authorization": f"Bearer {UPSTREAM_KEY}"}
        yield Running(f"nginx {version}", port, process.pid, headers)
    finally:
        process.stop()
