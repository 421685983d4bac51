"""Tapes as models of other formats: ONNX, by `Tape.to_onnx`.

`table` says which primitives there are in ONNX and how each is written; `model` writes a tape.
"""

__all__: list[str] = []
