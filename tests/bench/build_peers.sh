#!/usr/bin/env bash
# Builds llama.cpp's own programs, which the benchmarks measure against, from the source distribution of the very
# llama-cpp-python that is pinned here: the same llama.cpp, the same compiler, the same flags.
#
#     tests/bench/build_peers.sh [FOLDER]          # prints the folder that holds llama-bench and llama-server
#
# About 15 minutes on two cores, once. Needs cmake and a C++ compiler.
set -euo pipefail
repo=$(cd "$(dirname "$0")/../.." && pwd)
folder=${1:-${TMPDIR:-/tmp}/ollama-tui-bench/llama.cpp}
pin=$(sed -n 's/^llama_cpp_python==//p' "$repo/constraints.txt")
python=$repo/.venv/bin/python
[ -x "$python" ] || python=python3

mkdir -p "$folder"
source=$folder/llama_cpp_python-$pin
if [ ! -d "$source" ]; then
  "$python" -m pip download --quiet --no-deps --no-binary llama-cpp-python -d "$folder" "llama-cpp-python==$pin" >&2
  tar -xf "$folder/llama_cpp_python-$pin.tar.gz" -C "$folder"
fi
build=$folder/build-$pin
# The programs link llama.cpp statically: nothing on the machine can take its place. No web page, no TLS. Without AMX,
# which crashes in this llama.cpp, and which the runner does not use either (docs/performance.md).
flags=-U__AMX_INT8__
cmake -S "$source/vendor/llama.cpp" -B "$build" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
  -DCMAKE_C_FLAGS=$flags -DCMAKE_CXX_FLAGS=$flags \
  -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
  -DLLAMA_OPENSSL=OFF -DLLAMA_CURL=OFF >&2
cmake --build "$build" --parallel "$(nproc)" --target llama-bench llama-server >&2
echo "$build/bin"
