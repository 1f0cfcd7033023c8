// Packing of matrices into panels of 16 lanes: PANEL rows of a matrix side by side (a transposition), or PANEL
// columns of it. And copying.

#pragma once

#include "vector.h"

namespace rondo {
namespace RONDO_ISA {

// Vectors of a square block become its columns: log2(lanes) rounds of interleaving the two halves.
template <class T>
RONDO_INLINE void transpose(typename Simd<T>::V (&v)[Simd<T>::lanes]) {
    constexpr int lanes = Simd<T>::lanes;
    RONDO_UNROLL
    for (int round = 1; round < lanes; round *= 2) {
        typename Simd<T>::V mixed[lanes];
        RONDO_UNROLL
        for (int i = 0; i < lanes / 2; ++i) {
            mixed[2 * i] = interleave_low(v[i], v[i + lanes / 2]);
            mixed[2 * i + 1] = interleave_high(v[i], v[i + lanes / 2]);
        }
        RONDO_UNROLL
        for (int i = 0; i < lanes; ++i) v[i] = mixed[i];
    }
}

template <class T>
void pack_rows(const T* src, std::ptrdiff_t row, int rows, int columns, T* dst, std::ptrdiff_t step) {
    using V = typename Simd<T>::V;
    constexpr int lanes = Simd<T>::lanes;
    int k = 0;
    for (; k + lanes <= columns; k += lanes)
        for (int first = 0; first < PANEL; first += lanes) {
            V v[lanes];
            RONDO_UNROLL
            for (int i = 0; i < lanes; ++i) v[i] = first + i < rows ? load(src + (first + i) * row + k) : V{};
            transpose<T>(v);
            RONDO_UNROLL
            for (int i = 0; i < lanes; ++i) store(dst + (k + i) * step + first, v[i]);
        }
    for (; k < columns; ++k)
        for (int lane = 0; lane < PANEL; ++lane) dst[k * step + lane] = lane < rows ? src[lane * row + k] : T(0);
}

template <class T>
void unpack_rows(const T* src, std::ptrdiff_t step, int rows, int columns, T* dst, std::ptrdiff_t row) {
    using V = typename Simd<T>::V;
    constexpr int lanes = Simd<T>::lanes;
    int k = 0;
    for (; k + lanes <= columns; k += lanes)
        for (int first = 0; first < rows; first += lanes) {
            V v[lanes];
            RONDO_UNROLL
            for (int i = 0; i < lanes; ++i) v[i] = load(src + (k + i) * step + first);
            transpose<T>(v);
            RONDO_UNROLL
            for (int i = 0; i < lanes; ++i)
                if (first + i < rows) store(dst + (first + i) * row + k, v[i]);
        }
    for (; k < columns; ++k)
        for (int lane = 0; lane < rows; ++lane) dst[lane * row + k] = src[k * step + lane];
}

template <class T>
void pack_columns(const T* src, std::ptrdiff_t row, int rows, int columns, T* dst, std::ptrdiff_t step) {
    constexpr int lanes = Simd<T>::lanes;
    for (int k = 0; k < rows; ++k, src += row, dst += step) {
        if (columns >= PANEL) {
            RONDO_UNROLL
            for (int i = 0; i < PANEL; i += lanes) store(dst + i, load(src + i));
        } else {
            for (int lane = 0; lane < PANEL; ++lane) dst[lane] = lane < columns ? src[lane] : T(0);
        }
    }
}

template <class T>
void put(const T* src, T* dst, std::ptrdiff_t n) {
    constexpr int lanes = Simd<T>::lanes;
    std::ptrdiff_t i = 0;
    if (reinterpret_cast<std::uintptr_t>(dst) % 64 == 0)
        for (; i + PANEL <= n; i += PANEL)
            RONDO_UNROLL
            for (int lane = 0; lane < PANEL; lane += lanes) stream<T>(dst + i + lane, load(src + i + lane));
    __builtin_memcpy(dst + i, src + i, (n - i) * sizeof(T));
}

}  // namespace RONDO_ISA
}  // namespace rondo
