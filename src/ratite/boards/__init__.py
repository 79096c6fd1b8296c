"""Boards: which devices a machine has, and where."""

from ratite.boards.registry import BOARDS, Board, MachineOptions, board, boards_of, find_board

__all__ = ["BOARDS", "Board", "MachineOptions", "board", "boards_of", "find_board"]
