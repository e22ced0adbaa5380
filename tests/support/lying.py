"""Parquet files whose page headers are not true: a sound file taken apart, changed and put together again.

A struct of Thrift's compact protocol is a dict from field numbers to (kind, value).
"""

from pathlib import Path

INTEGERS, DOUBLE, BINARY, LISTS, STRUCT = (3, 4, 5, 6), 7, 8, (9, 10), 12
FOOTER_ROW_GROUPS, GROUP_COLUMNS, COLUMN_METADATA = 4, 1, 3  # field numbers
PATH, PACKED, DATA, DICTIONARY = 3, 7, 9, 11  # of a column's metadata


def rewrite(path, column, change):
    """Applies `change(header, body) -> body` to every page of the columns named so, in every row group.

    Of a page header, field 1 is the kind (0 data, 2 dictionary), 2 the bytes unpacked, 3 those packed,
    which is set here.
    """
    content = Path(path).read_bytes()
    size = int.from_bytes(content[-8:-4], "little")
    footer, _ = read(content, len(content) - 8 - size)
    out = bytearray(b"PAR1")
    for group in footer[FOOTER_ROW_GROUPS][1][1]:
        for chunk in group[GROUP_COLUMNS][1][1]:
            for index in (4, 5, 6, 7):  # where the page index is
                chunk.pop(index, None)
            about = chunk[COLUMN_METADATA][1]
            at = min(about[name][1] for name in (DATA, DICTIONARY) if name in about)
            end, start, placed = at + about[PACKED][1], len(out), set()
            while at < end:
                header, at = read(content, at)
                body = content[at : at + header[3][1]]
                at += len(body)
                if about[PATH][1][1][0] == column.encode():
                    body = change(header, body)
                    header[3] = (5, len(body))
                place = DICTIONARY if header[1][1] == 2 else DATA
                if place not in placed:
                    placed.add(place)
                    about[place] = (6, len(out))
                out += write(header) + body
            about[PACKED] = (6, len(out) - start)
    packed = write(footer)
    Path(path).write_bytes(out + packed + len(packed).to_bytes(4, "little") + b"PAR1")


def read(data, at):
    """The struct at a place, and the place behind it."""
    found, number = {}, 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(data, at)
        value, at = _read(data, at, head & 15)
        found[number] = (head & 15, value)
    return found, at + 1


def write(struct):
    """The bytes of a struct."""
    out, before = bytearray(), 0
    for number, (kind, value) in sorted(struct.items()):
        step = number - before
        out += bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + _packed(number)
        out += _write(kind, value)
        before = number
    return bytes(out) + b"\0"


def _read(data, at, kind):
    if kind in (1, 2):
        return None, at
    if kind in INTEGERS:
        return _integer(data, at) if kind != 3 else (data[at], at + 1)
    if kind == DOUBLE:
        return data[at : at + 8], at + 8
    if kind == BINARY:
        length, at = _varint(data, at)
        return data[at : at + length], at + length
    if kind == STRUCT:
        return read(data, at)
    head, at = data[at], at + 1
    count, at = (head >> 4, at) if head >> 4 < 15 else _varint(data, at)
    items = []
    for _ in range(count):
        item, at = _read(data, at, head & 15)
        items.append(item)
    return (head & 15, items), at


def _write(kind, value):
    if kind in (1, 2):
        return b""
    if kind in INTEGERS:
        return _packed(value) if kind != 3 else bytes([value])
    if kind == DOUBLE:
        return value
    if kind == BINARY:
        return _plain(len(value)) + value
    if kind == STRUCT:
        return write(value)
    item, items = value
    head = bytes([min(len(items), 15) << 4 | item]) + (
        _plain(len(items)) if len(items) > 14 else b""
    )
    return head + b"".join(_write(item, one) for one in items)


def _varint(data, at):
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _integer(data, at):
    value, at = _varint(data, at)
    return value >> 1 ^ -(value & 1), at


def _plain(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def _packed(value):
    return _plain(value << 1 if value >= 0 else ~(value << 1))
