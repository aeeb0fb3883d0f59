"""Pictures and sound that the program makes, opened by Pillow, soundfile, wave and TensorBoard."""
import io
import signal
import subprocess
import time
import wave

import numpy as np
import pytest
import soundfile
from PIL import Image
from program import PROGRAM, log, run, run_json, train
from test_data import cropped, mu_law, mu_law_inverse, photograph

HEIGHT, WIDTH = 12, 10
RATE = 8000
SHAPES = {
    1: dict(model__context=HEIGHT * WIDTH, model__positions=[HEIGHT, WIDTH, 1]),
    3: dict(model__context=HEIGHT * WIDTH * 3, model__positions=[HEIGHT, WIDTH, 3]),
}


@pytest.fixture(scope="module", params=[1, 3], ids=["grey", "rgb"])
def pictures(request, tmp_path_factory):
    """(channels, run, folder of its pictures): a few steps on noise of other sizes."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(20):
        Image.fromarray(photograph(30 + seed, 25, seed=seed)).save(folder / f"{seed:02}.png")
    out = tmp_path_factory.mktemp("runs") / "pictures"
    train(out, folder, 5, data__image_size=[HEIGHT, WIDTH], data__channels=request.param, training__sample_minutes=10,
          **SHAPES[request.param])  # fmt: skip
    return request.param, out, folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """(run, its recording): a few steps on a tone at another rate, with a gain."""
    path = tmp_path_factory.mktemp("sound") / "tone.wav"
    seconds = np.arange(2 * 12000) / 12000
    soundfile.write(path, 0.2 * np.sin(2 * np.pi * (200 + 300 * seconds) * seconds), 12000, "PCM_16")
    out = tmp_path_factory.mktemp("runs") / "sound"
    train(out, path, 5, data__sample_rate=RATE, data__gain=6, training__sample_minutes=10)
    return out, path


def pixels(path, channels):
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG" and image.mode == {1: "L", 3: "RGB"}[channels]
        return np.asarray(image).reshape(image.height, image.width, channels)


def tiles(grid, columns, count):
    """The pictures of a grid; everything between them is white."""
    rows = -(-count // columns)
    assert grid.shape[:2] == (rows * (HEIGHT + 2) - 2, columns * (WIDTH + 2) - 2)
    left = grid.copy()
    found = []
    for at in range(count):
        y, x = at // columns * (HEIGHT + 2), at % columns * (WIDTH + 2)
        found.append(grid[y : y + HEIGHT, x : x + WIDTH])
        left[y : y + HEIGHT, x : x + WIDTH] = 255
    assert (left == 255).all()
    return found


def test_pillow_opens_pictures_and_their_grid(pictures, tmp_path):
    channels, out, _ = pictures
    told = run_json("sample", out, "--count", 7, "--out", tmp_path / "all.png")
    assert told["tokens"] == HEIGHT * WIDTH * channels
    singles = [pixels(sample["file"], channels) for sample in told["samples"]]
    assert len(singles) == 7 and all(single.shape == (HEIGHT, WIDTH, channels) for single in singles)
    for tile, single in zip(tiles(pixels(tmp_path / "all.png", channels), 3, 7), singles):
        assert (tile == single).all()


def test_the_kept_half_is_the_picture_that_training_sees(pictures, tmp_path):
    """To the bit against the decoded data of the run, to a level against Pillow's crop and box filter."""
    channels, out, folder = pictures
    (cache,) = (out / "cache").glob("*.data")
    seen = np.fromfile(cache, np.uint8).reshape(20, HEIGHT, WIDTH, channels)
    for number in (0, 19):
        path = folder / f"{number:02}.png"
        run("sample", out, "--prime", path, "--keep", 0.5, "--count", 3, "--out", tmp_path / "done.png")
        original, given, *completed = tiles(pixels(tmp_path / "done.png", channels), 5, 5)
        assert (original == seen[number]).all()
        with Image.open(path) as image:
            wanted = np.asarray(cropped(image, HEIGHT, WIDTH).convert({1: "L", 3: "RGB"}[channels]))
        assert np.abs(original.astype(int) - wanted.reshape(original.shape)).max() <= 1
        half = HEIGHT // 2
        assert (given[:half] == seen[number, :half]).all() and (given[half:] == 0).all()
        for at, picture in enumerate(completed, 1):
            assert (picture[:half] == seen[number, :half]).all()
            assert (picture == pixels(tmp_path / f"done-{at:03}.png", channels)).all()
        assert (completed[0] != completed[1]).any()


@pytest.mark.parametrize("ending", ["jpg", "npy"])
def test_other_files_prime_too(ending, pictures, tmp_path):
    channels, out, _ = pictures
    path = tmp_path / f"given.{ending}"
    array = photograph(WIDTH, HEIGHT, seed=5)
    if ending == "npy":
        np.save(path, np.stack([array, 255 - array]))  # the first of two
    else:
        Image.fromarray(array).save(path, quality=95)
        array = np.asarray(Image.open(path).convert("RGB"))
    run("sample", out, "--prime", path, "--keep", 0.75, "--out", tmp_path / "done.png")
    wanted = np.asarray(Image.fromarray(array).convert({1: "L", 3: "RGB"}[channels])).reshape(HEIGHT, WIDTH, channels)
    difference = np.abs(pixels(tmp_path / "done.png", channels).astype(int) - wanted)[:9]
    assert difference.max() <= (0 if ending == "npy" else 2)  # JPEG: decoders may round in other places


def read_wav(path):
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        frames = file.readframes(file.getnframes())
        assert len(frames) == 2 * file.getnframes()
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE and soundfile.info(path).subtype == "PCM_16"
    assert samples.tobytes() == frames
    return samples


def test_sound_opens_elsewhere_with_its_rate_and_length(sound, tmp_path):
    out, _ = sound
    told = run_json("sample", out, "--tokens", "0.1s", "--count", 2, "--out", tmp_path / "a.wav")
    assert told["tokens"] == RATE // 10
    for sample in told["samples"]:
        samples = read_wav(sample["file"])
        assert len(samples) == RATE // 10 and sample["seconds"] == 0.1
        codes = mu_law(samples / 32768)  # of a code each, so that nothing is lost in 16 bits
        assert (samples == np.clip(np.rint(32768 * mu_law_inverse(codes)), -32768, 32767)).all()


def test_a_continued_recording_begins_with_what_training_heard(sound, tmp_path):
    out, path = sound
    (cache,) = (out / "cache").glob("*.data")
    heard = np.fromfile(cache, np.uint8)
    run("sample", out, "--prime", path, "--keep", "1.5s", "--tokens", 100, "--out", tmp_path / "on.wav")
    samples = read_wav(tmp_path / "on.wav")
    assert len(samples) == 3 * RATE // 2 + 100
    assert (mu_law(samples / 32768)[: 3 * RATE // 2] == heard[: 3 * RATE // 2]).all()


def test_stopped_sound_is_whole_as_far_as_it_was_made(sound, tmp_path):
    out, _ = sound
    for number, kill in enumerate((signal.SIGINT, signal.SIGKILL)):
        path = tmp_path / f"{number}.wav"
        process = subprocess.Popen([PROGRAM, "sample", out, "--tokens", "3600s", "--out", path, "--quiet"])
        deadline = time.monotonic() + 60
        while not (path.is_file() and path.stat().st_size > 5000) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(kill)
        assert process.wait(60) == (130 if kill == signal.SIGINT else -signal.SIGKILL)
        assert len(read_wav(path)) > 2000


def samples_of(out):
    """(step, name) of the samples in log.jsonl."""
    import json

    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["sample"]) for line in lines if "sample" in line]


def events_of(out):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(folder):
        return EventAccumulator(str(folder), size_guidance={"images": 0, "audio": 0, "scalars": 0}).Reload()

    steps = read(out / "tensorboard" / "train").Scalars("bits")
    assert [s.step for s in steps] == [line["step"] for line in log(out)[0]]
    return read(out / "tensorboard")


def test_tensorboard_shows_the_pictures_of_training(pictures):
    channels, out, _ = pictures
    assert samples_of(out) == [(5, "samples/000000005.png")]
    grid = pixels(out / "samples" / "000000005.png", channels)
    assert len(tiles(grid, 2, 4)) == 4
    (event,) = events_of(out).Images("sample")
    assert (event.step, event.height, event.width) == (5, *grid.shape[:2])
    assert (pixels(io.BytesIO(event.encoded_image_string), channels) == grid).all()


def test_tensorboard_plays_the_sound_of_training(sound):
    out, _ = sound
    assert samples_of(out) == [(5, "samples/000000005.wav")]
    path = out / "samples" / "000000005.wav"
    samples = read_wav(path)
    (event,) = events_of(out).Audio("sample")
    assert (event.step, event.sample_rate, event.content_type) == (5, RATE, "audio/wav")
    assert event.length_frames == len(samples)
    assert event.encoded_audio_string == path.read_bytes()
