// Products on a matrix as it is stored, its rows being the units: sums of products along two rows each. For a few
// rows of a batch this takes less time than it takes to pack the matrix.

#pragma once

#include "vector.h"

namespace rondo {
namespace RONDO_ISA {

// The sums over the lanes of COUNT vectors, side by side in turn: log2(COUNT) rounds of adding up the halves that
// interleaving brings together. Lane l holds a part of vector l % COUNT.
template <class T, int COUNT>
RONDO_INLINE typename Simd<T>::V folded(typename Simd<T>::V* v) {
    RONDO_UNROLL
    for (int half = COUNT / 2; half > 0; half /= 2)
        RONDO_UNROLL
        for (int i = 0; i < half; ++i) v[i] = interleave_low(v[i], v[i + half]) + interleave_high(v[i], v[i + half]);
    return v[0];
}

template <class T, int ROWS>
void dots(const Dots<T>& d) {
    using V = typename Simd<T>::V;
    constexpr int lanes = Simd<T>::lanes;
    // Units at a time: 8 sums hide the latency of the multiply-add, as many as fit save loads.
    constexpr int wanted = ROWS == 1 ? 8 : REGISTERS == 32 ? 16 / (ROWS > 2 ? 4 : 2) : ROWS == 2 ? 4 : 2;
    constexpr int units = wanted < lanes ? wanted : lanes;
    constexpr int blocks = lanes / units;
    for (int first = 0; first < PANEL; first += lanes) {
        V part[ROWS][blocks];
        for (int block = 0; block < blocks; ++block) {
            // Every `blocks`-th unit, so that folding leaves the units in their order.
            const T* const b = d.b + (first + block) * d.b_row;
            V sum[ROWS][units];
            RONDO_UNROLL
            for (int r = 0; r < ROWS; ++r)
                RONDO_UNROLL
                for (int i = 0; i < units; ++i) sum[r][i] = V{};
            int k = 0;
            for (; k + lanes <= d.length; k += lanes) {
                V left[ROWS];
                RONDO_UNROLL
                for (int r = 0; r < ROWS; ++r) left[r] = load(d.a + r * d.a_row + k);
                RONDO_UNROLL
                for (int i = 0; i < units; ++i) {
                    const V right = load(b + i * blocks * d.b_row + k);
                    RONDO_UNROLL
                    for (int r = 0; r < ROWS; ++r) sum[r][i] = fma(left[r], right, sum[r][i]);
                }
            }
            if (const int left_over = d.length - k; left_over > 0) {
                V left[ROWS];
                RONDO_UNROLL
                for (int r = 0; r < ROWS; ++r) left[r] = load_first(d.a + r * d.a_row + k, left_over);
                RONDO_UNROLL
                for (int i = 0; i < units; ++i) {
                    const V right = load_first(b + i * blocks * d.b_row + k, left_over);
                    RONDO_UNROLL
                    for (int r = 0; r < ROWS; ++r) sum[r][i] = fma(left[r], right, sum[r][i]);
                }
            }
            RONDO_UNROLL
            for (int r = 0; r < ROWS; ++r) part[r][block] = folded<T, units>(sum[r]);
        }
        RONDO_UNROLL
        for (int r = 0; r < ROWS; ++r) {
            T* const c = d.c + r * d.c_row + first;
            V total = folded<T, blocks>(part[r]);
            if (d.start == Start::accumulate) total += load(c);
            if (d.start == Start::vector) total += load(d.start_vector + first);
            store(c, total);
        }
    }
}

}  // namespace RONDO_ISA
}  // namespace rondo
