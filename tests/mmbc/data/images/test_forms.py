"""One picture in every form gives the same pixels, or is refused in words that say what to do."""

import gzip
import struct
import warnings
import zlib
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mmbc.config import DataConfig
from mmbc.data.images import decoding
from mmbc.data.images.facts import read_images
from mmbc.data.images.outlines import OutlinePool
from mmbc.data.images.preparation import prepare
from mmbc.errors import ImageError

ROWS, COLUMNS = np.mgrid[:60, :48]
BREAST = np.hypot((ROWS - 30) / 26, COLUMNS / 38) < 1
NOISE = np.random.default_rng(0).integers(0, 1000, BREAST.shape)
DEEP = np.where(BREAST, 1500 + 40 * COLUMNS + NOISE // 2, 0).astype(np.uint16)
DEEP[10, 10] = 4095
"""A picture of 12 bits in 16, with the background 0 and the brightest pixel 4095."""
GREY = (DEEP >> 4).astype(np.uint8)
"""The same of 8 bits."""
BINARY = np.where(BREAST, 255, 0).astype(np.uint8)
FULL8, FULL16 = np.full_like(GREY, 255), np.full_like(DEEP, 65535)


def saved(pixels, kind="PNG", **options) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def by_opencv(suffix: str, *channels: np.ndarray) -> bytes:
    """Encode a file of the channels blue, green, red and alpha."""
    return cv2.imencode(suffix, channels[0] if len(channels) == 1 else np.dstack(channels))[1].tobytes()


def png16(*channels: np.ndarray, key: bytes = b"", orientation: int = 1, side: int = 0) -> bytes:
    """Encode a 16-bit PNG of 1 (grey), 2 (grey, alpha), 3 or 4 channels; `key` is its tRNS, `side` a claim."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = channels[0].shape
    rows = np.stack(channels, axis=-1).astype(">u2").reshape(height, -1)
    head = struct.pack(">IIBBBBB", side or width, side or height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[len(channels)], 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    exif = oriented(orientation)["exif"].tobytes().removeprefix(b"Exif\0\0")
    parts = [
        chunk(b"IHDR", head),
        chunk(b"eXIf", exif),
        chunk(b"tRNS", key) if key else b"",
        chunk(b"IDAT", body),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(*pages: np.ndarray, photometric: int | None = 1, order: str = "<", **tags: int) -> bytes:
    """Encode uncompressed pages (height, width) or (height, width, n) with further tags: `subfile`, `orientation`."""
    content = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    for number, page in enumerate(pages):
        height, width = page.shape[:2]
        n = 1 if page.ndim == 2 else page.shape[2]
        body = page.astype(page.dtype.newbyteorder(order)).tobytes()
        fields = {254: tags.get(f"subfile{number}", 0), 256: width, 257: height, 258: 8 * page.itemsize, 259: 1}
        fields |= {273: 0, 274: tags.get("orientation", 1), 277: n, 278: height, 279: len(body)}
        fields |= {} if photometric is None else {262: photometric}
        fields |= {338: tags["extra"]} if "extra" in tags else {}
        directory, extra = b"", b""
        end = len(content) + 2 + 12 * len(fields) + 4
        for tag, value in sorted(fields.items()):
            if tag == 258 and n > 1:
                directory += struct.pack(order + "HHII", tag, 3, n, end)
                extra = struct.pack(order + f"{n}H", *[value] * n)
            else:
                value = end + 2 * n * (n > 1) if tag == 273 else value
                directory += struct.pack(order + "HHII", tag, 4, 1, value)
        following = end + len(extra) + len(body) if number < len(pages) - 1 else 0
        content += (
            struct.pack(order + "H", len(fields)) + directory + struct.pack(order + "I", following) + extra + body
        )
    return content


def palette(pixels: np.ndarray) -> Image.Image:
    """The same picture as numbers of a shuffled palette of greys."""
    order = np.random.default_rng(1).permutation(256)
    image = Image.fromarray(np.argsort(order).astype(np.uint8)[pixels]).convert("P")
    image.putdata(np.argsort(order)[pixels].ravel().tolist())
    image.putpalette(np.repeat(order.astype(np.uint8), 3).tobytes())
    return image


def oriented(orientation: int) -> dict:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


def gamma() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 100000))
    return info


TURNED = {  # what a file holds that is the picture when turned as EXIF says
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p),
    7: lambda p: np.rot90(p[::-1]),
    8: lambda p: np.rot90(p, -1),
}

EIGHT = {
    "grey": saved(GREY),
    "rgb": saved(np.dstack([GREY] * 3)),
    "grey and alpha": saved(np.dstack([GREY, FULL8])),
    "rgb and alpha": saved(np.dstack([GREY] * 3 + [FULL8])),
    "palette": saved(palette(GREY)),
    "palette and alpha": saved(palette(GREY), transparency=bytes([255] * 256)),
    "black transparent": saved(np.dstack([GREY, np.where(GREY > 0, 255, 0).astype(np.uint8)])),
    "black as tRNS": saved(GREY, transparency=0),
    "gamma": saved(GREY, pnginfo=gamma()),
    "gif": saved(GREY, "GIF"),
    "bmp": saved(GREY, "BMP"),
    "pgm": saved(GREY, "PPM"),
    "webp": saved(np.dstack([GREY] * 3), "WEBP", lossless=True),
    "jpeg 2000": saved(GREY, "JPEG2000"),
    "tiff": tiff(GREY),
    "tiff, white is zero": tiff(255 - GREY, photometric=0),
    "tiff of Pillow": saved(GREY, "TIFF", compression="tiff_lzw"),
    "tiff, deflated, white is zero": saved(GREY, "TIFF", compression="tiff_adobe_deflate", tiffinfo={262: 0}),
    "tiff, rgb": tiff(np.dstack([GREY] * 3), photometric=2),
    "tiff, big endian": tiff(GREY, order=">"),
    "tiff, big endian, white is zero": tiff(255 - GREY, photometric=0, order=">"),
    **{f"orientation {n}": saved(turn(GREY).copy(), **oriented(n)) for n, turn in TURNED.items()},
    **{f"tiff, orientation {n}": tiff(turn(GREY), orientation=n) for n, turn in TURNED.items()},
}

SIXTEEN = {
    "grey": saved(DEEP),
    "written by hand": png16(DEEP),
    "rgb": png16(DEEP, DEEP, DEEP),
    "rgb of OpenCV": by_opencv(".png", DEEP, DEEP, DEEP),
    "grey and alpha": png16(DEEP, FULL16),
    "rgb and alpha": png16(DEEP, DEEP, DEEP, FULL16),
    "black transparent": png16(DEEP, np.where(DEEP > 0, 65535, 0)),
    "black as tRNS": png16(DEEP, key=struct.pack(">H", 0)),
    "rgb, black as tRNS": png16(DEEP, DEEP, DEEP, key=struct.pack(">HHH", 0, 0, 0)),
    "pgm": by_opencv(".pgm", DEEP),
    "ppm": by_opencv(".ppm", DEEP, DEEP, DEEP),
    "jpeg 2000": saved(DEEP, "JPEG2000"),
    "jpeg 2000, rgb": cv2.imencode(".jp2", np.dstack([DEEP] * 3), [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])[
        1
    ].tobytes(),
    "tiff": tiff(DEEP),
    "tiff, 32 bit": tiff(DEEP.astype(np.uint32)),
    "tiff, big endian": tiff(DEEP, order=">"),
    "tiff, white is zero, 12 bit": tiff(4095 - DEEP, photometric=0),
    "tiff, rgb": tiff(np.dstack([DEEP] * 3), photometric=2),
    "tiff, rgb, big endian": tiff(np.dstack([DEEP] * 3), photometric=2, order=">"),
    "tiff, rgb and alpha": tiff(np.dstack([DEEP] * 3 + [FULL16]), photometric=2, extra=2),
    "tiff, rgb, lzw": by_opencv(".tif", DEEP, DEEP, DEEP),
    **{f"tiff, orientation {n}": tiff(turn(DEEP), orientation=n) for n, turn in TURNED.items()},
    **{f"rgb, orientation {n}": png16(*[turn(DEEP)] * 3, orientation=n) for n, turn in TURNED.items()},
    **{f"orientation {n}": saved(turn(DEEP).copy(), **oriented(n)) for n, turn in TURNED.items()},
}

BITS = {
    "png": saved(Image.fromarray(BINARY).convert("1")),
    "pbm": saved(Image.fromarray(BINARY).convert("1"), "PPM"),
    "tiff": saved(Image.fromarray(BINARY).convert("1"), "TIFF"),
    "group 4": saved(Image.fromarray(BINARY).convert("1"), "TIFF", compression="group4"),
    "group 4, white is zero": saved(
        Image.fromarray(BINARY).convert("1"), "TIFF", compression="group4", tiffinfo={262: 0}
    ),
    "grey": saved(BINARY),
}


@pytest.mark.parametrize(
    ("expected", "content"),
    [
        pytest.param(picture, content, id=f"{bits} bits, {name}")
        for bits, picture, forms in ((8, GREY, EIGHT), (16, DEEP, SIXTEEN), (1, BINARY, BITS))
        for name, content in forms.items()
    ],
)
def test_every_form_of_a_picture_gives_the_same_pixels(expected, content):
    pixels = decoding.decode(content, 512)
    assert pixels.dtype == expected.dtype
    assert np.array_equal(pixels, expected)


FLOAT = np.float32(GREY / 255)
RED16 = np.where(BREAST & (COLUMNS == 20), 65535, DEEP).astype(np.uint16)
REFUSED = {
    "transparent": (saved(np.dstack([GREY, np.where(COLUMNS > 9, 255, 40).astype(np.uint8)])), "are transparent"),
    "invisible": (saved(np.dstack([GREY, np.zeros_like(GREY)])), "are transparent"),
    "transparent palette": (saved(palette(GREY), transparency=bytes([9] * 256)), "are transparent"),
    "transparent tRNS": (saved(GREY, transparency=int(GREY[30, 5])), "are transparent"),
    "transparent, 16 bits": (png16(DEEP, FULL16 // 2), "are transparent"),
    "transparent tRNS, 16 bits": (png16(DEEP, key=struct.pack(">H", int(DEEP[30, 5]))), "are transparent"),
    "transparent rgb tRNS, 16 bits": (
        png16(DEEP, DEEP, DEEP, key=struct.pack(">H", int(DEEP[30, 5])) * 3),
        "are transparent",
    ),
    "dim colour of 16 bits": (png16(DEEP, DEEP // 2, DEEP // 2), "8-bit colour"),
    "a red line on 12 bits": (png16(RED16, np.where(RED16 > 4095, 0, DEEP), DEEP), "8-bit colour"),
    "float": (saved(FLOAT, "TIFF"), "floating-point"),
    "32 bits in use": (tiff(DEEP.astype(np.uint32) << 8), "do not fit into 16 bits"),
    "negative": (saved(-1 - DEEP.astype(np.int32), "TIFF"), "do not fit into 16 bits"),
    "no photometric": (tiff(DEEP, photometric=None), "does not say whether 0 is black"),
    "white is zero, big endian": (tiff(4095 - DEEP, photometric=0, order=">"), "convert it to 16-bit grey PNG"),
    "turned rgb of 16 bits": (
        tiff(np.rot90(np.dstack([DEEP] * 3)), photometric=2, orientation=6),
        "convert it to 16-bit grey PNG",
    ),
    "16-bit SGI": (saved(GREY, "SGI", bpc=2), "convert it to 16-bit grey PNG"),
    "12-bit JPEG": (
        saved(GREY, "JPEG").replace(b"\xff\xc0\x00\x0b\x08", b"\xff\xc1\x00\x0b\x0c"),
        "a JPEG that is damaged",
    ),
}


@pytest.mark.parametrize(("content", "said"), [pytest.param(*case, id=name) for name, case in REFUSED.items()])
def test_what_cannot_be_read_rightly_is_refused(content, said):
    with pytest.raises(decoding.UnreadableError, match=said):
        decoding.decode(content, 512)


def test_colour_that_fills_its_16_bits_is_kept_in_8():
    rgb = np.dstack([GREY, GREY // 2, 255 - GREY])
    content = png16(*np.moveaxis(rgb.astype(np.uint16) * 257, 2, 0))
    assert np.array_equal(decoding.decode(content, 512), rgb)


def test_lossy_forms_are_close():
    for content in (saved(GREY, "JPEG", quality=98), saved(Image.fromarray(GREY).convert("CMYK"), "JPEG", quality=98)):
        pixels = decoding.decode(content, 512).astype(int)
        grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
        assert np.abs(grey - GREY).mean() < 3


def test_an_opened_image_that_would_be_cut_is_refused():
    with Image.open(BytesIO(png16(DEEP, DEEP, DEEP))) as image, pytest.raises(ImageError, match="16-bit grey PNG"):
        prepare(image, DataConfig(image_size=48), OutlinePool())
    with Image.open(BytesIO(tiff(65535 - 16 * DEEP, photometric=0))) as image:
        prepared = prepare(image, DataConfig(image_size=48), OutlinePool())
    assert prepared[24, 8:12].mean() > 50 and not prepared[:, -5:].any()


SMALL = GREY[::2, ::2].copy()


def frames(kind: str, n: int, **options) -> bytes:
    others = [Image.fromarray(np.roll(GREY, number, axis=1)) for number in range(1, n)]
    return saved(GREY, kind, save_all=True, append_images=others, **options)


@pytest.mark.parametrize(
    ("content", "n"),
    [
        (frames("GIF", 5), 5),
        (frames("PNG", 5), 5),
        (frames("TIFF", 3), 3),
        (frames("WEBP", 4, lossless=True), 4),
        (frames("MPO", 2), 2),
        (tiff(GREY, SMALL), 2),
        (tiff(GREY, GREY, SMALL, subfile2=1), 2),
    ],
    ids=["gif", "png", "tiff", "webp", "mpo", "sizes differ", "two and a thumbnail"],
)
def test_several_frames_are_refused_with_their_number(tmp_path, content, n):
    (tmp_path / "a.any").write_bytes(content)
    said = f"holds {n} frames; one image a row"
    assert read_images([tmp_path / "a.any"], cache=tmp_path)["error"][0] == said
    with pytest.raises(ImageError, match=rf"a\.any: {said}"):
        prepare(tmp_path / "a.any", DataConfig(), OutlinePool())


@pytest.mark.parametrize(
    ("content", "picture"),
    [
        (tiff(GREY, SMALL, subfile1=1), GREY),
        (tiff(SMALL, GREY, subfile0=1), GREY),
        (tiff(DEEP, SMALL, subfile1=1), DEEP),
        (tiff(GREY, BINARY, subfile1=4), GREY),
        (frames("GIF", 1), GREY),
    ],
    ids=["thumbnail", "thumbnail first", "16 bits", "mask", "one frame"],
)
def test_thumbnails_and_masks_of_a_picture_are_no_frames(tmp_path, content, picture):
    (tmp_path / "a.tif").write_bytes(content)
    facts = read_images([tmp_path / "a.tif"], cache=tmp_path).iloc[0]
    assert (facts["error"], facts["height"], facts["width"]) == ("", *picture.shape)
    assert np.array_equal(decoding.decode(content, 512), picture)


NO_IMAGES = {
    "a.png": (bytes(128) + b"DICM" + bytes(300), "a DICOM file: convert it to 16-bit PNG first, MONOCHROME1 inverted"),
    "b.png": (b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + bytes(99), "a DICOM file"),
    "c.png": (b"\x08\x00\x00\x00\x04\x00\x00\x00" + bytes(range(99)), "a DICOM file"),
    "d.DCM": (b"anything", "a DICOM file"),
    "e.png": (gzip.compress(b"n+1"), "compressed with gzip"),
    "f.png": (b"\x5c\x01\x00\x00" + bytes(340) + b"n+1\0" + bytes(99), "a NIfTI volume"),
    "g.png": (b"ObjectType = Image\nNDims = 2\n", "a MetaImage file"),
    "h.png": (b"%PDF-1.7\n", "a PDF document"),
    "i.png": (b"\n<!DOCTYPE html><html>Please log in</html>", "a web page"),
    "j.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
    "k.png": (b"", "empty file"),
    "l.png": (bytes(999), "holds nothing but zeros"),
    "m.png": (saved(GREY)[:500], "truncated"),
    "n.tif": (tiff(DEEP)[:500], "truncated"),
    "o.tif": (tiff(np.dstack([DEEP] * 3), photometric=2)[:500], "truncated"),
    "p.png": (b"PK\x03\x04" + bytes(99), "a ZIP archive"),
    "q.svg": (b'<?xml version="1.0"?><svg/>', "an XML or SVG file"),
    "r.png": (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file"),
    "s.png": (b"some words", "not an image"),
    "t.png": (png16(DEEP, side=60000), "has 3,600,000,000 pixels"),
}


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_is_no_image_is_called_by_its_name(tmp_path, name):
    content, said = NO_IMAGES[name]
    (tmp_path / name).write_bytes(content)
    assert said in read_images([tmp_path / name], cache=tmp_path)["error"][0]
    with pytest.raises(ImageError, match=f"{name}: .*{said[:20]}"):
        prepare(tmp_path / name, DataConfig(), OutlinePool())


def test_a_large_image_is_read_without_a_warning_of_pillow(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    monkeypatch.setattr("mmbc.data.images.formats.LARGE", 2000)
    for content in (saved(GREY), tiff(GREY)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.array_equal(decoding.decode(content, 512), GREY)
