// The micro-kernels of `Product`: a block of rows times a panel of each output, summed in registers.
//
// A pass holds `width` native vectors of the outputs for all rows; where the outputs are wider than the
// registers allow, several passes read A again. A step loads the pass's vectors of B once and broadcasts one
// element of A for each row. Few rows have too few sums to fill the latency of the multiply-add: then several
// steps in turn have sums of their own, which are added up at the end.

#pragma once

#include "vector.h"

namespace rondo {
namespace RONDO_ISA {

template <class T>
struct Blocking {
    static constexpr int natives = Simd<T>::natives;
    // Native vectors in a pass, which divides the native vectors of the outputs.
    static constexpr int width(int outputs) {
        if (RONDO_VECTOR_BYTES == 64) return natives == 1 ? outputs : natives;
        return REGISTERS == 32 ? 4 : 2;
    }
    // The most rows whose sums leave registers for the vectors of B and a broadcast.
    static constexpr int rows(int outputs) {
        if (RONDO_VECTOR_BYTES != 64) return 6;
        int w = width(outputs);
        return w == 1 ? MAX_ROWS : w == 2 ? 12 : w == 3 ? 8 : 6;
    }
    // Steps with sums of their own, so that there are 8 sums: a latency of 4 cycles times two units.
    static constexpr int turns(int rows, int width) {
        int sums = rows * width;
        return sums >= 8 ? 1 : sums >= 4 ? 2 : sums >= 2 ? 4 : 8;
    }
};

// The elements of A of one step, in few registers: a pointer for every four rows, and the stride of a row
// times 1, 2 and 3.
template <class T, int ROWS>
struct RowPointers {
    const T* first[(ROWS + 3) / 4];
    std::ptrdiff_t row, row2, row3;
};

template <class T, int ROWS>
RONDO_INLINE T element(const RowPointers<T, ROWS>& a, int r) {
    const T* p = a.first[r / 4];
    return r % 4 == 0 ? p[0] : r % 4 == 1 ? p[a.row] : r % 4 == 2 ? p[a.row2] : p[a.row3];
}

template <class T, int ROWS, int WIDTH>
RONDO_INLINE void step(RowPointers<T, ROWS>& a, std::ptrdiff_t a_step, const T*& b, std::ptrdiff_t b_step,
                       const std::ptrdiff_t (&b_offset)[WIDTH], typename Simd<T>::V (&sum)[ROWS][WIDTH]) {
    typename Simd<T>::V right[WIDTH];
    RONDO_UNROLL
    for (int i = 0; i < WIDTH; ++i) right[i] = load(b + b_offset[i]);
    RONDO_UNROLL
    for (int r = 0; r < ROWS; ++r) {
        typename Simd<T>::V left = splat<T>(element(a, r));
        RONDO_UNROLL
        for (int i = 0; i < WIDTH; ++i) sum[r][i] = fma(left, right[i], sum[r][i]);
    }
    b += b_step;
    RONDO_UNROLL
    for (int i = 0; i < (ROWS + 3) / 4; ++i) a.first[i] += a_step;
}

// Makes the compiler forget where a value comes from, so that it computes anew what it would otherwise keep in
// registers that the loop needs.
template <class X>
RONDO_INLINE X forgotten(X x) {
    __asm__("" : "+r"(x));
    return x;
}

// One pass: the native vectors `first` to first + WIDTH of the outputs.
template <class T, int ROWS, int WIDTH>
RONDO_INLINE void pass(const Product<T>& product, int first) {
    using V = typename Simd<T>::V;
    constexpr int natives = Simd<T>::natives, lanes = Simd<T>::lanes, turns = Blocking<T>::turns(ROWS, WIDTH);
    V sum[turns][ROWS][WIDTH];
    std::ptrdiff_t b_offset[WIDTH];
    const Product<T>* p = &product;
    RONDO_UNROLL
    for (int i = 0; i < WIDTH; ++i) {
        const int g = (first + i) / natives, lane = (first + i) % natives * lanes;
        b_offset[i] = p->b_output[g] + lane;
        T* const c = p->c + p->c_output[g] + lane;
        const bool onto_c = p->start[g] == Start::accumulate;
        const V vector = p->start[g] == Start::vector ? load(p->start_vector[g] + lane) : V{};
        RONDO_UNROLL
        for (int r = 0; r < ROWS; ++r) sum[0][r][i] = onto_c ? load(c + r * p->c_row) : vector;
        RONDO_UNROLL
        for (int u = 1; u < turns; ++u)
            RONDO_UNROLL
            for (int r = 0; r < ROWS; ++r) sum[u][r][i] = V{};
    }
    const T* b = p->b;
    const std::ptrdiff_t a_step = forgotten(p->a_step), b_step = forgotten(p->b_step);
    RowPointers<T, ROWS> a;
    a.row = forgotten(p->a_row);
    a.row2 = 2 * a.row;
    a.row3 = 3 * a.row;
    for (int run = 0; run < p->runs; ++run) {
        const int length = run == p->runs - 1 ? p->last_length : p->length;
        for (int s = 0; s < p->sources; ++s) {
            RONDO_UNROLL
            for (int i = 0; i < (ROWS + 3) / 4; ++i)
                a.first[i] = p->a + run * p->a_run + p->a_source[s] + 4 * i * a.row;
            int left = length;
            if constexpr (turns > 1)
                for (; left >= turns; left -= turns)
                    RONDO_UNROLL
                    for (int u = 0; u < turns; ++u) step<T, ROWS, WIDTH>(a, a_step, b, b_step, b_offset, sum[u]);
            for (; left > 0; --left) step<T, ROWS, WIDTH>(a, a_step, b, b_step, b_offset, sum[0]);
        }
    }
    p = forgotten(p);
    const std::ptrdiff_t c_row = p->c_row;
    RONDO_UNROLL
    for (int i = 0; i < WIDTH; ++i) {
        T* c = p->c + p->c_output[(first + i) / natives] + (first + i) % natives * lanes;
        RONDO_UNROLL
        for (int r = 0; r < ROWS; ++r, c += c_row) {
            RONDO_UNROLL
            for (int half = turns / 2; half > 0; half /= 2)
                RONDO_UNROLL
                for (int u = 0; u < half; ++u) sum[u][r][i] += sum[u + half][r][i];
            store(c, sum[0][r][i]);
        }
    }
}

template <class T, int ROWS, int OUTPUTS>
void product(const Product<T>& p) {
    constexpr int width = Blocking<T>::width(OUTPUTS);
    for (int first = 0; first < OUTPUTS * Simd<T>::natives; first += width) pass<T, ROWS, width>(p, first);
}

}  // namespace RONDO_ISA
}  // namespace rondo
