"""`twinplane config check | parse | init`: what is right, and everything that is wrong, with the exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.certificates import Leaf

from twinplane.cli.program import main


@pytest.fixture(autouse=True)
def no_settings_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("twinplane.settings.node.SEARCHED", ())


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, list[str]]:
    """Exit status, standard output, lines of standard error."""
    status = main(["config", *words])
    told = capsys.readouterr()
    return status, told.out.strip(), told.err.splitlines()


def write(name: str, text: str) -> str:
    path = Path(name)
    path.write_text(text)
    return str(path)


def test_what_is_begun_is_valid_and_not_written_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(capsys, "init") == (0, "written to kong.yml", [])
    assert ran(capsys, "parse", "kong.yml") == (0, "parse successful", [])
    status, _, told = ran(capsys, "init", "kong.yml")
    assert (status, told) == (1, ["twinplane: kong.yml: exists already, and stays as it is"])


def test_the_examples_of_what_is_begun_are_valid_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(capsys, "init", "example.yml")[0] == 0
    path = Path("example.yml")
    head, _, rest = path.read_text().partition('_format_version: "3.0"')
    assert head.startswith("# ")
    lines = [line.removeprefix("# ") for line in rest.splitlines() if ":" in line or line.startswith("#  ")]
    path.write_text('_format_version: "3.0"\n' + "\n".join(lines) + "\n")
    assert ran(capsys, "parse", str(path)) == (0, "parse successful", [])


def test_a_reference_leads_to_the_environment_or_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = "{http_endpoint: 'http://127.0.0.1:9/', headers: {x: '{vault://env/log-token}'}}"
    path = write("log.yml", f'_format_version: "3.0"\nplugins:\n- {{name: http-log, config: {config}}}\n')
    status, _, told = ran(capsys, "parse", path)
    assert status == 1
    assert any("the variable LOG_TOKEN is not set" in line for line in told)
    monkeypatch.setenv("LOG_TOKEN", "secret")
    assert ran(capsys, "parse", path)[0] == 0


def test_everything_that_is_wrong_with_a_declarative_file_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    path = write("bad.yml", '_format_version: "3.0"\nservices:\n- name: s\n  port: 70000\nroutes:\n- paths: [x]\n')
    status, out, told = ran(capsys, "parse", path)
    assert (status, out) == (1, "")
    for part in ("host", "port", "paths"):
        assert any(part in line for line in told), told
    assert all(line.startswith("twinplane: bad.yml: ") for line in told)


def test_what_only_the_core_finds_is_told_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    route = "{name: r, paths: [/], headers: {x: ['~*(']}}"
    path = write("core.yml", f'_format_version: "3.0"\nservices:\n- {{name: s, host: h, routes: [{route}]}}\n')
    status, _, told = ran(capsys, "parse", path)
    assert status == 1
    assert any("routes" in line or "header" in line for line in told)


def test_settings_that_a_node_would_start_with_are_valid(capsys: pytest.CaptureFixture[str]) -> None:
    leaf = Leaf.self_signed("a")
    files = [write("a.crt", leaf.certificate), write("a.key", leaf.key), write("e.json", '{"m": "%s"}')]
    declared = write("k.yml", '_format_version: "3.0"\n')
    conf = write(
        "kong.conf",
        f"role = traditional\nssl_cert = {files[0]}\nssl_cert_key = {files[1]}\nerror_template_json = {files[2]}\n"
        f"declarative_config = {declared}\nwasm = on\n",
    )
    status, out, told = ran(capsys, "check", conf)
    assert (status, out) == (0, "the settings in kong.conf are valid")
    assert told == ["warning: kong.conf:6: wasm: has no effect: No WebAssembly is run."]
    assert ran(capsys, "check", "-c", conf)[0] == 0


def test_all_wrong_values_are_told_before_any_file_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    conf = write(
        "kong.conf",
        "role = traditional\nadmin_listen = off\nproxy_listen = nowhere\nlog_level = loud\nssl_cert = /none\n",
    )
    status, _, told = ran(capsys, "check", conf)
    assert status == 2
    names = [line.split(": ")[2] for line in told]
    assert sorted(names) == ["declarative_config", "log_level", "proxy_listen", "ssl_cert"]


def test_all_files_that_cannot_be_used_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    one, other = Leaf.self_signed("a"), Leaf.self_signed("b")
    pair = write("a.crt", one.certificate), write("b.key", other.key)
    declared = write("k.yml", '_format_version: "3.0"\nservices:\n- name: s\n')
    conf = write(
        "kong.conf",
        f"role = traditional\nssl_cert = {pair[0]}\nssl_cert_key = {pair[1]}\nstatus_ssl_cert = /none.crt\n"
        f"status_ssl_cert_key = /none.key\ndeclarative_config = {declared}\ndns_resolver = nowhere\n",
    )
    status, _, told = ran(capsys, "check", conf)
    assert status == 1
    for part in ("ssl_cert, number 1", "/none.crt: cannot be read", "host", "nowhere"):
        assert any(part in line for line in told), (part, told)


def test_a_template_that_cannot_be_filled_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    template = write("e.html", "50% of %s")
    conf = write(
        "kong.conf", f"role = traditional\ndeclarative_config_string = {{}}\nerror_template_html = {template}\n"
    )
    status, _, told = ran(capsys, "check", conf)
    assert status == 1
    assert any("error_template_html: a percent sign is written %%" in line for line in told)


def test_the_certificate_of_a_node_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    leaf = Leaf.self_signed("node")
    certificate, key = write("n.crt", leaf.certificate), write("n.key", leaf.key)
    text = f"cluster_cert = {certificate}\ncluster_cert_key = "
    assert ran(capsys, "check", write("good.conf", text + key))[0] == 0
    status, _, told = ran(capsys, "check", write("bad.conf", f"{text}{certificate}"))
    assert status == 1
    assert any("cluster_cert_key" in line for line in told)


def test_the_certificate_of_the_admin_api_is_looked_at_where_it_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    text = "role = traditional\nadmin_ssl_cert = /none.crt\nadmin_ssl_cert_key = /none.key\nadmin_listen = "
    status, _, told = ran(capsys, "check", write("tls.conf", f"{text}127.0.0.1:8444 ssl\n"))
    assert status == 1
    assert any("/none.crt: cannot be read" in line for line in told), told
    plain = write("plain.conf", f"{text}127.0.0.1:8001\n")
    assert ran(capsys, "check", plain)[0] == 0


@pytest.mark.parametrize("name", ["proxy_access_log", "proxy_error_log"])
def test_a_log_that_cannot_be_written_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    write("a-file", "")
    text = f"role = traditional\nprefix = {tmp_path}\n{name} = "
    for place, reason in ((tmp_path / "a-file/logs/a.log", "no directory"), ("a-file/a.log", "no directory")):
        status, _, told = ran(capsys, "check", write("bad.conf", f"{text}{place}\n"))
        assert status == 1
        assert any(f": {name}: " in line and reason in line for line in told), told
    assert "it is a directory" in ran(capsys, "check", write("dir.conf", f"{text}{tmp_path}\n"))[2][0]
    before = sorted(tmp_path.iterdir())
    good = write("dir.conf", f"{text}logs/deep/a.log\n")
    assert ran(capsys, "check", good)[0] == 0
    assert sorted(tmp_path.iterdir()) == before
    write("present.log", "")
    assert ran(capsys, "check", write("present.conf", f"{text}present.log\n"))[0] == 0


def test_former_keys_of_the_cache_are_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    leaf = Leaf.self_signed("node")
    text = f"cluster_cert = {write('n.crt', leaf.certificate)}\ncluster_cert_key = {write('n.key', leaf.key)}\n"
    text += "cache_encryption_old_keys = "
    status, _, told = ran(capsys, "check", write("gone.conf", f"{text}/none.key\n"))
    assert (status, any("/none.key: cannot be read" in line for line in told)) == (1, True)
    status, _, told = ran(capsys, "check", write("noise.conf", f"{text}{write('noise.key', 'noise')}\n"))
    assert (status, any("cache_encryption_old_keys: cannot be used" in line for line in told)) == (1, True)


def test_a_size_beyond_all_bounds_is_a_mistake_of_its_setting(capsys: pytest.CaptureFixture[str]) -> None:
    text = "role = traditional\nnginx_http_client_max_body_size = "
    status, _, told = ran(capsys, "check", write("size.conf", f"{text}99999999999999999999\n"))
    assert status == 2
    assert "nginx_http_client_max_body_size: expected a size of at most" in told[0]
    assert ran(capsys, "check", write("most.conf", f"{text}{2**63 - 1}\n"))[0] == 0
