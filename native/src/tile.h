// The interpreter of tile programs: one function for each Code, that runs over a tile of 16-lane vectors.
//
// Operands are read and written where they lie. dst may be the very operand that is a source: a vector is
// written after all vectors of its element have been read. Operands never overlap otherwise.

#pragma once

#include "functions.h"

namespace rondo {
namespace RONDO_ISA {

// An operand of one tile: vector (r, j) is at base[r * row + j * panel].
template <class T>
struct View {
    T* base;
    std::ptrdiff_t row, panel;
};

template <class T>
RONDO_INLINE View<T> view(const Bound<T>& o, const Tile<T>& t) {
    return {o.base + t.row * o.tile_row + t.panel * o.tile_panel, o.row, o.panel};
}

// What a Code does to one native vector; `arity` sources of a, b, c, d are given.
template <Code>
struct Op;

// Ops whose cost is that of their loads: a source that stays the same along a row of vectors is loaded once.
template <Code code>
constexpr bool cheap = code == Code::add || code == Code::sub || code == Code::mul || code == Code::maximum ||
                       code == Code::minimum || code == Code::fma || code == Code::fms || code == Code::fnma ||
                       code == Code::mul_complement;

#define RONDO_OP(NAME, ARITY, EXPRESSION)                                                             \
    template <>                                                                                       \
    struct Op<Code::NAME> {                                                                           \
        static constexpr int arity = ARITY;                                                           \
        template <class T, class V>                                                                   \
        RONDO_INLINE V apply([[maybe_unused]] V a, [[maybe_unused]] V b, [[maybe_unused]] V c,        \
                             [[maybe_unused]] V d) {                                                  \
            return EXPRESSION;                                                                        \
        }                                                                                             \
    };

RONDO_OP(copy, 1, a)
RONDO_OP(add, 2, a + b)
RONDO_OP(sub, 2, a - b)
RONDO_OP(mul, 2, a * b)
RONDO_OP(div, 2, a / b)
RONDO_OP(neg, 1, -a)
RONDO_OP(maximum, 2, ((a > b) | (a != a)) ? a : b)  // NaN where either is, as torch
RONDO_OP(minimum, 2, ((a < b) | (a != a)) ? a : b)
RONDO_OP(sigmoid, 1, sigmoid<T>(a))
RONDO_OP(tanh, 1, tanh<T>(a))
RONDO_OP(relu, 1, at_least(splat<T>(0), a))
RONDO_OP(exp, 1, exp<T>(a))
RONDO_OP(log, 1, log<T>(a))
RONDO_OP(softplus, 1, softplus<T>(a))
RONDO_OP(silu, 1, silu<T>(a))
RONDO_OP(sqrt, 1, square_root(a))
RONDO_OP(fma, 3, fma(a, b, c))
RONDO_OP(fms, 3, fma(a, b, -c))
RONDO_OP(fnma, 3, fma(-a, b, c))
RONDO_OP(mul_sigmoid, 2, a * sigmoid<T>(b))
RONDO_OP(mul_tanh, 2, a * tanh<T>(b))
RONDO_OP(sigmoid_gradient, 2, a * b * (splat<T>(1) - b))
RONDO_OP(tanh_gradient, 2, a * fma(-b, b, splat<T>(1)))
RONDO_OP(share, 2, share_of<T>(a, b))
RONDO_OP(mul_complement, 2, a * (splat<T>(1) - b))
RONDO_OP(select_lt, 4, a < b ? c : d)
RONDO_OP(select_le, 4, a <= b ? c : d)

#undef RONDO_OP

// Pointers of an op along one line of vectors, and how far the next vector is.
template <class T>
struct Line {
    T* at[5];  // dst, a, b, c, d
    std::ptrdiff_t next[5];
};

// `fixed`: the source that stays the same along the line, from 1; 0 for none known.
template <class T, Code code, int fixed>
RONDO_INLINE void run_line(Line<T> l, int count) {
    using V = typename Simd<T>::V;
    constexpr int arity = Op<code>::arity, natives = Simd<T>::natives, lanes = Simd<T>::lanes;
    V held[natives];
    if constexpr (fixed > 0) {
        RONDO_UNROLL
        for (int i = 0; i < natives; ++i) held[i] = load(l.at[fixed] + i * lanes);
    }
    for (int n = 0; n < count; ++n) {
        RONDO_UNROLL
        for (int i = 0; i < natives; ++i) {
            V source[5] = {};
            RONDO_UNROLL
            for (int k = 1; k <= arity; ++k) source[k] = k == fixed ? held[i] : load(l.at[k] + i * lanes);
            store(l.at[0] + i * lanes, Op<code>::template apply<T, V>(source[1], source[2], source[3], source[4]));
        }
        RONDO_UNROLL
        for (int k = 0; k <= arity; ++k)
            if (k == 0 || k != fixed) l.at[k] += l.next[k];
    }
}

template <class T, Code code>
void elementwise(const Instruction& i, const Tile<T>& t) {
    constexpr int arity = Op<code>::arity;
    const std::int32_t number[5] = {i.dst, i.a, i.b, i.c, i.d};
    // Lines go along the rows, or along the panels where there is a single row.
    const bool along_rows = t.rows > 1;
    const int count = along_rows ? t.rows : t.panels, lines = along_rows ? t.panels : 1;
    Line<T> l;
    std::ptrdiff_t next_line[5];
    RONDO_UNROLL
    for (int k = 0; k <= arity; ++k) {
        View<T> v = view(t.operands[number[k]], t);
        l.at[k] = v.base;
        l.next[k] = along_rows ? v.row : v.panel;
        next_line[k] = v.panel;
    }
    for (int line = 0; line < lines; ++line) {
        if constexpr (cheap<code>) {
            if (l.next[1] == 0)
                run_line<T, code, 1>(l, count);
            else if (l.next[2] == 0)
                run_line<T, code, 2>(l, count);
            else if (arity == 3 && l.next[3] == 0)
                run_line<T, code, arity == 3 ? 3 : 0>(l, count);
            else
                run_line<T, code, 0>(l, count);
        } else {
            run_line<T, code, 0>(l, count);
        }
        RONDO_UNROLL
        for (int k = 0; k <= arity; ++k) l.at[k] += next_line[k];
    }
}

// Lanes that are units, for a panel with so many of them: the others are zero bits.
template <class T>
RONDO_INLINE void unit_mask(int units, typename Simd<T>::I (&mask)[Simd<T>::natives]) {
    RONDO_UNROLL
    for (int i = 0; i < Simd<T>::natives; ++i)
        RONDO_UNROLL
        for (int lane = 0; lane < Simd<T>::lanes; ++lane) mask[i][lane] = i * Simd<T>::lanes + lane < units ? -1 : 0;
}

// dst, of width one, takes the sums over the panels lane by lane; the executor adds up its lanes.
template <class T>
void reduce(const Instruction& i, const Tile<T>& t) {
    using V = typename Simd<T>::V;
    using I = typename Simd<T>::I;
    constexpr int natives = Simd<T>::natives, lanes = Simd<T>::lanes;
    const View<T> to = view(t.operands[i.dst], t), from = view(t.operands[i.a], t);
    const int last = t.last_panel - t.panel;  // may lie beyond this tile
    const int whole = last < t.panels ? last : t.panels;
    I mask[natives];
    unit_mask<T>(t.last_lanes, mask);
    for (int r = 0; r < t.rows; ++r) {
        T* d = to.base + r * to.row;
        const T* a = from.base + r * from.row;
        V sum[natives];
        RONDO_UNROLL
        for (int n = 0; n < natives; ++n) sum[n] = load(d + n * lanes);
        for (int j = 0; j < whole; ++j, a += from.panel)
            RONDO_UNROLL
            for (int n = 0; n < natives; ++n) sum[n] += load(a + n * lanes);
        if (last < t.panels)
            RONDO_UNROLL
            for (int n = 0; n < natives; ++n) sum[n] += (V)((I)load(a + n * lanes) & mask[n]);
        RONDO_UNROLL
        for (int n = 0; n < natives; ++n) store(d + n * lanes, sum[n]);
    }
}

// The gradient takes the sums over the rows of the tile.
template <class T>
void sum_rows(const Instruction& i, const Tile<T>& t) {
    using V = typename Simd<T>::V;
    constexpr int natives = Simd<T>::natives, lanes = Simd<T>::lanes;
    const View<T> to = view(t.gradients[i.dst], t), from = view(t.operands[i.a], t);
    for (int j = 0; j < t.panels; ++j) {
        T* d = to.base + j * to.panel;
        const T* a = from.base + j * from.panel;
        V even[natives], odd[natives];  // two sums, as one would wait for its additions
        RONDO_UNROLL
        for (int n = 0; n < natives; ++n) even[n] = load(d + n * lanes), odd[n] = V{};
        int r = 0;
        for (; r + 2 <= t.rows; r += 2, a += 2 * from.row)
            RONDO_UNROLL
            for (int n = 0; n < natives; ++n) {
                even[n] += load(a + n * lanes);
                odd[n] += load(a + from.row + n * lanes);
            }
        if (r < t.rows)
            RONDO_UNROLL
            for (int n = 0; n < natives; ++n) even[n] += load(a + n * lanes);
        RONDO_UNROLL
        for (int n = 0; n < natives; ++n) store(d + n * lanes, even[n] + odd[n]);
    }
}

template <class T>
struct Interpreter {
    static constexpr int codes = static_cast<int>(Code::count);
    void (*of[codes])(const Instruction&, const Tile<T>&);

    template <int n>
    static constexpr void fill(Interpreter& table) {
        constexpr Code code = static_cast<Code>(n);
        if constexpr (code == Code::reduce)
            table.of[n] = &reduce<T>;
        else if constexpr (code == Code::sum_rows)
            table.of[n] = &sum_rows<T>;
        else
            table.of[n] = &elementwise<T, code>;
        if constexpr (n + 1 < codes) fill<n + 1>(table);
    }
    static constexpr Interpreter make() {
        Interpreter table{};
        fill<0>(table);
        return table;
    }
};

template <class T>
constexpr Interpreter<T> interpreter = Interpreter<T>::make();

template <class T>
void run_tile(const Tile<T>& t) {
    for (int i = 0; i < t.instructions; ++i)
        interpreter<T>.of[static_cast<int>(t.code[i].code)](t.code[i], t);
}

// An elementwise function of one source over n numbers in a row; codes with more sources do nothing.
template <class T, int n = 0>
void apply(Code code, const T* a, T* dst, std::ptrdiff_t count) {
    if constexpr (n < static_cast<int>(Code::reduce)) {
        constexpr Code this_code = static_cast<Code>(n);
        if (code != this_code) return apply<T, n + 1>(code, a, dst, count);
        if constexpr (Op<this_code>::arity == 1) {
            constexpr int lanes = Simd<T>::lanes;
            using V = typename Simd<T>::V;
            for (; count > 0; count -= lanes, a += lanes, dst += lanes) {
                const std::size_t bytes = (count < lanes ? count : lanes) * sizeof(T);
                V x = {};
                __builtin_memcpy(&x, a, bytes);
                x = Op<this_code>::template apply<T, V>(x, x, x, x);
                __builtin_memcpy(dst, &x, bytes);
            }
        }
    }
}

}  // namespace RONDO_ISA
}  // namespace rondo
