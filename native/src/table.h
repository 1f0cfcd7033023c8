// The table of one instruction set. It is complete at compile time: nothing of these files runs before
// dispatch.cpp has asked the machine.

#pragma once

#include "dots.h"
#include "gemm.h"
#include "pack.h"
#include "tile.h"

namespace rondo {
namespace RONDO_ISA {

template <class T>
double peak(std::ptrdiff_t rounds) {
    using V = typename Simd<T>::V;
    constexpr int sums = REGISTERS == 32 ? 24 : 12;
    V sum[sums];
    RONDO_UNROLL
    for (int i = 0; i < sums; ++i) sum[i] = splat<T>(T(i) + T(rounds));  // not known when compiled
    const V factor = splat<T>(T(0.5)), more = splat<T>(T(1));
    for (std::ptrdiff_t n = 0; n < rounds; ++n)
        RONDO_UNROLL
        for (int i = 0; i < sums; ++i) sum[i] = fma(sum[i], factor, more);
    RONDO_UNROLL
    for (int i = 1; i < sums; ++i) sum[0] += sum[i];
    volatile T seen = sum[0][0];  // the sums have a use, so that they are computed
    static_cast<void>(seen);
    return 2.0 * sums * Simd<T>::lanes * static_cast<double>(rounds);
}

template <class T, int OUTPUTS, int ROWS>
constexpr void fill_products(Kernels<T>& k) {
    if constexpr (OUTPUTS <= MAX_OUTPUTS) {
        if constexpr (ROWS <= Blocking<T>::rows(OUTPUTS)) {
            k.product[ROWS][OUTPUTS] = &product<T, ROWS, OUTPUTS>;
            fill_products<T, OUTPUTS, ROWS + 1>(k);
        } else {
            k.best_rows[OUTPUTS] = Blocking<T>::rows(OUTPUTS);
            fill_products<T, OUTPUTS + 1, 1>(k);
        }
    }
}

template <class T>
constexpr Kernels<T> make_kernels(const char* name) {
    Kernels<T> k{};
    k.name = name;
    fill_products<T, 1, 1>(k);
    k.dots[1] = &dots<T, 1>;
    k.dots[2] = &dots<T, 2>;
    k.dots[3] = &dots<T, 3>;
    k.dots[4] = &dots<T, 4>;
    k.tile = &run_tile<T>;
    k.pack_rows = &pack_rows<T>;
    k.pack_columns = &pack_columns<T>;
    k.put = &put<T>;
    k.unpack_rows = &unpack_rows<T>;
    k.apply = &apply<T>;
    k.peak = &peak<T>;
    return k;
}

}  // namespace RONDO_ISA
}  // namespace rondo
