"""Settings: which layer wins, how Ollama's variables read, and what a mistake in one of them says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ollama_engine.errors import InvalidRequest
from ollama_engine.options import merge_options
from ollama_engine.settings import HostAddress, Settings, read_table


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://0.0.0.0:11434"),
        (":8080", "http://127.0.0.1:8080"),
        ("http://box", "http://box:80"),
        ("https://box", "https://box:443"),
        ("https://box:8443/ollama/", "https://box:8443/ollama"),
        ("box:99999", "http://box:11434"),
        ("box:x", "http://box:11434"),
        ("[::1]:1234", "http://[::1]:1234"),
        ("::1", "http://[::1]:11434"),
        ("ollama.com", "https://ollama.com:443"),
        ("localhost:0", "http://localhost:0"),
    ],
)
def test_a_host_reads_as_ollama_reads_it(text: str, url: str) -> None:
    assert HostAddress.parse(text).url == url


@pytest.mark.parametrize(("bound", "reached"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1")])
def test_a_client_connects_to_a_real_address(bound: str, reached: str) -> None:
    assert HostAddress(host=bound).client.host == reached


def test_defaults_lie_in_the_home_folder(home: Path) -> None:
    settings = Settings.resolve(environ={})
    assert settings.models == home / ".ollama" / "models"
    assert settings.keep_alive == 300
    assert settings.max_queue == 512


def test_the_environment_beats_the_file_and_a_flag_beats_both(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('keep_alive = "1m"\nmax_queue = 3\nnum_parallel = 2\norigins = ["app://a", "http://b"]\n')
    settings = Settings.resolve(
        environ={"OLLAMA_KEEP_ALIVE": "2m", "OLLAMA_MAX_QUEUE": "4"}, config_file=config, max_queue=5
    )
    assert settings.keep_alive == 120
    assert settings.max_queue == 5
    assert settings.num_parallel == 2
    assert settings.origins == ("app://a", "http://b")


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("OLLAMA_KEEP_ALIVE", "-1", "keep_alive", math.inf),
        ("OLLAMA_KEEP_ALIVE", " '10m' ", "keep_alive", 600),
        ("OLLAMA_KEEP_ALIVE", "90", "keep_alive", 90),
        ("OLLAMA_LOAD_TIMEOUT", "0", "load_timeout", math.inf),
        ("OLLAMA_FLASH_ATTENTION", "", "flash_attention", None),
        ("OLLAMA_FLASH_ATTENTION", "0", "flash_attention", False),
        ("OLLAMA_DEBUG", "yes please", "debug", True),
        ("OLLAMA_DEBUG", "false", "debug", False),
        ("OLLAMA_MODELS", "~/elsewhere", "models", None),
    ],
)
def test_variables_read_as_ollama_reads_them(name: str, text: str, field: str, value: object, home: Path) -> None:
    settings = Settings.resolve(environ={name: text})
    expected = home / "elsewhere" if field == "models" else value
    assert getattr(settings, field) == expected


@pytest.mark.parametrize(
    ("variable", "text", "options"),
    [
        ("LLAMA_ARG_N_GPU_LAYERS", "all", {"num_gpu": 999}),
        ("LLAMA_ARG_MAIN_GPU", "1", {"main_gpu": 1}),
        ("LLAMA_ARG_DEVICE", "CUDA1,CUDA0", {"devices": ("CUDA1", "CUDA0")}),
        ("LLAMA_ARG_SPLIT_MODE", "row", {"split_mode": "row"}),
        ("LLAMA_ARG_TENSOR_SPLIT", "3,1", {"tensor_split": (3.0, 1.0)}),
        ("LLAMA_ARG_N_CPU_MOE", "7", {"num_cpu_moe": 7}),
        ("OLLAMA_KV_CACHE_TYPE", "Q8_0", {"kv_cache_type": "q8_0"}),
        ("LLAMA_ARG_CACHE_TYPE_K", "q4_0", {"cache_type_k": "q4_0"}),
        ("LLAMA_ARG_CACHE_TYPE_V", "f16", {"cache_type_v": "f16"}),
        ("LLAMA_ARG_KV_OFFLOAD", "0", {"kv_offload": False}),
        ("OLLAMA_FLASH_ATTENTION", "1", {"flash_attention": True}),
        ("OLLAMA_FLASH_ATTENTION", "off", {"flash_attention": False}),
        ("OLLAMA_FLASH_ATTENTION", "auto", {}),
        ("LLAMA_ARG_MMAP", "0", {"use_mmap": False}),
        ("LLAMA_ARG_MLOCK", "1", {"use_mlock": True}),
        ("LLAMA_ARG_NUMA", "isolate", {"numa": "isolate"}),
        ("LLAMA_ARG_THREADS", "3", {"num_thread": 3}),
        ("LLAMA_ARG_THREADS_BATCH", "5", {"num_thread_batch": 5}),
        ("LLAMA_ARG_UBATCH", "128", {"num_ubatch": 128}),
    ],
)
def test_options_for_all_models(variable: str, text: str, options: dict[str, object]) -> None:
    settings = Settings.resolve(environ={variable: text})
    assert settings.options == options
    merge_options(settings.options)
    assert Settings.resolve(environ={}).options == {}


def test_options_for_all_models_in_the_file(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        'tensor_split = [3, 1]\ndevices = ["CUDA0", "CUDA1"]\nuse_mmap = false\nkv_cache_type = "q8_0"\n'
        "flash_attention = true\nnum_gpu = 12\nsched_spread = true\n"
    )
    settings = Settings.resolve(environ={"LLAMA_ARG_N_GPU_LAYERS": "auto"}, config_file=config)
    assert settings.options == {
        "tensor_split": (3.0, 1.0),
        "devices": ("CUDA0", "CUDA1"),
        "use_mmap": False,
        "kv_cache_type": "q8_0",
        "flash_attention": True,
        "num_gpu": -1,
    }
    assert settings.sched_spread


@pytest.mark.parametrize(
    ("variable", "text", "way_out"),
    [
        ("OLLAMA_KV_CACHE_TYPE", "q3_9", "q8_0"),
        ("LLAMA_ARG_SPLIT_MODE", "columns", "none, layer, row"),
        ("LLAMA_ARG_MAIN_GPU", "-1", "from 0"),
        ("LLAMA_ARG_THREADS", "1000", "512"),
        ("LLAMA_ARG_TENSOR_SPLIT", "3,x", "number"),
    ],
)
def test_a_bad_option_names_the_variable_and_what_it_may_be(variable: str, text: str, way_out: str) -> None:
    with pytest.raises(InvalidRequest, match=variable) as caught:
        Settings.resolve(environ={variable: text})
    assert way_out in caught.value.hint


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("OLLAMA_MAX_BODY", "64M", "max_body", 64 << 20),
        ("OLLAMA_MAX_BODY", "1 GiB", "max_body", 1 << 30),
        ("OLLAMA_MAX_UPLOAD", "123", "max_upload", 123),
        ("OLLAMA_CLIENT_TIMEOUT", "90", "client_timeout", 90),
        ("OLLAMA_CLIENT_TIMEOUT", "2m", "client_timeout", 120),
        ("OLLAMA_REQUIRE_KEY", "ALWAYS", "require_key", "always"),
        ("OLLAMA_TRUSTED_PROXIES", "10.0.0.1, fd00::/8", "trusted_proxies", ("10.0.0.1", "fd00::/8")),
        ("OLLAMA_TLS_CERT", "/etc/x.pem", "tls_cert", Path("/etc/x.pem")),
    ],
)
def test_the_servers_bounds_are_settings(name: str, text: str, field: str, value: object) -> None:
    assert getattr(Settings.resolve(environ={name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OLLAMA_MAX_BODY", "much"),
        ("OLLAMA_MAX_BODY", "-1"),
        ("OLLAMA_CLIENT_TIMEOUT", "0"),
        ("OLLAMA_CLIENT_TIMEOUT", "-1"),
        ("OLLAMA_REQUIRE_KEY", "sometimes"),
        ("OLLAMA_TRUSTED_PROXIES", "proxy.example.org"),
        ("OLLAMA_MAX_CONNECTIONS", "0"),
    ],
)
def test_a_bad_bound_names_the_variable(name: str, text: str) -> None:
    with pytest.raises(InvalidRequest, match=name):
        Settings.resolve(environ={name: text})


def test_a_key_is_not_shown_with_the_settings() -> None:
    settings = Settings.resolve(environ={"OLLAMA_API_KEY": "otk_secret"})
    assert settings.api_key == "otk_secret"
    assert "otk_secret" not in repr(settings)


@pytest.mark.parametrize("text", ["-3", "many", "1.5"])
def test_a_bad_number_names_the_variable(text: str) -> None:
    with pytest.raises(InvalidRequest, match="OLLAMA_MAX_QUEUE"):
        Settings.resolve(environ={"OLLAMA_MAX_QUEUE": text})


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("max_quue = 3", "max_quue"),
        ("max_queue = 'x'", "max_queue"),
        ("max_queue =", "config.toml"),
        ("\x00", "config.toml"),
    ],
)
def test_a_bad_file_is_named_with_its_key(tmp_path: Path, content: str, named: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(content)
    with pytest.raises(InvalidRequest, match=named) as caught:
        Settings.resolve(environ={}, config_file=config)
    assert "config.toml" in str(caught.value)
    assert caught.value.hint


def test_tables_of_the_file_are_left_to_their_owners(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("max_queue = 7\n[keys]\nquit = 'q'\n")
    assert Settings.resolve(environ={}, config_file=config).max_queue == 7


def test_a_table_of_the_file_is_read_for_who_asks(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert read_table("registry", path) == {}
    path.write_text("debug = true\n[registry]\nconnections = 3\n")
    assert read_table("registry", path) == {"connections": 3}
    path.write_text("registry = 3\n")
    with pytest.raises(InvalidRequest, match=r"'registry' in .* is not a table"):
        read_table("registry", path)


@pytest.mark.parametrize(
    ("key", "meant"), [("keepalive", "keep_alive"), ("OLLAMA_KEEP_ALIVE", "keep_alive"), ("noprune", "no_prune")]
)
def test_a_key_that_is_none_is_told_what_it_may_have_meant(key: str, meant: str, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"{key} = 1\n")
    with pytest.raises(InvalidRequest, match=f"unknown setting '{key}' in {config}") as caught:
        Settings.resolve(environ={}, config_file=config)
    assert caught.value.hint == f"Did you mean '{meant}'?"
