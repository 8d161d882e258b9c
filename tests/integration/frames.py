"""Copies of a store that hold something else, as whoever can write there could make them."""

import os
import shutil
import struct


def crc32c(data):
    """Source: RFC 3720 B.4"""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def erase(area):
    """A private area whose parts are all erased, as the store erases them."""
    lengths, area = area
    out = b""
    for length in lengths:
        if length:
            out += b"ERAS" + bytes(length)
    assert len(out) == len(area)
    return out


def rewrite(place, change_body=lambda body: body, change_private=lambda area: area[1]):
    """A copy of the store whose frames hold something else, of the same length, with good checksums."""
    shutil.rmtree(place.path("copy"), ignore_errors=True)
    shutil.copytree(place.path("store"), place.path("copy"), ignore=shutil.ignore_patterns("*.sock"))
    folder = place.path("copy", "segments")
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as stream:
            data = bytearray(stream.read())
        at = 0
        while data[at:at + 4] == b"\xf5SP1":
            count, body_len, private_len = (struct.unpack_from(">I", data, at + offset)[0]
                                            for offset in (4, 24, 28))
            start = at + 40
            lengths = [struct.unpack_from(">I", data, start + 8 * i + 4)[0] for i in range(count)]
            body = change_body(bytes(data[start:start + body_len]))
            area = (lengths, bytes(data[start + body_len:start + body_len + private_len]))
            data[start:start + body_len + private_len] = body + change_private(area)
            struct.pack_into(">I", data, at + 32, crc32c(body))
            struct.pack_into(">I", data, at + 36, crc32c(data[at:at + 36]))
            at += (40 + body_len + private_len + 7) // 8 * 8
        with open(os.path.join(folder, name), "wb") as stream:
            stream.write(data)


def replace_private(old, new):
    """A change of the private parts, with good checksums."""
    def change(area):
        lengths, area = area
        out, at = b"", 0
        for length in lengths:
            if length:
                part = area[at + 4:at + 4 + length].replace(old, new)
                out += struct.pack(">I", crc32c(part)) + part
                at += 4 + length
        assert len(out) == len(area)
        return out
    return change
