"""Decoded data against Pillow, numpy, scipy and soundfile: pictures to one level, sound to the code.

The test program data_dump writes the bytes that a data set serves and tells its parts.
"""
import json
import subprocess

import numpy as np
import pytest
import soundfile
from PIL import Image, ImageOps
from program import BUILD
from scipy.signal import chirp

DUMP = BUILD / "tests" / "data_dump"


def dump(out, path, **keys):
    """(what data_dump tells, the bytes) of the data at a path; keys are those of `data`."""
    values = {"paths": [str(path)], **keys}
    words = [f"data.{key}={json.dumps(value)}" for key, value in values.items()]
    done = subprocess.run([DUMP, out, *words], check=True, capture_output=True, timeout=120)
    return json.loads(done.stdout), np.frombuffer(out.read_bytes(), np.uint8)


def photograph(width, height, channels=3, seed=1):
    """Noise of several scales: sharp edges and smooth parts, as a photograph has."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, channels))
    for cells in (3, 17, 90, 400):
        small = random.uniform(0, 255, (cells, cells, channels))
        rows, columns = np.arange(height) * cells // height, np.arange(width) * cells // width
        total += small[rows][:, columns]
    return (total / 4).astype(np.uint8)


def cropped(image, height, width):
    """Centre crop to the target's aspect, then Pillow's box filter."""
    w, h = image.size
    if w * height > h * width:
        w = min(w, (2 * h * width + height) // (2 * height))
    else:
        h = min(h, (2 * w * height + width) // (2 * width))
    left, top = (image.width - w) // 2, (image.height - h) // 2
    return image.crop((left, top, left + w, top + h)).resize((width, height), Image.Resampling.BOX)


def assert_within_a_level(found, wanted):
    difference = np.abs(found.astype(int) - np.asarray(wanted).astype(int).reshape(found.shape))
    assert difference.max() <= 1
    assert difference.mean() < 0.3


SIZES = [(500, 375), (375, 500), (64, 64), (333, 333), (97, 40), (1000, 7), (20, 300)]


@pytest.mark.parametrize("target", [(64, 64), (32, 48), (50, 20)], ids=str)
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_pictures_are_cropped_and_resized_as_by_pillow(ending, target, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, (width, height) in enumerate(SIZES):
        Image.fromarray(photograph(width, height, seed=number)).save(folder / f"{number}.{ending}", quality=90)
    told, found = dump(tmp_path / "out", folder, image_size=target)
    assert told["kind"] == "image" and told["unit"] == target[0] * target[1] * 3
    for number, picture in enumerate(found.reshape(len(SIZES), -1)):
        with Image.open(folder / f"{number}.{ending}") as image:
            assert_within_a_level(picture, cropped(image, *target))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_pictures_are_turned_upright_as_by_pillow(ending, orientation, tmp_path):
    noted = Image.Exif()
    noted[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    Image.fromarray(photograph(90, 60)).save(path, exif=noted, **({"quality": 95} if ending == "jpg" else {}))
    _, found = dump(tmp_path / "out", path, image_size=[40, 60])
    with Image.open(path) as image:
        assert_within_a_level(found, cropped(ImageOps.exif_transpose(image), 40, 60))


def over_white(image):
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


@pytest.mark.parametrize(
    "mode,ending,as_rgb",
    [
        ("L", "png", None), ("L", "jpg", None), ("P", "png", None), ("1", "png", None), ("LA", "png", over_white),
        ("RGBA", "png", over_white), ("CMYK", "jpg", None),
    ],
)  # fmt: skip
def test_every_form_of_picture_becomes_rgb(mode, ending, as_rgb, tmp_path):
    image = Image.fromarray(photograph(60, 40)).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(photograph(60, 40, 1, seed=9)[..., 0]))
    path = tmp_path / f"a.{ending}"
    image.save(path, **({"quality": 95} if ending == "jpg" else {}))
    _, found = dump(tmp_path / "out", path, image_size=[40, 60])
    with Image.open(path) as saved:
        wanted = as_rgb(saved) if as_rgb else saved.convert("RGB")
    assert_within_a_level(found, wanted)
    grey, found = dump(tmp_path / "out", path, image_size=[40, 60], channels=1)
    assert grey["unit"] == 2400
    assert_within_a_level(found, wanted.convert("L"))


def test_sixteen_bits_are_rounded(tmp_path):
    levels = np.random.default_rng(3).integers(0, 65536, (30, 50), dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png")
    _, found = dump(tmp_path / "out", tmp_path / "a.png", image_size=[30, 50], channels=1)
    assert (found.reshape(30, 50) == np.rint(levels / 257)).all()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("shape", [(5, 8, 6), (5, 8, 6, 3)])
def test_numpy_arrays_are_as_numpy_saved_them(shape, version, tmp_path):
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    with open(tmp_path / "a.npy", "wb") as file:
        np.lib.format.write_array(file, array, version)
    told, found = dump(tmp_path / "out", tmp_path / "a.npy")
    assert (found == array.ravel()).all()
    assert told["image_size"] == [8, 6] and told["channels"] == (3 if len(shape) == 4 else 1)


def test_cifar_is_interleaved_in_the_official_order(tmp_path):
    random = np.random.default_rng(2)
    batches = {f"data_batch_{i}.bin": random.integers(0, 256, (25, 3073), np.uint8) for i in range(1, 6)}
    batches["test_batch.bin"] = random.integers(0, 256, (9, 3073), np.uint8)
    folder = tmp_path / "cifar"
    folder.mkdir()
    for name, records in batches.items():
        records.tofile(folder / name)
    told, found = dump(tmp_path / "out", folder)
    records = np.concatenate(list(batches.values()))
    assert (found.reshape(-1, 32, 32, 3) == records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)).all()
    assert told["parts"] == {"train": [0, 120 * 3072], "valid": [120 * 3072, 125 * 3072], "test": [125 * 3072, 134 * 3072]}


def mu_law(x):
    x = np.clip(x, -1, 1)
    return np.floor(127.5 * (1 + np.sign(x) * np.log(1 + 255 * np.abs(x)) / np.log(256)) + 0.5).astype(np.uint8)


def mu_law_inverse(code):
    y = code / 127.5 - 1
    return np.sign(y) * (256 ** np.abs(y) - 1) / 255


@pytest.mark.parametrize(
    "ending,subtype", [("wav", "PCM_U8"), ("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "PCM_32"), ("wav", "FLOAT"),
                       ("wav", "DOUBLE"), ("flac", "PCM_16"), ("flac", "PCM_24")],
)  # fmt: skip
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_sound_is_the_code_of_its_channels_mean(ending, subtype, channels, tmp_path):
    samples = np.random.default_rng(4).uniform(-1, 0.999, (70_000, channels))
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, samples, 12000, subtype)
    told, found = dump(tmp_path / "out", path)
    stored, _ = soundfile.read(path, dtype="float64", always_2d=True)
    sums = np.zeros(len(stored))
    for channel in stored.T:
        sums += channel
    assert told["kind"] == "sound"
    assert (found == mu_law(sums / channels)).all()


def test_gain_is_in_decibels(tmp_path):
    samples = np.random.default_rng(4).uniform(-0.6, 0.6, 5000)
    soundfile.write(tmp_path / "a.wav", samples, 12000, "DOUBLE")
    told, found = dump(tmp_path / "out", tmp_path / "a.wav", gain=6)
    assert (found == mu_law(samples * 10 ** (6 / 20))).all()
    assert any("clipped" in note for note in told["notes"])


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_a_sweep_at_another_rate_is_the_same_sweep(rate, tmp_path):
    """Against the sweep itself at 12 kHz, up to 90 % of the band: what is left beside the codes' own rounding. The
    resampler alone is held to 150 dB in tests/io."""
    seconds, top = 4, 0.9 * min(rate, 12000) / 2

    def sweep(r):
        return 0.9 * chirp(np.arange(seconds * r) / r, 50, seconds, top)

    soundfile.write(tmp_path / "a.wav", sweep(rate), rate, "DOUBLE")
    _, found = dump(tmp_path / "out", tmp_path / "a.wav")
    wanted = sweep(12000)
    assert abs(len(found) - len(wanted)) <= 1
    middle = slice(12000 // 4, seconds * 12000 - 12000 // 4)
    codes = mu_law(wanted)
    assert (found[middle] != codes[middle]).mean() < 1e-3  # a code's border within the error
    assert np.abs(found[middle].astype(int) - codes[middle].astype(int)).max() <= 1
    noise = mu_law_inverse(found)[middle] - mu_law_inverse(codes)[middle]
    assert 10 * np.log10((wanted[middle] ** 2).sum() / max((noise**2).sum(), 1e-30)) > 60
