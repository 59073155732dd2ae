"""Reads what a LiteRT file's metadata name, by the package that ai-edge-litert brings along for such files."""

import mmap
import struct

MODEL_BUFFERS, MODEL_METADATA = 12, 16  # where the schema's tables have their fields
METADATA_NAME, METADATA_BUFFER, BUFFER_DATA = 4, 6, 4


def read(path, name):
    """The bytes of the buffer that the metadata of a file name so, or None."""
    from flatbuffers.number_types import Uint32Flags, UOffsetTFlags
    from flatbuffers.table import Table

    def length(table, field):
        offset = table.Offset(field)
        return table.VectorLen(offset) if offset else 0

    def table_in(table, field, number):
        return Table(table.Bytes, table.Indirect(table.Vector(table.Offset(field)) + 4 * number))

    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            model = Table(data, Table(data, 0).Get(UOffsetTFlags, 0))
            for k in range(length(model, MODEL_METADATA)):
                entry = table_in(model, MODEL_METADATA, k)
                offset = entry.Offset(METADATA_NAME)
                if not offset or entry.String(entry.Pos + offset) != name.encode():
                    continue
                number = entry.Get(Uint32Flags, entry.Pos + entry.Offset(METADATA_BUFFER))
                buffer = table_in(model, MODEL_BUFFERS, number)
                start = buffer.Vector(buffer.Offset(BUFFER_DATA))
                return data[start : start + length(buffer, BUFFER_DATA)]
        except (struct.error, OverflowError, TypeError) as error:
            raise ValueError(f"it is cut short ({error})") from error
    return None
