"""Reads what a LiteRT file's metadata name, by the package that ai-edge-litert brings along for such files."""

import mmap
import struct

MODEL_BUFFERS, MODEL_METADATA = 12, 16  # where the schema's tables have their fields
METADATA_NAME, METADATA_BUFFER, BUFFER_DATA = 4, 6, 4


def read(path, name):
    """The bytes of the buffer that the metadata of a file name so, or None."""
    from flatbuffers.number_types import Uint32Flags, UOffsetTFlags
    from flatbuffers.table import Table

    def tables(table, field):
        """The tables of a vector of them."""
        offset = table.Offset(field)
        for k in range(table.VectorLen(offset) if offset else 0):
            yield Table(table.Bytes, table.Indirect(table.Vector(offset) + 4 * k))

    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            model = Table(data, Table(data, 0).Get(UOffsetTFlags, 0))
            for entry in tables(model, MODEL_METADATA):
                offset = entry.Offset(METADATA_NAME)
                if not offset or entry.String(entry.Pos + offset) != name.encode():
                    continue
                number = entry.Get(Uint32Flags, entry.Pos + entry.Offset(METADATA_BUFFER))
                buffer = list(tables(model, MODEL_BUFFERS))[number]
                start = buffer.Vector(buffer.Offset(BUFFER_DATA))
                return data[start : start + buffer.VectorLen(buffer.Offset(BUFFER_DATA))]
        except (struct.error, IndexError, OverflowError) as error:
            raise ValueError(f"it is cut short ({error})") from error
    return None
