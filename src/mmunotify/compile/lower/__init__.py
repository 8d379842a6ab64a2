"""Lowering: from the syntax of bodies to instructions on registers and addresses."""

__all__: list[str] = []
