"""Check of pickles before they are loaded, against files made to exhaust the machine.

A pickle of a few hundred bytes can describe a tuple ``t``, then ``(t, t)``, and so on. Forty levels
have 2^40 leaves, and a dict with the tuple as a key visits all leaves. Other pickles nest tuples so
deeply that the interpreter crashes, or claim memory that they do not fill. The check reads the
opcodes (see :mod:`pickletools`) without running them. It follows tuples only, because other
containers cannot be keys.
"""

from __future__ import annotations

import mmap
import re

MAX_DEPTH = 100
"""Largest depth of nested tuples."""

MAX_SHARED_VALUES = 100
"""Largest number of values, at all depths, of a tuple that a pickle refers to again."""

_Tuple = tuple[int, int]  # number of values at all depths, and depth
_VALUE: _Tuple = (1, 0)  # any object that is not a tuple

# opcode -> bytes of its argument
_ARGUMENT = {
    **dict.fromkeys(b"K\x82hq\x80", 1),
    **dict.fromkeys(b"M\x83", 2),
    **dict.fromkeys(b"J\x84jr", 4),
    **dict.fromkeys(b"G\x95", 8),
}
# opcode -> bytes of the length that precedes its content
_LENGTH = {
    **dict.fromkeys(b"\x8aUC\x8c", 1),
    **dict.fromkeys(b"\x8bTBX", 4),
    **dict.fromkeys(b"\x8d\x8e\x96", 8),
}
_LINES = {**dict.fromkeys(b"ILFSVPgp", 1), **dict.fromkeys(b"ci", 2)}  # opcode -> lines of text
_PUSH = frozenset(b"N\x88\x89IJKMLFSTUVXBCG]}cP\x8a\x8b\x8c\x8d\x8e\x8f\x82\x83\x84\x96\x97")
_POP_TO_MARK = frozenset(b"eu\x90" + b"1")
_POP_TO_MARK_AND_PUSH = frozenset(b"ldio")
_POP = {**dict.fromkeys(b"ab", 1), **dict.fromkeys(b"s", 2)}
_POP_AND_PUSH = {
    **dict.fromkeys(b"Q", 1), **dict.fromkeys(b"R\x81\x93", 2), **dict.fromkeys(b"\x92", 3),
}  # fmt: skip
_TUPLE_OF = {0x85: 1, 0x86: 2, 0x87: 3}
_NOTHING = frozenset(b"\x80\x95\x98")

# most of a large file: numbers in a row
_NUMBER = rb"(?:[N\x88\x89]|K.|M..|J.{4}|G.{8})"
_NUMBERS = re.compile(_NUMBER + rb"{4,}", re.DOTALL)
_ONE_NUMBER = re.compile(_NUMBER, re.DOTALL)


class UnsafePickleError(ValueError):
    """Error if a pickle could exhaust the machine, or is not a pickle."""


def check_pickle(content: bytes | mmap.mmap, start: int = 0) -> int:
    """Check the pickle that begins at a position.

    Args:
        content: Content of a file.
        start: Position of the first opcode.

    Returns:
        Position after the pickle.

    Raises:
        UnsafePickleError: If tuples are nested too deeply or referred to too often, or a length or
            number in the pickle is larger than the pickle.
    """
    try:
        return _Check(content, start).run()
    except (IndexError, ValueError) as error:
        if isinstance(error, UnsafePickleError):
            raise
        raise UnsafePickleError(f"its opcodes are not those of a pickle ({error})") from error


class _Check:
    def __init__(self, content: bytes | mmap.mmap, start: int) -> None:
        self.content, self.position = content, start
        self.stack: list[_Tuple] = []
        self.marks: list[int] = []
        self.shared: dict[int, _Tuple] = {}  # the tuples of the memo
        # indices in the memo: all below `dense`, and a few others
        self.dense, self.others = 0, set[int]()

    def run(self) -> int:
        content, end = self.content, len(self.content)
        while self.position < end:
            run = _NUMBERS.match(content, self.position)
            if run:
                self.stack += [_VALUE] * len(_ONE_NUMBER.findall(run[0]))
                self.position = run.end()
                continue
            opcode = content[self.position]
            self.position += 1
            if opcode == 0x2E:  # STOP
                return self.position
            self._step(opcode, self._read_argument(opcode))
        raise UnsafePickleError("it has no end")

    def _read_argument(self, opcode: int) -> int:
        """Skip the argument of an opcode; return it if it is a number."""
        if opcode in _ARGUMENT:
            return self._read_number(_ARGUMENT[opcode])
        if opcode in _LENGTH:
            self._skip(self._read_number(_LENGTH[opcode]))
        elif opcode in _LINES:
            before = self.position
            for _ in range(_LINES[opcode]):
                self.position = self.content.find(b"\n", self.position) + 1
                if self.position == 0:
                    raise UnsafePickleError("it is cut short")
            if opcode in b"gp":
                return int(self.content[before : min(self.position, before + 20)])
        return 0

    def _read_number(self, size: int) -> int:
        before = self.position
        self._skip(size)
        return int.from_bytes(self.content[before : self.position], "little")

    def _skip(self, size: int) -> None:
        self.position += size
        if self.position > len(self.content):
            raise UnsafePickleError("it is cut short")

    def _step(self, opcode: int, argument: int) -> None:
        stack = self.stack
        if opcode in _PUSH:
            stack.append(_VALUE)
        elif opcode in b"hjg":  # GET
            stack.append(self._again(self.shared.get(argument, _VALUE)))
        elif opcode in b"qrp":  # PUT
            self._remember(argument)
        elif opcode == 0x94:  # MEMOIZE
            self._remember(self.dense + len(self.others))
        elif opcode in _TUPLE_OF:
            self._pack(_TUPLE_OF[opcode])
        elif opcode in b"t\x91":  # TUPLE, FROZENSET
            self._pack(len(stack) - self.marks.pop())
        elif opcode == 0x29:  # EMPTY_TUPLE
            stack.append((1, 1))
        elif opcode == 0x28:  # MARK
            self.marks.append(len(stack))
        elif opcode in _POP:
            self._drop(_POP[opcode])
        elif opcode in _POP_AND_PUSH:
            self._drop(_POP_AND_PUSH[opcode])
            stack.append(_VALUE)
        elif opcode in _POP_TO_MARK:
            del stack[self.marks.pop() :]
        elif opcode in _POP_TO_MARK_AND_PUSH:
            del stack[self.marks.pop() :]
            stack.append(_VALUE)
        elif opcode == 0x32:  # DUP
            self._check_stack(1)
            stack.append(self._again(stack[-1]))
        elif opcode == 0x30:  # POP
            if self.marks and self.marks[-1] == len(stack):
                self.marks.pop()
            else:
                stack.pop()
        elif opcode not in _NOTHING:
            raise UnsafePickleError(f"it has the unknown opcode {opcode:#04x}")

    def _check_stack(self, count: int) -> None:
        """Raise an error if fewer values than ``count`` are above the last mark."""
        if count > len(self.stack) - (self.marks[-1] if self.marks else 0):
            raise UnsafePickleError("its stack is empty")

    def _drop(self, count: int) -> None:
        self._check_stack(count)
        del self.stack[len(self.stack) - count :]

    def _pack(self, count: int) -> None:
        """Replace the last values of the stack by a tuple of them."""
        self._check_stack(count)
        parts = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        depth = 1 + max((depth for _, depth in parts), default=0)
        if depth > MAX_DEPTH:
            raise UnsafePickleError(f"it nests tuples more than {MAX_DEPTH} deep")
        self.stack.append((sum(values for values, _ in parts), depth))

    def _again(self, value: _Tuple) -> _Tuple:
        if value[0] > MAX_SHARED_VALUES:
            raise UnsafePickleError(
                f"it refers again to a tuple of more than {MAX_SHARED_VALUES} values, and could "
                "take hours to read"
            )
        return value

    def _remember(self, index: int) -> None:
        if not 0 <= index <= self.position:  # the unpickler makes room for all smaller indices
            raise UnsafePickleError(f"it numbers an object {index:,}")
        self._check_stack(1)
        value = self.stack[-1]
        if value[1] > 0:
            self.shared[index] = value
        else:
            self.shared.pop(index, None)
        if index == self.dense:
            self.dense += 1
            while self.dense in self.others:
                self.others.remove(self.dense)
                self.dense += 1
        elif index > self.dense:
            self.others.add(index)
