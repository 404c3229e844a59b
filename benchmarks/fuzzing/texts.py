"""Mutations of text files that keep their structure: JSON, XML, CSV, TOML; and of any bytes."""

from __future__ import annotations

import json
import random
import re
from typing import Any
from xml.etree import ElementTree

#: What a value is swapped for: the ends of number types, what is no number, long and strange text, other types.
NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 2, 3, 255, 256, 2**15, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64),
    *(10**30, -(10**30), 10**400, 0.5, -0.0, 1e-300, 1e15, 1e300, -1e308),
)
NO_NUMBERS = (float("inf"), float("-inf"), float("nan"))
TEXTS = (
    *("", " ", "0", "-1", "nan", "inf", "1e400", "9" * 400, "1,5", "1_000", "٣", "²", "0x10", "None", "null"),
    *(
        "true",
        "=1+1",
        "@SUM(A1)",
        "../../x",
        "/etc/passwd",
        "C:\\x",
        "CON",
        "a\0b",
        "\ud7ff",
        "\U0001f600",
        "e\u0301",
    ),
    *("A" * 70_000, "\n", ";", '"', "<", "&", "#ff0000", "POLYGON", "Polygon", "features", "train", "[]"),
)
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], [1, 2], {"a": 1}, [[1, 2], [3]], [[[0, 0]] * 4])
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def value(rng: random.Random) -> Any:
    """Return an extreme value of any kind that JSON has."""
    return rng.choice(rng.choice((NUMBERS, NO_NUMBERS, TEXTS, OTHERS)))


def text(rng: random.Random) -> str:
    """Return an extreme value as text."""
    if rng.random() < 0.5:
        return rng.choice(TEXTS)
    chosen = rng.choice(NUMBERS + NO_NUMBERS)
    return f"1{'0' * 400}" if chosen == 10**400 else str(chosen)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Change bits, bytes and pieces; cut, repeat, insert."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not found:
            return bytes(rng.randbytes(8))
        place, size = rng.randrange(len(found)), rng.choice((1, 2, 4, 8, 64))
        match rng.randrange(7):
            case 0:
                found[place] ^= 1 << rng.randrange(8)
            case 1:
                found[place : place + size] = rng.randbytes(min(size, len(found) - place))
            case 2:
                size = min(size, len(found) - place)
                found[place : place + size] = bytes([rng.choice((0, 255, 127, 128))]) * size
            case 3:
                del found[place : None if rng.random() < 0.3 else place + size]
            case 4:
                found[place:place] = rng.randbytes(size)
            case 5:
                found[place:place] = found[place : place + size] * rng.choice((1, 2, 50))
            case _:
                other = rng.randrange(len(found))
                found[place : place + size] = found[other : other + size]
    return bytes(found)


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Swap, remove, repeat or nest values of a JSON document."""
    content = json.loads(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        content = mutate_value(content, rng)
    try:
        written = json.dumps(content, ensure_ascii=rng.random() < 0.5)
    except ValueError:  # more digits than Python writes
        return data.replace(b"1", b"1" + b"0" * 5000, 1)
    if rng.random() < 0.05:
        depth = rng.choice((200, 100_000))
        written = "[" * depth + written + "]" * depth
    return written.encode("utf-8", "surrogatepass")


def mutate_value(content: Any, rng: random.Random) -> Any:
    """Return nested lists and dictionaries with one place changed; they may be changed themselves."""
    holder, last = _place(content, rng)
    if holder is None:
        return value(rng)
    match rng.randrange(6):
        case 0:
            del holder[last]
        case 1 if isinstance(holder, list):
            holder[last:last] = [holder[last]] * rng.choice((1, 3, 500))
        case 1:
            holder[rng.choice(TEXTS)] = holder.pop(last)
        case 2:
            holder[last] = [holder[last]]
        case 3 if isinstance(holder[last], list) and holder[last]:
            rng.shuffle(holder[last])
        case _:
            holder[last] = value(rng)
    return content


def _place(content: Any, rng: random.Random) -> tuple[Any, Any]:
    """Return a list or dictionary and a key of it, at a random depth."""
    holder, last, here = None, None, content
    while isinstance(here, (list, dict)) and here and (holder is None or rng.random() < 0.85):
        keys = range(len(here)) if isinstance(here, list) else list(here)
        holder, last = here, rng.choice(keys)
        here = here[last]
    return holder, last


def mutate_xml(data: bytes, rng: random.Random) -> bytes:
    """Change attributes, texts and elements of an XML document."""
    root = ElementTree.fromstring(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        parents = list(root.iter())
        element = rng.choice(parents)
        match rng.randrange(7):
            case 0 if element.attrib:
                element.set(rng.choice(list(element.attrib)), text(rng))
            case 1 if element.attrib:
                del element.attrib[rng.choice(list(element.attrib))]
            case 2:
                element.text = text(rng)
            case 3 if len(element):
                element.remove(rng.choice(list(element)))
            case 4 if len(element):
                element.extend([rng.choice(list(element))] * rng.choice((1, 4, 200)))
            case 5:
                element.tag = rng.choice(parents).tag
            case _:
                numbers = [one for one in parents if (one.text or "").strip()] or parents
                rng.choice(numbers).text = text(rng)
    written = ElementTree.tostring(root, encoding=rng.choice(("utf-8", "utf-8", "utf-16", "us-ascii")))
    if rng.random() < 0.05:
        bomb = b'<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;"><!ENTITY d SYSTEM "file:///etc/passwd">]>'
        return bomb + written
    return written


def mutate_table(data: bytes, rng: random.Random) -> bytes:
    """Change cells, rows, columns, separators and the encoding of a CSV table."""
    rows = [line.split(",") for line in data.decode().splitlines()][:200]
    for _ in range(rng.choice((1, 1, 2, 5))):
        row = rng.choice(rows)
        place = rng.randrange(len(row) or 1)
        match rng.randrange(8):
            case 0:
                rows.remove(row) if len(rows) > 1 else None
            case 1:
                rows.insert(rng.randrange(len(rows) + 1), list(row))
            case 2:
                for one in rows:
                    del one[place : place + 1]
            case 3:
                for one in rows:
                    one[place:place] = one[place : place + 1]
            case 4:
                rows[0][place : place + 1] = [rng.choice((*rng.choice(rows), text(rng)))]
            case _:
                row[place : place + 1] = [text(rng)]
    separator = rng.choice((",", ",", ",", ";", "\t"))
    written = rng.choice(("\n", "\n", "\r\n", "\r")).join(separator.join(row) for row in rows)
    return written.encode(rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le")), "surrogatepass")


def mutate_toml(data: bytes, rng: random.Random) -> bytes:
    """Change values and lines of a TOML file."""
    lines = data.decode().splitlines()
    for _ in range(rng.choice((1, 1, 2, 5))):
        number = rng.randrange(len(lines))
        name, equals, _ = lines[number].partition("=")
        match rng.randrange(5):
            case 0:
                lines[number] = rng.choice(lines)
            case 1 if equals:
                lines[number] = f"{name}= {json.dumps(rng.choice(TEXTS))}"
            case 2 if equals:
                lines[number] = f"{name}.a.b = 1"
            case 3 if equals:
                lines[number] = f"{name}= {rng.choice(('{}', '[]', '[[1]]', 'nan', '-inf', '1979-05-27', 'true'))}"
            case _:
                lines[number] = _NUMBER.sub(lambda _: text(rng), lines[number], count=1)
    return "\n".join(lines).encode("utf-8", "surrogatepass")
