from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_engine.errors import InvalidRequest
from ollama_engine.options import (
    DEPRECATED,
    OPTION_KINDS,
    Deprecated,
    Options,
    asked_for,
    effective_num_predict,
    merge_options,
    parse_parameter,
    parse_parameters,
)
from ollama_engine.runner.protocol import Sampling


def test_the_defaults_are_ollamas() -> None:
    options = merge_options()
    assert (options.num_keep, options.seed, options.num_predict, options.top_k) == (4, -1, -1, 40)
    assert (options.top_p, options.min_p, options.typical_p, options.repeat_last_n) == (0.9, 0.0, 1.0, 64)
    assert (options.temperature, options.repeat_penalty, options.num_ctx, options.num_batch) == (
        0.8,
        1.0,
        0,
        512,
    )
    assert (options.num_gpu, options.main_gpu, options.use_mmap, options.stop) == (-1, None, None, ())
    assert (options.presence_penalty, options.frequency_penalty, options.draft_num_predict) == (0.0, 0.0, 4)


def test_a_later_layer_wins_and_null_leaves_the_layer_below() -> None:
    model = {"temperature": 0.1, "top_k": 5, "stop": ["a"]}
    options = merge_options(model, {"top_k": None, "temperature": 0.7, "stop": ["b", "c"]}, None)
    assert (options.temperature, options.top_k, options.stop) == (0.7, 5, ("b", "c"))


def test_an_unknown_option_is_ignored() -> None:
    assert merge_options({"tfs_z": 1.0, "TOP_K": 3}) == Options()


@pytest.mark.parametrize(
    ("name", "value", "result"),
    [
        ("top_k", 3.9, 3),
        ("top_k", -3.9, -3),
        ("top_k", -1, -1),
        ("num_predict", 10**30, 2**31 - 1),
        ("temperature", 1, 1.0),
        ("main_gpu", 1.0, 1),
        ("use_mmap", False, False),
        ("seed", 2**32 - 1, 2**32 - 1),
        ("seed", 2**40 + 7, 7),
        ("logit_bias", {"12": -100, 3: 1.5}, {12: -100.0, 3: 1.5}),
        ("num_gpu", "All", 999),
        ("num_gpu", "auto", -1),
        ("num_cpu_moe", "all", -1),
        ("tensor_split", [3, 1.5], (3.0, 1.5)),
        ("tensor_split", 1, (1.0,)),
        ("devices", "CUDA0, CUDA1", ("CUDA0", "CUDA1")),
        ("devices", ["CUDA0,CUDA1"], ("CUDA0", "CUDA1")),
        ("devices", [], ()),
        ("split_mode", "ROW", "row"),
        ("cache_type_k", "Q8_0", "q8_0"),
        ("flash_attention", "on", True),
        ("flash_attention", False, False),
        ("flash_attention", "auto", None),
        ("numa", "isolate", "isolate"),
        ("numa", True, "distribute"),  # as older Ollamas had it
        ("numa", False, ""),
        ("use_mlock", True, True),
    ],
)
def test_values_are_coerced(name: str, value: Any, result: object) -> None:
    coerced = getattr(merge_options({name: value}), name)
    assert coerced == result
    assert type(coerced) is type(result)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("stop", "###", 'option "stop" must be of type array'),
        ("stop", ["###", 1], 'option "stop" must be of an array of strings'),
        ("logit_bias", [1], 'option "logit_bias" must be of type object'),
        ("logit_bias", {"the": 1}, "option \"logit_bias\" has the key 'the', which is no token"),
        ("logit_bias", {"3": 101}, 'option "logit_bias" has 101 for token 3'),
        ("logit_bias", {"3": True}, 'option "logit_bias" has True for token 3'),
        ("top_k", "40", 'option "top_k" must be of type integer'),
        ("top_k", True, 'option "top_k" must be of type integer'),
        ("main_gpu", [], 'option "main_gpu" must be of type integer'),
        ("temperature", "hot", 'option "temperature" must be of type float32'),
        ("temperature", False, 'option "temperature" must be of type float32'),
        ("use_mmap", 1, 'option "use_mmap" must be of type boolean'),
        ("temperature", math.nan, 'option "temperature" must be a finite number'),
        ("top_k", math.inf, 'option "top_k" must be a finite number'),
        ("top_p", 1e39, 'option "top_p" is too large'),
        ("top_p", 10**400, 'option "top_p" is too large'),
        ("split_mode", "rows", "option \"split_mode\" cannot be 'rows'"),
        ("kv_cache_type", "q3_9", "option \"kv_cache_type\" cannot be 'q3_9'"),
        ("numa", 1, 'option "numa" cannot be 1'),
        ("num_gpu", "many", 'option "num_gpu" must be of type integer'),
        ("num_gpu", True, 'option "num_gpu" must be of type integer'),
        ("devices", [0], 'option "devices" must be of an array of strings'),
        ("tensor_split", [1, -1], 'option "tensor_split" cannot be [1.0, -1.0]'),
        ("tensor_split", [1] * 17, 'option "tensor_split" cannot be [1.0, 1.0'),
        ("main_gpu", -1, 'option "main_gpu" is -1'),
        ("num_thread", 513, 'option "num_thread" is 513'),
        ("num_ubatch", -1, 'option "num_ubatch" is -1'),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(name: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        merge_options({name: value})
    assert caught.value.message.startswith(message)
    assert caught.value.hint


def test_one_option_says_both_types_of_the_kv_cache_and_either_goes_before_it_in_its_layer() -> None:
    model = {"cache_type_k": "q4_0", "kv_cache_type": "q8_0"}
    options = merge_options({"kv_cache_type": "f32"}, model)
    assert (options.cache_type_k, options.cache_type_v) == ("q4_0", "q8_0")
    options = merge_options(model, {"kv_cache_type": "f16"})
    assert (options.cache_type_k, options.cache_type_v) == ("f16", "f16")
    assert asked_for(options, {"kv_cache_type": "f16"}) == {"cache_type_k", "cache_type_v"}


def test_an_option_that_leaves_the_choice_to_us_is_not_asked_for() -> None:
    model = {"num_gpu": 0, "num_thread": 4, "flash_attention": "on", "devices": ["CPU"], "use_mlock": False}
    asked = {"num_gpu": -1, "num_thread": 0, "flash_attention": "auto", "devices": []}
    assert asked_for(merge_options(model), model) == {*model}
    assert asked_for(merge_options(model, asked), model, asked) == {"use_mlock"}
    assert asked_for(merge_options({"tfs_z": 1, "num_ctx": None}), {"tfs_z": 1, "num_ctx": None}) == frozenset()


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(OPTION_KINDS)) | st.text(max_size=5), _anything))
def test_any_json_object_makes_options_or_an_invalid_request(layer: dict[str, Any]) -> None:
    try:
        options = merge_options(layer)
    except InvalidRequest:
        return
    assert all(math.isfinite(options.__getattribute__(name)) for name, k in OPTION_KINDS.items() if k == "float32")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("temperature", "0.7", 0.7),
        ("temperature", "1", 1.0),
        ("top_p", "1e-3", 0.001),
        ("num_ctx", "4096", 4096),
        ("seed", "-1", -1),
        ("use_mmap", "t", True),
        ("use_mmap", "FALSE", False),
        ("stop", "<|im_end|>", ["<|im_end|>"]),
        ("mirostat", "2", 2),
        ("num_gpu", "all", 999),
        ("num_cpu_moe", "12", 12),
        ("tensor_split", "3,1", [3.0, 1.0]),
        ("devices", "CUDA1", ["CUDA1"]),
        ("split_mode", "layer", "layer"),
        ("kv_cache_type", "Q4_0", "q4_0"),
        ("flash_attention", "auto", "auto"),
        ("flash_attention", "1", "on"),
        ("numa", "true", "on"),
    ],
)
def test_a_parameter_is_read_by_its_type(name: str, text: str, value: object) -> None:
    assert parse_parameter(name, text) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("num_ctx", "4k", "invalid int value [4k]"),
        ("num_ctx", "1_000", "invalid int value [1_000]"),
        ("num_ctx", "9" * 5000, "invalid int value [" + "9" * 5000 + "]"),
        ("temperature", "warm", "invalid float value [warm]"),
        ("temperature", "nan", "invalid float value [nan]"),
        ("temperature", "1e999", "invalid float value [1e999]"),
        ("use_mmap", "yes", "invalid bool value [yes]"),
        ("num_gpu", "half", "invalid int value [half]"),
        ("tensor_split", "3,one", "invalid float value [one]"),
        ("numa", "spread", "option \"numa\" cannot be 'spread'"),
    ],
)
def test_a_parameter_that_is_not_of_its_type_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_parameter(name, text)
    assert caught.value.message == message
    assert name in caught.value.hint


@given(st.sampled_from(sorted(OPTION_KINDS)), st.text(max_size=12) | st.sampled_from(["1", "on", "q8_0", "a,b", "all"]))
def test_what_a_parameter_reads_as_is_taken_as_an_option(name: str, text: str) -> None:
    try:
        value = parse_parameter(name, text)
        merge_options({name: value})
    except InvalidRequest:
        return


def test_an_unknown_parameter_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(InvalidRequest, match="unknown parameter 'temprature'") as caught:
        parse_parameter("temprature", "1")
    assert caught.value.hint == "Did you mean temperature?"
    with pytest.raises(InvalidRequest, match="unknown parameter 'q'") as caught:
        parse_parameter("q", "1")
    assert "top_k" in caught.value.hint


def test_repeated_stops_accumulate_the_last_of_others_wins_and_deprecated_ones_only_warn() -> None:
    values, warnings = parse_parameters(
        [("stop", "a"), ("top_k", "1"), ("low_vram", "true"), ("stop", "b"), ("top_k", "2")]
    )
    assert values == {"stop": ["a", "b"], "top_k": 2}
    values, _ = parse_parameters([("tensor_split", "3,1"), ("tensor_split", "2")])
    assert values == {"tensor_split": [3.0, 1.0, 2.0]}
    assert warnings == ["warning: parameter low_vram is deprecated"]
    assert all(isinstance(parse_parameter(name, "x"), Deprecated) for name in DEPRECATED)


@pytest.mark.parametrize(
    ("num_predict", "tokens"), [(-1, 5120), (-2, 5120), (0, 0), (100, 100), (5120, 5120), (5121, 5120)]
)
def test_an_answer_never_grows_past_ten_contexts(num_predict: int, tokens: int) -> None:
    assert effective_num_predict(Options(num_predict=num_predict), 512) == tokens


def test_a_runner_that_is_told_nothing_samples_by_the_same_defaults() -> None:
    shared = set(Sampling.__struct_fields__) & set(Options.__struct_fields__)
    assert len(shared) == len(Sampling.__struct_fields__) - 2  # all but the grammar and what it does not hold
    assert {name: getattr(Sampling(), name) for name in shared} == {name: getattr(Options(), name) for name in shared}
