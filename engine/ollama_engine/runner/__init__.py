"""The runner: one child process per loaded model, in which llama.cpp decodes all requests of that model in one batch.

protocol.py       the frames both sides speak
client.py         the parent's side: start, load, generate, tokenize, end
__main__.py       the child's entry: `python -m ollama_engine.runner FD`
session.py        the child's life: load, read frames, step the batcher
batcher.py        continuous batching: schedule, decode, sample, emit
sequence.py       one request inside the batch
prefix_cache.py   slots of the KV cache, and what prompts share
pace.py           how much of a prompt a step reads while others wait
sampler_chain.py  options of a request -> llama.cpp sampler chain
token_sampler.py  draws a token: bias, chain, grammar
draws.py          the next tokens of all sequences of a step
candidates.py     the tokens that a chain chooses among
free_text.py      thinking first, the grammar after
logprobs.py       log probabilities of the raw logits
throughput.py     tokens a second
outbox.py         results of quick steps, sent together
text_stream.py    tokens' bytes -> text that may be sent (UTF-8, stop strings)
media.py          images and sounds of requests: read and encoded in threads, kept for the next request
media_files.py    strangers' files made safe to look at
media_cells.py    cells of the KV cache that hold a piece of an image or a sound
mtmd.py           the binding to mtmd, loaded where a model has a projector
llama.py          the binding: with mtmd.py the only modules of the project that import llama_cpp
model_params.py   the spec as llama.cpp's parameters: devices, their shares, what stays in RAM, how the file is read
ggml_devices.py   ggml's devices, as its API names them
memlock.py        locking weights in memory, and what to say where the system does not let it
oom.py            whether the kernel killed a process for lack of memory
llama_model.py, llama_context.py, llama_batch.py, llama_sampler.py   what the runner needs of it, as small classes
quantizer.py      the parent's side of a quantization, which has a process of its own
quantize.py       that process: `python -m ollama_engine.runner.quantize`
quantize_protocol.py  what the two say to each other
logs.py           what llama.cpp's log says: buffer sizes, the reason of a failure
"""
