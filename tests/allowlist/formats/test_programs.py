"""Formats read by the programs that enforce them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.feed import FEED, published, withdrawn
from tests.support.service import Caller, Service

IPV4 = ["154.192.0.5/32", "154.192.4.0/24", "154.192.5.0/29"]
IPV6 = ["2400:1460::/48", "2400:1461:1::/48", "2400:1462::1/128"]
LISTS = pytest.mark.parametrize("networks", [IPV4 + IPV6, IPV4, IPV6], ids=["both", "no_ipv6", "no_ipv4"])
PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


def program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def in_namespace(*command: str) -> list[str]:
    """A command in its own network namespace, where it does not change the host's firewall."""
    prefix = [program("unshare"), "--map-root-user", "--net"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this kernel gives no network namespace to this user")
    return [*prefix, *command]


def skip_without_ip_set(ipset: str) -> None:
    if subprocess.run(in_namespace(ipset, "list"), capture_output=True, check=False).returncode:
        pytest.skip("this kernel has no ip_set")


def run(*command: str, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


async def served(caller: Caller, name: str, directory: Path) -> Path:
    answer = await caller.get(f"{FEED}?format={name}")
    assert answer.status_code == 200, answer.text
    return written(directory / f"allowlist.{name}", answer.content)


def written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    file.parent.chmod(0o755)
    return file


@LISTS
async def test_nft_takes_the_list_and_takes_it_again(
    service: Service, nayatel: Caller, tmp_path: Path, networks: list[str]
) -> None:
    nft = program("nft")
    await published(service, *networks)
    file = await served(nayatel, "nftables", tmp_path)
    run(*in_namespace(nft, "-c", "-f", str(file)))
    twice = f"'{nft}' -f '{file}' && '{nft}' -f '{file}' && '{nft}' list table inet ip_registration"
    held = run(*in_namespace("sh", "-c", twice))
    for network in networks:
        assert network.removesuffix("/32").removesuffix("/128") in held


@LISTS
async def test_ipset_restores_the_list_over_the_one_before(
    service: Service, nayatel: Caller, tmp_path: Path, networks: list[str]
) -> None:
    ipset = program("ipset")
    skip_without_ip_set(ipset)
    await published(service, "154.192.9.9/32", *networks)
    before = (await served(nayatel, "ipset", tmp_path)).rename(tmp_path / "before")
    await withdrawn(service, ["154.192.9.9/32"])
    await service.publish()
    file = await served(nayatel, "ipset", tmp_path)
    script = f"'{ipset}' restore < '{before}' && '{ipset}' restore < '{file}' && '{ipset}' save"
    held = run(*in_namespace("sh", "-c", script))
    for network in networks:
        number = 6 if ":" in network else 4
        assert f"add ip_registration{number} {network.removesuffix('/32').removesuffix('/128')}" in held or (
            f"add ip_registration{number} {network}" in held
        )
    assert "154.192.9.9" not in held
    assert "_new" not in held


@LISTS
async def test_bird_matches_the_networks_and_every_prefix_inside_them(
    service: Service, nayatel: Caller, tmp_path: Path, networks: list[str]
) -> None:
    bird, birdc = program("bird"), program("birdc")
    await published(service, *networks)
    file = await served(nayatel, "bird", tmp_path)
    configuration = tmp_path / "bird.conf"
    filters = "".join(
        f"filter registered{n} {{ if net ~ IP_REGISTRATION_{n} then accept; reject; }}\n"
        f"protocol static static{n} {{ ipv{n} {{ import filter registered{n}; }}; }}\n"
        for n in (4, 6)
    )
    configuration.write_text(f'router id 192.0.2.1;\ninclude "{file}";\nprotocol device {{}}\n{filters}')
    run(bird, "-p", "-c", str(configuration))
    asked = {
        "154.192.4.0/24": "154.192.4.0/24",
        "154.192.4.9/32": "154.192.4.0/24",
        "154.192.5.8/32": None,
        "154.192.4.0/23": None,
        "2400:1461:1::5/128": "2400:1461:1::/48",
        "2400:1461::/32": None,
    }
    sets = [f"{each} ~ IP_REGISTRATION_{6 if ':' in each else 4}" for each in asked]
    evaluations = "; ".join(f"'{birdc}' -s '{tmp_path}/ctl' 'eval {each}'" for each in sets)
    started = f"'{bird}' -c '{configuration}' -s '{tmp_path}/ctl' -P '{tmp_path}/pid'"
    said = run(*in_namespace("sh", "-c", f"{started}; {evaluations}; kill $(cat '{tmp_path}/pid')"))
    found = [line == "TRUE" for line in said.splitlines() if line in ("TRUE", "FALSE")]
    assert found == [network in networks for network in asked.values()]


@LISTS
async def test_frr_takes_the_prefix_lists_for_cisco_and_matches_by_them(
    service: Service, nayatel: Caller, tmp_path: Path, networks: list[str]
) -> None:
    """FRR has the prefix lists and route maps of IOS, but no object groups."""
    vtysh = program("vtysh")
    await published(service, *networks)
    text = (await served(nayatel, "cisco", tmp_path)).read_text()
    lines = [line for line in text.splitlines() if re.match(r"(?:no )?ip(?:v6)? prefix-list |route-map | match", line)]
    commands = written(tmp_path / "frr.conf", "\n".join(lines).encode())
    written(tmp_path / "vtysh.conf", b"")
    run(vtysh, "--config_dir", str(tmp_path), "-C", "-f", str(commands))
    damaged = written(tmp_path / "damaged", commands.read_bytes().replace(b" le ", b" lee "))
    if b" lee " in damaged.read_bytes():
        with pytest.raises(AssertionError):
            run(vtysh, "--config_dir", str(tmp_path), "-C", "-f", str(damaged))


@LISTS
async def test_haproxy_admits_by_the_list(
    service: Service, nayatel: Caller, tmp_path: Path, networks: list[str]
) -> None:
    haproxy = program("haproxy")
    await published(service, *networks)
    file = await served(nayatel, "haproxy", tmp_path)
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(
        "defaults\n  mode http\n  timeout client 1s\n  timeout server 1s\n  timeout connect 1s\n"
        f"frontend web\n  bind 127.0.0.1:18080\n  acl registered src -f {file}\n"
        "  http-request deny unless registered\n  default_backend none\nbackend none\n"
    )
    run(haproxy, "-c", "-f", str(configuration))


@LISTS
async def test_squid_admits_by_the_list(service: Service, nayatel: Caller, tmp_path: Path, networks: list[str]) -> None:
    squid = program("squid")
    await published(service, *networks)
    file = await served(nayatel, "squid", tmp_path)
    configuration = tmp_path / "squid.conf"
    configuration.write_text(
        f'acl registered src "{file}"\nhttp_access allow registered\nhttp_access deny all\nhttp_port 127.0.0.1:13128\n'
        f"pid_filename {tmp_path}/squid.pid\ncache_log {tmp_path}/cache.log\naccess_log none\n"
    )
    said = run(squid, "-k", "parse", "-f", str(configuration))
    assert not any(word in said for word in ("ERROR", "FATAL", "Bungled", "WARNING: (A)", "WARNING: (B)")), said


@LISTS
async def test_nginx_marks_registered_addresses_by_the_list(
    service: Service, nayatel: Caller, tmp_path: Path, networks: list[str]
) -> None:
    nginx = program("nginx")
    await published(service, *networks)
    file = await served(nayatel, "nginx", tmp_path)
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"pid {tmp_path}/nginx.pid;\nerror_log {tmp_path}/error.log;\nevents {{}}\n"
        f"http {{\n  access_log off;\n  geo $registered {{ default 0; include {file}; }}\n"
        "  server { listen 127.0.0.1:18081; if ($registered = 0) { return 403; } }\n}\n"
    )
    run(nginx, "-t", "-q", "-c", str(configuration), "-p", str(tmp_path))
    assert not (tmp_path / "error.log").read_text()


async def test_the_programs_do_refuse_a_list_that_is_damaged(service: Service, nayatel: Caller, tmp_path: Path) -> None:
    nft, bird = program("nft"), program("bird")
    await published(service, *IPV4)
    damaged = (await served(nayatel, "nftables", tmp_path)).read_text().replace("/24", "/240")
    (tmp_path / "damaged").write_text(damaged)
    with pytest.raises(AssertionError):
        run(*in_namespace(nft, "-c", "-f", str(tmp_path / "damaged")))
    (tmp_path / "damaged").write_text((await served(nayatel, "bird", tmp_path)).read_text().replace("/24", "/240"))
    with pytest.raises(AssertionError):
        run(bird, "-p", "-c", str(tmp_path / "damaged"))
