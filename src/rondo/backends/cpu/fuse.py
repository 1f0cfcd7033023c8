"""Making a program shorter: chains of instructions become one."""

from __future__ import annotations

from rondo.backends.cpu.plan import Code, Place
from rondo.backends.cpu.program import Program, Value

_WITH_FUNCTION = {Code.SIGMOID: Code.MUL_SIGMOID, Code.TANH: Code.MUL_TANH}

_ODD = (Code.MUL, Code.DIV, *_WITH_FUNCTION.values(), Code.SIGMOID_GRADIENT, Code.TANH_GRADIENT)
"""Instructions whose result changes its sign with their first argument."""

Found = tuple[Code, tuple[int, ...]]


def fuse(program: Program) -> None:
    """Join instructions whose inner result has no other use. See `Code` for what there is to join into."""
    _Fusing(program).run()


class _Fusing:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.values = program.values
        self.readers = program.readers()
        self.uses = [len(readers) for readers in self.readers]

    def run(self) -> None:
        for index in sorted(self.program.live()):
            value = self.values[index]
            if value.kind == "reduce":
                self._sign_after_reduction(index)
            while value.kind == "code" and self.uses[index] and (found := self._joined(value)) is not None:
                old, (value.code, value.args) = value.args, found
                for arg in value.args:
                    self.uses[self.program.base(arg)] += 1
                self._release(old)

    def _release(self, args: tuple[int, ...]) -> None:
        todo = list(args)
        while todo:
            index = self.program.base(todo.pop())
            self.uses[index] -= 1
            if self.uses[index] == 0:
                value = self.values[index]
                todo.extend((*value.args, *(term.source for term in value.terms)))

    def _is_inner(self, index: int, value: Value, *codes: Code) -> bool:
        """Whether an argument is nothing but a step on the way to ``value``."""
        arg = self.values[index]
        together = (arg.width, arg.level) == (value.width, value.level)
        return arg.kind == "code" and arg.code in codes and self.uses[index] == 1 and together

    def _is_summand(self, index: int, value: Value) -> bool:
        """Whether an argument is a product that all who use it only add or subtract."""
        product = self.values[index]
        if not (product.code == Code.MUL and (product.width, product.level) == (value.width, value.level)):
            return False
        users = [self.values[reader] for reader in self.readers[index] if reader != -1]
        adding = all(user.code in (Code.ADD, Code.SUB, Code.FMA, Code.FMS, Code.FNMA) for user in users)
        together = all((user.width, user.level) == (value.width, value.level) for user in users)
        return self.uses[index] == 1 or (adding and together and -1 not in self.readers[index])

    def _joined(self, value: Value) -> Found | None:
        if value.code == Code.NEG:
            return self._negated(value)
        if value.code == Code.MUL:
            return self._multiplied(value)
        if value.code == Code.ADD:
            return self._added(value)
        if value.code == Code.SIGMOID:
            return self._shared(value)
        if value.code == Code.SUB:
            a, b = value.args
            if self._is_summand(b, value):
                return Code.FNMA, (*self.values[b].args, a)
            if self._is_summand(a, value):
                return Code.FMS, (*self.values[a].args, b)
        return None

    def _negated(self, value: Value) -> Found | None:
        """``-(-a * b)`` is ``a * b``."""
        (arg,) = value.args
        if self._is_inner(arg, value, *_ODD):
            inner = self.values[arg]
            first = self.values[inner.args[0]]
            if first.code == Code.NEG and inner.code is not None:
                return inner.code, (*first.args, *inner.args[1:])
        return None

    def _multiplied(self, value: Value) -> Found | None:
        a, b = value.args
        for factor, other in ((a, b), (b, a)):
            gradient = self._gradient(factor)
            if gradient is not None:
                return gradient[0], (other, gradient[1])
        for factor, other in ((a, b), (b, a)):
            if self._is_complement(factor, value) and other != self.values[factor].args[1]:
                return Code.MUL_COMPLEMENT, (other, self.values[factor].args[1])
        for factor, other in ((b, a), (a, b)):
            for function, joined in _WITH_FUNCTION.items():
                if self._is_inner(factor, value, function):
                    return joined, (other, *self.values[factor].args)
        return None

    def _added(self, value: Value) -> Found | None:
        a, b = value.args
        for product, other in ((b, a), (a, b)):
            if self._is_summand(product, value):
                return Code.FMA, (*self.values[product].args, other)
        for negative, other in ((b, a), (a, b)):
            base = self.values[self.program.base(negative)]
            if base.code == Code.NEG and (base.level == value.level or base.width == "one"):
                return Code.SUB, (other, *base.args)
        return None

    def _shared(self, value: Value) -> Found | None:
        """``sigmoid(softplus(-b) - softplus(-a))``: the share of one gate in the sum of two."""
        (arg,) = value.args
        if not self._is_inner(arg, value, Code.SUB):
            return None
        sides = self.values[arg].args
        if not all(self._is_inner(side, value, Code.SOFTPLUS) for side in sides):
            return None
        negatives = [self.values[self.program.base(self.values[side].args[0])] for side in sides]
        if any(one.code != Code.NEG or (one.width, one.level) != (value.width, value.level) for one in negatives):
            return None
        (b,), (a,) = (one.args for one in negatives)
        return Code.SHARE, (a, b)

    def _gradient(self, index: int) -> tuple[Code, int] | None:
        """``y * (1 - y)`` and ``1 - y * y`` with no other use: the instruction that multiplies by it, and y."""
        value = self.values[index]
        if value.kind != "code" or self.uses[index] != 1:
            return None
        if value.code == Code.MUL:
            for y, other in (value.args, value.args[::-1]):
                rest = self.values[other]
                if rest.code == Code.SUB and self._is_one(rest.args[0]) and rest.args[1] == y:
                    return Code.SIGMOID_GRADIENT, y
        # 1 - y * y has become c - a * b by now.
        if value.code == Code.FNMA and value.args[0] == value.args[1] and self._is_one(value.args[2]):
            return Code.TANH_GRADIENT, value.args[0]
        return None

    def _is_complement(self, index: int, value: Value) -> bool:
        """Whether an argument is ``1 - z`` and all who use it multiply by it."""
        rest = self.values[index]
        if rest.code != Code.SUB or not self._is_one(rest.args[0]) or rest.level != value.level:
            return False
        multiplying = all(reader != -1 and self.values[reader].kind == "code" for reader in self.readers[index])
        codes = {self.values[reader].code for reader in self.readers[index] if multiplying}
        return multiplying and codes <= {
            Code.MUL,
            Code.MUL_COMPLEMENT,
            Code.FNMA,
            Code.SIGMOID_GRADIENT,
            Code.FMA,
            Code.FMS,
        }

    def _is_one(self, index: int) -> bool:
        operand = self.values[index].operand
        if operand is None or operand.place != Place.CONSTANT:
            return False
        constant = self.program.constants[operand.index]
        return constant.value == 1.0 and constant.over_units_of is None

    def _sign_after_reduction(self, index: int) -> None:
        """The sum of ``-a`` over the units is that of ``a`` with the other sign: one number a row, not one a unit."""
        reduce = self.values[index]
        (arg,) = reduce.args
        negative = self.values[arg]
        if negative.code == Code.NEG and self.uses[arg] == 1:
            self.values[arg] = Value("reduce", "one", reduce.level, negative.args, mean=reduce.mean)
            self.values[index] = Value("code", "one", reduce.level, (arg,), Code.NEG)
