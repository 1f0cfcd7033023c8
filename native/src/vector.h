// Vectors of one instruction set: a thin layer over the vector extensions of GCC and clang.
//
// A file that includes this defines RONDO_ISA, the namespace its code goes into, and RONDO_VECTOR_BYTES, the
// size of a vector register. A panel of 16 lanes is `Simd<T>::natives` registers. Arithmetic and comparisons
// are the operators of the language, a choice by lanes is `mask ? a : b`; only what those cannot say well has
// a function here, with an intrinsic where the compilers' own code is poor.

#pragma once

#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define RONDO_INLINE static inline __attribute__((always_inline))

#if defined(__clang__)
#define RONDO_UNROLL _Pragma("clang loop unroll(full)")
#else
#define RONDO_UNROLL _Pragma("GCC unroll 32")
#endif

namespace rondo {
namespace RONDO_ISA {

template <class T>
struct Simd;

template <>
struct Simd<float> {
    typedef float V __attribute__((vector_size(RONDO_VECTOR_BYTES)));
    typedef std::int32_t I __attribute__((vector_size(RONDO_VECTOR_BYTES)));
    typedef std::uint32_t U __attribute__((vector_size(RONDO_VECTOR_BYTES)));
    static constexpr int lanes = RONDO_VECTOR_BYTES / 4;
    static constexpr int natives = PANEL / lanes;
};

template <>
struct Simd<double> {
    typedef double V __attribute__((vector_size(RONDO_VECTOR_BYTES)));
    typedef std::int64_t I __attribute__((vector_size(RONDO_VECTOR_BYTES)));
    typedef std::uint64_t U __attribute__((vector_size(RONDO_VECTOR_BYTES)));
    static constexpr int lanes = RONDO_VECTOR_BYTES / 8;
    static constexpr int natives = PANEL / lanes;
};

using VF = Simd<float>::V;
using VD = Simd<double>::V;

// Vector registers of the machine: what a micro-kernel may keep its sums in.
#if RONDO_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int REGISTERS = 32;
#else
constexpr int REGISTERS = 16;
#endif

// Whether fma rounds once.
#if RONDO_VECTOR_BYTES > 16 || defined(__FMA__) || defined(__aarch64__)
constexpr bool FUSED = true;
#else
constexpr bool FUSED = false;
#endif

template <class T>
RONDO_INLINE typename Simd<T>::V load(const T* p) {
    typename Simd<T>::V v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class T>
RONDO_INLINE void store(T* p, typename Simd<T>::V v) {
    __builtin_memcpy(p, &v, sizeof v);
}

// A store past the caches, for what is not read again soon; p is aligned to the vector.
template <class T>
RONDO_INLINE void stream(T* p, typename Simd<T>::V v) {
#if RONDO_VECTOR_BYTES == 64
    _mm512_stream_si512((__m512i*)p, (__m512i)v);
#elif RONDO_VECTOR_BYTES == 32
    _mm256_stream_si256((__m256i*)p, (__m256i)v);
#elif defined(__x86_64__)
    _mm_stream_si128((__m128i*)p, (__m128i)v);
#else
    store(p, v);
#endif
}

// The first n elements, n less than the lanes; zeros in the other lanes. Nothing behind them is read.
RONDO_INLINE VF load_first(const float* p, int n) {
#if RONDO_VECTOR_BYTES == 64
    return (VF)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif RONDO_VECTOR_BYTES == 32
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return (VF)_mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane));
#else
    VF v{};
    for (int i = 0; i < n; ++i) v[i] = p[i];
    return v;
#endif
}

RONDO_INLINE VD load_first(const double* p, int n) {
#if RONDO_VECTOR_BYTES == 64
    return (VD)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
#elif RONDO_VECTOR_BYTES == 32
    const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    return (VD)_mm256_maskload_pd(p, _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), lane));
#else
    VD v{};
    for (int i = 0; i < n; ++i) v[i] = p[i];
    return v;
#endif
}

template <class T>
RONDO_INLINE typename Simd<T>::V splat(T x) {
    return x - typename Simd<T>::V{};  // minus, as -0 + 0 would lose the sign
}

// a * b + c, rounded once where the instruction set has it. c - a * b is fma(-a, b, c): the sign costs nothing.
RONDO_INLINE VF fma(VF a, VF b, VF c) {
#if RONDO_VECTOR_BYTES == 64
    return (VF)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif RONDO_VECTOR_BYTES == 32
    return (VF)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (VF)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

RONDO_INLINE VD fma(VD a, VD b, VD c) {
#if RONDO_VECTOR_BYTES == 64
    return (VD)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif RONDO_VECTOR_BYTES == 32
    return (VD)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__)
    return (VD)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    return a * b + c;
#endif
}

// The larger of a bound and x, the smaller of a bound and x; x where x is NaN. The operands' order matters:
// x86 returns the second where one is NaN. (GCC 12 warns of its own header in the forms without a mask.)
RONDO_INLINE VF at_least(VF bound, VF x) {
#if RONDO_VECTOR_BYTES == 64
    return (VF)_mm512_maskz_max_ps(-1, (__m512)bound, (__m512)x);
#elif RONDO_VECTOR_BYTES == 32
    return (VF)_mm256_max_ps((__m256)bound, (__m256)x);
#elif defined(__x86_64__)
    return (VF)_mm_max_ps((__m128)bound, (__m128)x);
#else
    return bound > x ? bound : x;
#endif
}

RONDO_INLINE VD at_least(VD bound, VD x) {
#if RONDO_VECTOR_BYTES == 64
    return (VD)_mm512_maskz_max_pd(-1, (__m512d)bound, (__m512d)x);
#elif RONDO_VECTOR_BYTES == 32
    return (VD)_mm256_max_pd((__m256d)bound, (__m256d)x);
#elif defined(__x86_64__)
    return (VD)_mm_max_pd((__m128d)bound, (__m128d)x);
#else
    return bound > x ? bound : x;
#endif
}

RONDO_INLINE VF at_most(VF bound, VF x) {
#if RONDO_VECTOR_BYTES == 64
    return (VF)_mm512_maskz_min_ps(-1, (__m512)bound, (__m512)x);
#elif RONDO_VECTOR_BYTES == 32
    return (VF)_mm256_min_ps((__m256)bound, (__m256)x);
#elif defined(__x86_64__)
    return (VF)_mm_min_ps((__m128)bound, (__m128)x);
#else
    return bound < x ? bound : x;
#endif
}

RONDO_INLINE VD at_most(VD bound, VD x) {
#if RONDO_VECTOR_BYTES == 64
    return (VD)_mm512_maskz_min_pd(-1, (__m512d)bound, (__m512d)x);
#elif RONDO_VECTOR_BYTES == 32
    return (VD)_mm256_min_pd((__m256d)bound, (__m256d)x);
#elif defined(__x86_64__)
    return (VD)_mm_min_pd((__m128d)bound, (__m128d)x);
#else
    return bound < x ? bound : x;
#endif
}

RONDO_INLINE VF square_root(VF x) {
#if RONDO_VECTOR_BYTES == 64
    return (VF)_mm512_maskz_sqrt_ps(-1, (__m512)x);
#elif RONDO_VECTOR_BYTES == 32
    return (VF)_mm256_sqrt_ps((__m256)x);
#elif defined(__x86_64__)
    return (VF)_mm_sqrt_ps((__m128)x);
#elif defined(__aarch64__)
    return (VF)vsqrtq_f32((float32x4_t)x);
#else
    for (int i = 0; i < Simd<float>::lanes; ++i) x[i] = __builtin_sqrtf(x[i]);
    return x;
#endif
}

RONDO_INLINE VD square_root(VD x) {
#if RONDO_VECTOR_BYTES == 64
    return (VD)_mm512_maskz_sqrt_pd(-1, (__m512d)x);
#elif RONDO_VECTOR_BYTES == 32
    return (VD)_mm256_sqrt_pd((__m256d)x);
#elif defined(__x86_64__)
    return (VD)_mm_sqrt_pd((__m128d)x);
#elif defined(__aarch64__)
    return (VD)vsqrtq_f64((float64x2_t)x);
#else
    for (int i = 0; i < Simd<double>::lanes; ++i) x[i] = __builtin_sqrt(x[i]);
    return x;
#endif
}

// The lanes of two vectors taken in turn, from their lower halves and from their upper halves.
template <class V>
RONDO_INLINE V interleave_low(V a, V b) {
    if constexpr (sizeof(V) / sizeof(a[0]) == 16)
        return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    else if constexpr (sizeof(V) / sizeof(a[0]) == 8)
        return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    else if constexpr (sizeof(V) / sizeof(a[0]) == 4)
        return __builtin_shufflevector(a, b, 0, 4, 1, 5);
    else
        return __builtin_shufflevector(a, b, 0, 2);
}

template <class V>
RONDO_INLINE V interleave_high(V a, V b) {
    if constexpr (sizeof(V) / sizeof(a[0]) == 16)
        return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    else if constexpr (sizeof(V) / sizeof(a[0]) == 8)
        return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
    else if constexpr (sizeof(V) / sizeof(a[0]) == 4)
        return __builtin_shufflevector(a, b, 2, 6, 3, 7);
    else
        return __builtin_shufflevector(a, b, 1, 3);
}

}  // namespace RONDO_ISA
}  // namespace rondo
