"""Decode a picture, upright, to colours from 0 to 1."""

import base64
import io
import os
import re
from dataclasses import dataclass
from typing import IO, Any, TypeAlias
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from skmnist._io import reading

# Pixels along the longer side, to which larger pictures are reduced. A digit whose
# height is a thirtieth of the picture's still has twice the pixels of MNIST's.
LONGEST_SIDE = 1200

Size = tuple[int, int]  # width, height

# Text that is a picture in base64 rather than a path.
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{100,}={0,2}\s*")

ACCEPTED = (
    "a path, an open binary file, a Pillow image, or an array of shape (h, w), "
    "(h, w, 1), (h, w, 3) or (h, w, 4)"
)


@dataclass(frozen=True, eq=False)
class Upright:
    """An upright picture, reduced if it was large."""

    # 8-bit colours, with an alpha channel where the picture had one.
    image: Image.Image
    # Width and height before it was reduced, in pixels.
    size: Size
    name: str = "the picture"  # for messages

    def colours(self, longest_side: int = LONGEST_SIDE) -> NDArray[np.float32]:
        """Return the colours from 0 to 1 of shape (h, w, 3), on opaque paper."""
        return _on_paper(_reduced(self.image, _fitting(self.image.size, longest_side)))


Picture: TypeAlias = (
    str | os.PathLike[str] | IO[bytes] | Image.Image | NDArray[np.generic] | Upright
)


def read_picture(picture: Picture) -> Upright:
    """Decode a picture: turned as its EXIF tag says, reduced if it is large."""
    if isinstance(picture, Upright):
        return picture
    if isinstance(picture, np.ndarray):
        image = _image_from_array(picture)
        return Upright(_reduced(image, _fitting(image.size)), image.size)
    if isinstance(picture, Image.Image):
        return _from_image(picture, "the image")
    if isinstance(picture, str):
        if picture.startswith("data:"):
            with reading("the data URL cannot be decoded"):
                return read_picture(_from_data_url(picture))
        _check_path(picture)
    if isinstance(picture, str | os.PathLike):
        name, is_folder = str(os.fspath(picture)), os.path.isdir(picture)
    elif hasattr(picture, "read"):
        name, is_folder = str(getattr(picture, "name", "the picture")), False
    else:
        raise TypeError(f"A picture must be {ACCEPTED}, got {type(picture).__name__}.")
    if is_folder:
        raise IsADirectoryError(
            f"{name} is a folder; pass one picture, or use load_pictures."
        )
    with _opened(picture, name) as image:
        return _from_image(image, name)


def _from_data_url(url: str) -> IO[bytes]:
    """Return the content of a ``data:`` URL, such as a canvas' ``toDataURL`` gives."""
    header, _, text = url.partition(",")
    content = unquote_to_bytes(text)
    if header.rstrip().lower().endswith(";base64"):
        content = base64.b64decode(b"".join(content.split()), validate=True)
    return io.BytesIO(content)


def _check_path(text: str) -> None:
    """Raise ValueError, without the data, if a text is not the path of a file."""
    if "://" in text:
        raise ValueError(
            f"{text[:80]!r} is an address, and nothing is downloaded; save the"
            " picture, and pass its path."
        )
    if _BASE64.fullmatch(text) and not os.path.exists(text):
        raise ValueError(
            f"This text of {len(text)} characters is not the path of a file. If it is a"
            " picture in base64, pass 'data:;base64,' + text."
        )


def _opened(file: str | os.PathLike[str] | IO[bytes], name: str) -> Image.Image:
    try:
        return Image.open(file)
    except UnidentifiedImageError as error:
        raise ValueError(f"{name} is not a picture that Pillow can read.") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} is too large to be read safely: {error}") from error
    except Exception:
        with reading(f"{name} is truncated or corrupt"):
            raise


def _from_image(image: Image.Image, name: str) -> Upright:
    """Decode a Pillow image at the size needed, and turn it upright."""
    size = image.size
    if image.format == "JPEG":
        # A JPEG can be decoded at a half, a quarter or an eighth in less time.
        image.draft("RGB", _fitting(size))
    with reading(f"{name} is truncated or corrupt"):
        image.load()
        turned = image.getexif().get(0x0112, 1) >= 5
        upright = ImageOps.exif_transpose(image)
    size = size[::-1] if turned else size
    return Upright(_reduced(_eight_bit(upright), _fitting(size)), size, name)


def _fitting(size: Size, longest_side: int = LONGEST_SIDE) -> Size:
    """Return the width and height, in pixels, to reduce a picture of `size` to."""
    factor = min(1.0, longest_side / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _reduced(image: Image.Image, size: Size) -> Image.Image:
    return image if size == image.size else image.resize(size, Image.Resampling.BOX)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Convert any mode of Pillow's to RGB, or to RGBA where there is transparency."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        levels = np.asarray(image, dtype=np.float32)
        low, high = float(levels.min()), float(levels.max())
        levels = (levels - low) / ((high - low) or 1.0)
        image = Image.fromarray(np.uint8(np.rint(255 * levels)))
    transparent = "A" in image.getbands() or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB")


def _on_paper(image: Image.Image) -> NDArray[np.float32]:
    """Replace transparency by paper that the ink stands out from."""
    values = np.asarray(image, dtype=np.float32) / np.float32(255)
    if image.mode == "RGB":
        return values
    colours, alpha = values[..., :3], values[..., 3:]
    if alpha.min() == 1 or alpha.max() == 0:
        return np.where(alpha == 0, np.float32(1), colours)
    visible = colours[alpha[..., 0] > 0.5]
    if len(visible) > alpha.size / 2:
        paper = np.median(visible, axis=0)  # transparent corners of a sheet
    else:
        paper = np.float32((alpha * colours).mean() < alpha.mean() / 2)
    return np.asarray(alpha * colours + (1 - alpha) * paper, dtype=np.float32)


def _image_from_array(array: NDArray[Any]) -> Image.Image:
    if array.ndim < 2 or array.shape[2:] not in ((), (1,), (3,), (4,)):
        raise ValueError(f"A picture must be {ACCEPTED}, got shape {array.shape}.")
    if 0 in array.shape:
        raise ValueError(f"A picture must have pixels, got shape {array.shape}.")
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype.kind == "f":
        if not (array.min() >= 0 and array.max() <= 1):  # NaN fails this, too
            raise ValueError(
                "A picture of floats must be in [0, 1], got "
                f"{array.min():g} to {array.max():g}; divide by its white level."
            )
        array = np.rint(255 * array).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise TypeError(
            f"A picture must be of uint8 or of floats in [0, 1], got {array.dtype}."
        )
    image = Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array)
    return _eight_bit(image)
