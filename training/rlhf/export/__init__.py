"""Checkpoints in other people's formats: what can be held (`shapes`), how it is written (`gguf_file`,
`onnx_file`), what the card says (`card`), and whether it still is the same model (`check`).
"""
