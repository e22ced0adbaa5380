"""What a Parquet file says it unpacks to: by its footer, and by the header of every page.

The two may differ, and libraries allocate what a page says. So both are read here first, without a byte
being unpacked. Format: https://github.com/apache/parquet-format, in Thrift's compact protocol.
"""

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

MAGIC = b"PAR1"
INTEGERS, BINARY, LISTS, STRUCT = (4, 5, 6), 8, (9, 10), 12  # kinds of Thrift's compact protocol
DEEPEST = 50
VALUE = 16  # bytes that a reader holds for a value beside its text
TEXT, PREFIXED = 6, 7  # Parquet's numbers of the type BYTE_ARRAY and the encoding DELTA_BYTE_ARRAY


@dataclass
class Sizes:
    """Upper bounds in bytes of what a file unpacks to: `stored` where texts that repeat are kept once,
    `written` for texts where each stands as often as it is used. `longest` is the largest page of texts,
    and `prefixed` are the numbers of columns whose texts share beginnings."""

    stored: int = 0
    written: int = 0
    longest: int = 0
    prefixed: set[int] = field(default_factory=set)


def sizes(path: str | os.PathLike[str]) -> Sizes:
    """What a file says to unpack to. Raises ValueError for one whose headers cannot be read, or contradict
    the size of the file."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < 12:
            raise ValueError("it is too short")
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
            try:
                return _sizes(data, size)
            except IndexError as error:
                raise ValueError("a header goes on beyond the end") from error


def _sizes(data: mmap.mmap, size: int) -> Sizes:
    footer = size - 8 - int.from_bytes(data[size - 8 : size - 4], "little")
    if data[-4:] != MAGIC or footer < len(MAGIC):
        raise ValueError("it has no footer")
    found, packed = Sizes(), 0
    for chunk in _chunks(_Compact(data, footer)):
        packed += chunk.packed
        if min(chunk.values, chunk.unpacked, chunk.packed, chunk.start) < 0 or packed > size:
            raise ValueError("a column is not where the footer says")
        pages = _pages(_Compact(data, chunk.start), chunk.start + chunk.packed)
        values = max(chunk.values, pages.values)
        found.stored += max(chunk.unpacked, pages.unpacked) + VALUE * values
        if chunk.type == TEXT:
            found.written += values * pages.longest
            found.longest = max(found.longest, pages.longest)
            if pages.prefixed:
                found.prefixed.add(chunk.column)
    return found


@dataclass
class _Chunk:
    """A column in a row group, as the footer has it."""

    column: int
    type: int
    values: int
    unpacked: int
    packed: int
    start: int


@dataclass
class _Pages:
    """The pages of a chunk, as their headers have them."""

    values: int = 0
    unpacked: int = 0
    longest: int = 0
    prefixed: bool = False


def _chunks(reader: "_Compact") -> Iterator[_Chunk]:
    for number, kind in reader.fields():
        if (number, kind) != (4, LISTS[0]):  # row groups
            reader.skip(kind)
            continue
        for group in reader.items():
            for inner, kind in reader.fields(group):
                if (inner, kind) != (1, LISTS[0]):  # columns
                    reader.skip(kind)
                    continue
                for column, item in enumerate(reader.items()):
                    yield _chunk(reader, item, column)


def _chunk(reader: "_Compact", item: int, column: int) -> _Chunk:
    found: dict[int, int] = {}
    for number, kind in reader.fields(item):
        if (number, kind) == (3, STRUCT):  # the column's metadata
            found |= reader.integers(1, 5, 6, 7, 9, 11)
        else:
            reader.skip(kind)
    try:
        start, dictionary = found[9], found.get(11, 0)
        if 0 < dictionary < start:
            start = dictionary
        return _Chunk(column, found[1], found[5], found[6], found[7], start)
    except KeyError as error:
        raise ValueError("the footer does not say where a column is") from error


def _pages(reader: "_Compact", end: int) -> _Pages:
    pages = _Pages()
    while reader.at < end:
        unpacked = packed = -1
        for number, kind in reader.fields():
            if number == 2 and kind in INTEGERS:
                unpacked = reader.integer()
            elif number == 3 and kind in INTEGERS:
                packed = reader.integer()
            elif number in (5, 7, 8) and kind == STRUCT:  # of data, a dictionary, data of version 2
                head = reader.integers(1, 2, 4)
                pages.values += head.get(1, 0)
                pages.prefixed |= head.get(4 if number == 8 else 2) == PREFIXED
            else:
                reader.skip(kind)
        if unpacked < 0 or packed < 0 or pages.values < 0:
            raise ValueError("a page does not say how long it is")
        reader.at += packed
        pages.unpacked += unpacked
        pages.longest = max(pages.longest, unpacked)
    return pages


class _Compact:
    """A reader of Thrift's compact protocol, at a place in some bytes."""

    def __init__(self, data: mmap.mmap, at: int) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        value = shift = 0
        while (byte := self.byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a number is too long")
        return value | byte << shift

    def integer(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def fields(self, kind: int = STRUCT) -> Iterator[tuple[int, int]]:
        """The number and kind of every field of a struct; whoever asks reads or skips its value."""
        if kind != STRUCT:
            raise ValueError("a value is of another kind than it should be")
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.integer()
            yield number, head & 0xF

    def integers(self, *wanted: int) -> dict[int, int]:
        """Some numbers of a struct, by their fields; the rest of it is skipped."""
        found = {}
        for number, kind in self.fields():
            if number in wanted and kind in INTEGERS:
                found[number] = self.integer()
            else:
                self.skip(kind)
        return found

    def items(self) -> Iterator[int]:
        """The kind of every item of a list; whoever asks reads or skips it."""
        head = self.byte()
        for _ in range(head >> 4 if head >> 4 < 15 else self.varint()):
            yield head & 0xF

    def skip(self, kind: int, depth: int = 0) -> None:
        """Goes on behind a value."""
        if depth > DEEPEST:
            raise ValueError("nested too deeply")
        if kind == 3:
            self.at += 1
        elif kind in INTEGERS:
            self.varint()
        elif kind == 7:
            self.at += 8
        elif kind == BINARY:
            length = self.varint()
            self.at += length
        elif kind in LISTS:
            for item in self.items():
                if item in (1, 2):
                    self.at += 1
                else:
                    self.skip(item, depth + 1)
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        elif kind not in (1, 2):  # true and false have no bytes
            raise ValueError("a value of an unknown kind")
