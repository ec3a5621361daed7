"""Images and sound in the runner: real mtmd on small random projectors; beside text, from the cache, and broken."""

from __future__ import annotations

import asyncio
import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ollama_engine.errors import InvalidRequest, LoadFailed
from ollama_engine.runner.client import Runner
from ollama_engine.runner.media_files import MediaError, check_sound
from ollama_engine.runner.protocol import Done, Generate, Piece
from tests.engine.runner.running import GREEDY, Answer, answer, running, until
from tests.support.gguf_models import TINY, random_model
from tests.support.media_models import (
    MP3_FRAME,
    audio_projector,
    picture,
    png_that_claims,
    saved,
    sound,
    text_model,
    vision_projector,
    xing_frame,
)

KINDS = ("mlp", "gemma3", "qwen2vl", "audio")
BEFORE, AFTER = [1, 2, 3, 4, 5], [6, 7, 8, 9]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Text model and projector of each kind."""
    folder = tmp_path_factory.mktemp("media")
    plain = text_model(folder / "plain.gguf")
    mrope = text_model(folder / "mrope.gguf", mrope=True)
    made = {kind: (plain, vision_projector(folder / f"{kind}.gguf", kind)) for kind in ("mlp", "gemma3")}
    made["qwen2vl"] = (mrope, vision_projector(folder / "qwen2vl.gguf", "qwen2vl"))
    made["audio"] = (plain, audio_projector(folder / "audio.gguf"))
    return made


@contextlib.asynccontextmanager
async def seeing(models: dict[str, tuple[Path, Path]], kind: str, **spec: Any):
    text, projector = models[kind]
    async with running(text, n_ctx=2048, projector_paths=[str(projector)], **spec) as runner:
        yield runner


def file(kind: str, seed: int = 1) -> bytes:
    return sound(300.0 * (seed + 1)) if kind == "audio" else picture(seed, (120, 80))


async def look(runner: Runner, *media: bytes, tokens: list[int] | None = None, **request: Any) -> Answer:
    """The answer to a prompt with the files between two texts."""
    places = [~number for number in range(len(media))]
    request.setdefault("max_tokens", 16)
    return await answer(runner, tokens or [*BEFORE, *places, *AFTER], media=list(media), **request)


@pytest.mark.parametrize("kind", KINDS)
class TestOneFile:
    async def test_the_answer_is_the_same_again_and_the_second_comes_from_the_cache(self, models, kind) -> None:
        async with seeing(models, kind) as runner:
            (size,) = await runner.measure([file(kind)])
            first = await look(runner, file(kind))
            again = await look(runner, file(kind))
        assert first.done.prompt_tokens == again.done.prompt_tokens == len(BEFORE) + size + len(AFTER)
        assert (first.done.cached_tokens, again.done.cached_tokens) == (0, first.done.prompt_tokens - 1)
        assert again.text == first.text

    async def test_another_file_gives_another_answer_and_shares_the_text_before(self, models, kind) -> None:
        async with seeing(models, kind) as runner:
            first = await look(runner, file(kind, 1))
            other = await look(runner, file(kind, 2))
        assert other.text != first.text
        assert len(BEFORE) <= other.done.cached_tokens < len(BEFORE) + 30  # at most what the model writes around it

    async def test_a_prefix_never_ends_inside_it(self, models, kind) -> None:
        """The answer after a cache hit is the answer of a runner that has seen nothing before."""
        prompt = [*BEFORE, -1]
        async with seeing(models, kind) as runner:
            fresh = await look(runner, file(kind), tokens=prompt)
        async with seeing(models, kind) as runner:
            await look(runner, file(kind))
            cached = await look(runner, file(kind), tokens=prompt)
        assert cached.text == fresh.text

    async def test_text_beside_it_is_answered_as_if_alone(self, models, kind) -> None:
        async with seeing(models, kind) as runner:
            alone = await answer(runner, [9, 8, 7], max_tokens=200)
        async with seeing(models, kind, n_seq=3) as runner:
            text, *_ = await asyncio.gather(
                answer(runner, [9, 8, 7], max_tokens=200), look(runner, file(kind, 1)), look(runner, file(kind, 2))
            )
        assert text.text == alone.text

    async def test_small_batches_change_nothing(self, models, kind) -> None:
        async with seeing(models, kind) as runner:
            whole = await look(runner, file(kind))
        async with seeing(models, kind, n_batch=48) as runner:
            assert (await look(runner, file(kind))).text == whole.text

    async def test_a_small_context_is_told_before_anything_is_read(self, models, kind) -> None:
        async with seeing(models, kind) as runner:
            with pytest.raises(InvalidRequest, match="the context 10"):
                await look(runner, file(kind), n_ctx=10)
            assert (await look(runner, file(kind))).done.prompt_tokens


async def test_an_image_larger_than_a_batch_is_refused_and_read_in_a_larger_one(models, tmp_path: Path) -> None:
    """Its cells look at each other: 576 of them cannot be read in a batch of 512, nor in two."""
    large = vision_projector(tmp_path / "large.gguf", "gemma3", image_size=672)
    several = {"large": (models["gemma3"][0], large)}
    async with seeing(several, "large", n_batch=512) as runner:
        with pytest.raises(InvalidRequest, match=r"takes 576 tokens.*batch holds 512: set num_batch higher"):
            await look(runner, picture())
        assert (await answer(runner, BEFORE, max_tokens=3)).done.prompt_tokens == len(BEFORE)
    async with seeing(several, "large", n_batch=1024) as runner:
        assert (await look(runner, picture())).done.prompt_tokens > 576


async def test_a_small_picture_is_enlarged_where_the_model_needs_that(models) -> None:
    async with seeing(models, "qwen2vl") as runner:
        assert (await runner.measure([picture(1, (56, 56))]))[0] < 100
    async with seeing(models, "qwen2vl", image_min_tokens=256) as runner:
        assert 256 <= (await runner.measure([picture(1, (56, 56))]))[0] < 400
        assert (await look(runner, picture(1, (56, 56)))).done.prompt_tokens > 256


class TestSeveral:
    @pytest.mark.parametrize("kind", ["mlp", "gemma3", "qwen2vl"])
    async def test_order_matters_and_every_file_counts(self, models, kind) -> None:
        one, two = file(kind, 1), file(kind, 2)
        async with seeing(models, kind) as runner:
            sizes = await runner.measure([one, two])
            forth = await look(runner, one, two)
            back = await look(runner, two, one)
            twice = await look(runner, one, one)
        assert forth.done.prompt_tokens == len(BEFORE) + sum(sizes) + len(AFTER)
        assert len({forth.text, back.text, twice.text}) == 3

    async def test_a_place_may_come_twice_and_stand_anywhere(self, models) -> None:
        async with seeing(models, "mlp") as runner:
            named = await look(runner, file("mlp", 1), tokens=[-1, *BEFORE, -1])
            sent = await look(runner, file("mlp", 1), file("mlp", 1), tokens=[-1, *BEFORE, -2])
        assert named.done.prompt_tokens == 2 * 16 + len(BEFORE)
        assert named.text == sent.text

    @pytest.mark.parametrize("kind", ["mlp", "qwen2vl"])
    async def test_an_image_of_an_earlier_turn_stays_in_the_cache(self, models, kind) -> None:
        async with seeing(models, kind) as runner:
            first = await look(runner, file(kind))
            longer = await look(runner, file(kind), tokens=[*BEFORE, -1, *AFTER, 50, 51, 52, 53])
        assert longer.done.cached_tokens >= first.done.prompt_tokens - 1
        async with seeing(models, kind) as runner:
            fresh = await look(runner, file(kind), tokens=[*BEFORE, -1, *AFTER, 50, 51, 52, 53])
        assert longer.text == fresh.text

    async def test_one_projector_sees_and_another_hears(self, models) -> None:
        text, eyes = models["mlp"]
        _, ears = models["audio"]
        async with running(text, n_ctx=2048, projector_paths=[str(eyes), str(ears)]) as runner:
            assert (runner.info.vision, runner.info.audio) == (True, True)
            assert await runner.measure([picture(), sound()]) == [16, 375]
            assert (await look(runner, picture(), sound())).done.prompt_tokens == 16 + 375 + len(BEFORE) + len(AFTER)

    async def test_a_full_context_is_shifted_by_whole_images(self, models) -> None:
        async with seeing(models, "mlp") as runner:
            got = await look(runner, picture(1), picture(2), n_ctx=64, keep=10, max_tokens=150)
            assert got.done.reason in ("length", "stop")
            assert (await look(runner, picture(1))).done.prompt_tokens


class TestFormats:
    async def test_every_format_of_the_same_pixels_is_the_same_image(self, models) -> None:
        image = Image.open(io.BytesIO(picture(3))).convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
        flat = image.convert("RGB")
        files = [saved(flat), saved(flat, "WEBP", lossless=True), saved(image, "GIF")]
        async with seeing(models, "mlp", n_seq=1) as runner:
            texts = [(await look(runner, data)).text for data in files]
            jpeg = await look(runner, saved(flat, "JPEG", quality=95))
        assert texts[0] == texts[1] == texts[2]
        assert jpeg.done.prompt_tokens == 16 + len(BEFORE) + len(AFTER)

    async def test_what_is_transparent_is_white_and_exif_turns(self, models) -> None:
        clear = Image.new("RGBA", (56, 56), (0, 0, 0, 0))
        white = Image.new("RGB", (56, 56), (255, 255, 255))
        image = Image.open(io.BytesIO(picture(4)))
        exif = Image.Exif()
        exif[0x0112] = 6  # shown turned clockwise
        turned = saved(image, "PNG", exif=exif)
        async with seeing(models, "mlp") as runner:
            assert (await look(runner, saved(clear))).text == (await look(runner, saved(white))).text
            upright = saved(image.transpose(Image.Transpose.ROTATE_270))
            assert (await look(runner, turned)).text == (await look(runner, upright)).text


BROKEN = {
    "empty": (b"", "it is empty"),
    "text": (b"this is no picture at all", "no PNG, JPEG, WebP or GIF"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no PNG, JPEG, WebP or GIF"),
    "cut off": (picture(1, (300, 300))[:200], "does not decode"),
    "bomb": (png_that_claims(60_000, 60_000), "too many pixels|limit is 64 million"),
    "large": (png_that_claims(9000, 9000), "limit is 64 million"),
    "no pixels": (png_that_claims(0, 10), "."),
    "thin": (saved(Image.new("RGB", (1000, 2))), "200 times"),
    "sound": (sound(), "hears no sound"),
}


class TestBrokenFiles:
    @pytest.mark.parametrize("name", BROKEN)
    async def test_a_broken_file_is_an_error_of_that_request_alone(self, models, name: str) -> None:
        data, problem = BROKEN[name]
        async with seeing(models, "mlp", n_seq=2) as runner:
            running_text = asyncio.create_task(answer(runner, [9, 8, 7], max_tokens=300))
            with pytest.raises(InvalidRequest, match=f"(image|sound) 2: .*({problem})"):
                await look(runner, picture(), data)
            with pytest.raises(InvalidRequest, match=f"(image|sound) 2: .*({problem})"):
                await runner.measure([picture(), data])
            await running_text
            assert (await look(runner, picture())).done.prompt_tokens == 16 + len(BEFORE) + len(AFTER)

    @pytest.mark.parametrize("kind", ["mlp", "gemma3", "qwen2vl"])
    @pytest.mark.parametrize("size", [(1, 1), (1, 150), (150, 1), (2000, 11)])
    async def test_odd_shapes_are_seen(self, models, kind: str, size: tuple[int, int]) -> None:
        async with seeing(models, kind) as runner:
            assert (await look(runner, saved(Image.new("RGB", size, (200, 10, 10))), max_tokens=2)).done.prompt_tokens

    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            (sound(seconds=0.01), "no sound"),
            (sound()[:30], "."),
            (b"fLaC" + b"\0" * 40, "how long"),
            (b"fLaC" + bytes([0, 0, 0, 34]) + b"\xff" * 34, "minutes|how long"),
            (b"ID3" + b"\0" * 100, "no WAV, MP3 or FLAC"),
            (b"\xff\xfb" + b"\xff" * 500, "no WAV, MP3 or FLAC"),
            (picture(), "sees no images"),
        ],
    )
    async def test_broken_sound(self, models, data: bytes, problem: str) -> None:
        async with seeing(models, "audio") as runner:
            with pytest.raises(InvalidRequest, match=f"1: .*({problem})"):
                await look(runner, data)
            assert (await look(runner, sound())).done.prompt_tokens

    @pytest.mark.parametrize(
        "data",
        [
            MP3_FRAME * 38,
            b"ID3\x04\0\0\0\0\x01\0" + bytes(128) + xing_frame(38) + MP3_FRAME * 38 + b"TAG".ljust(128, b"\0"),
            xing_frame(3_700_000) + MP3_FRAME * 38,
            MP3_FRAME * 20 + b"\xff\xfd\x10\xc0" * 5000 + MP3_FRAME * 18,
        ],
        ids=["plain", "with tags", "claims 27 hours", "frames of layer II in it"],
    )
    async def test_an_mp3_is_as_long_as_its_frames(self, models, data: bytes) -> None:
        assert check_sound(data) == MP3_FRAME * 38
        async with seeing(models, "audio") as runner:
            assert await runner.measure([data]) == [375]
            assert (await look(runner, data)).done.prompt_tokens == 375 + len(BEFORE) + len(AFTER)

    def test_an_mp3_of_an_hour_is_refused(self) -> None:
        frame = b"\xff\xf3\x14\xc0".ljust(24, b"\0")  # 8 kbit/s, 24 kHz: the most seconds a byte
        with pytest.raises(MediaError, match="more than 30 minutes"):
            check_sound(frame * 150_000)

    async def test_a_wav_that_does_not_know_its_length_is_heard(self, models) -> None:
        whole = sound()
        at = whole.index(b"data") + 4
        piped = whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :]
        async with seeing(models, "audio") as runner:
            assert (await look(runner, piped)).text == (await look(runner, whole)).text

    async def test_a_model_without_a_projector_says_so(self, models) -> None:
        async with running(models["mlp"][0]) as runner:
            assert not runner.info.vision
            with pytest.raises(InvalidRequest, match="no projector"):
                await look(runner, picture())
            with pytest.raises(InvalidRequest, match="no projector"):
                await runner.measure([picture()])

    async def test_a_place_without_a_file_is_refused(self, models) -> None:
        async with seeing(models, "mlp") as runner:
            with pytest.raises(InvalidRequest, match="not in the vocabulary"):
                await look(runner, picture(), tokens=[1, -1, -2])

    async def test_a_projector_of_another_width_does_not_load(self, models, tmp_path: Path) -> None:
        other = random_model(tmp_path / "wide.gguf", **{**TINY, "width": 128})
        with pytest.raises(LoadFailed, match="mismatch between text model"):
            async with running(other, projector_paths=[str(models["mlp"][1])]):
                pass


class TestCancel:
    async def test_while_it_is_encoded_the_slot_is_free_at_once(self, models) -> None:
        large = vision_projector(models["mlp"][1].parent / "large.gguf", "qwen2vl")
        text, _ = models["qwen2vl"]
        async with running(text, n_ctx=4096, projector_paths=[str(large)], n_seq=2) as runner:
            stream = runner.generate(
                Generate(0, [-1, -2], media=[picture(1, (1600, 1600)), picture(2, (1600, 1600))], sampling=GREEDY)
            )
            begun = asyncio.ensure_future(anext(stream))

            async def busy() -> bool:
                stats = await runner.stats()
                return stats.slots_busy == 1 or begun.done()

            await until(busy)
            begun.cancel()
            await asyncio.gather(begun, return_exceptions=True)
            await stream.aclose()

            async def idle() -> bool:
                return (await runner.stats()).slots_busy == 0

            await until(idle)
            done = (await answer(runner, [1, 2, 3], max_tokens=3)).done
            assert isinstance(done, Done)

    async def test_streams_go_on_while_an_image_is_encoded(self, models) -> None:
        async with seeing(models, "qwen2vl", n_seq=2) as runner:
            image = asyncio.create_task(look(runner, picture(1, (1000, 1000)), max_tokens=1))
            pieces = 0
            async with contextlib.aclosing(runner.generate(Generate(0, [9, 8, 7], sampling=GREEDY))) as stream:
                async for part in stream:
                    pieces += isinstance(part, Piece)
                    if image.done() or isinstance(part, Done):
                        break
            assert pieces > 1
            assert (await image).done.output_tokens <= 1
