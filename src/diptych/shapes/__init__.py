"""How values become JSON and back, exactly: `json_codec` for what we store, `edge_decoder` for
what strangers send."""

from diptych.shapes.edge import EdgeDecoder, edge_decoder
from diptych.shapes.stored import JsonCodec, json_codec

__all__ = ["EdgeDecoder", "JsonCodec", "edge_decoder", "json_codec"]
