// Elementwise functions on vectors.
//
// The error is at most 4 units in the last place, of a share of two gates at most 6, wherever the result is a normal
// number; smaller results may become zero. Infinities, NaN and domains as torch. All are built on the same two reductions:
//
//   exp    x = n log 2 + r, |r| <= log(2) / 2; e^r = 1 + r + r^2 p(r) and e^r - 1 = r + r^2 q(r)
//   log    x = 2^e (1 + f), s = f / (2 + f); log(1 + f) = 2 atanh(s) = s (2 + s^2 m(s^2)), s <= 1/3
//
// p, q and m are minimax polynomials of the relative errors of e^r, e^r - 1 and atanh; p is as short as an
// error of 4 units allows after a division. Adding a number whose last bit stands for 1 rounds to an integer
// and leaves it in the low bits; with the bias of the exponent added too, a shift makes 2^n of it.

#pragma once

#include "vector.h"

namespace rondo {
namespace RONDO_ISA {

template <class T>
struct Constants;

template <>
struct Constants<float> {
    static constexpr float p[] = {4.999923e-01f, 1.6667114e-01f, 4.18902e-02f, 8.312529e-03f};
    static constexpr float q[] = {4.9999997e-01f, 1.6666543e-01f, 4.16672e-02f, 8.366527e-03f, 1.3882503e-03f};
    static constexpr float m[] = {6.666641e-01f, 4.00217e-01f, 2.7999133e-01f, 2.8024504e-01f};
    static constexpr float log2_e = 1.44269504f;
    // log 2 in two parts, the first so short that its products with n are exact
    static constexpr float log_2_high = 0.693359375f, log_2_low = -2.12194440e-4f;
    static constexpr float rounder = 12582912.0f;  // 1.5 * 2^23
    static constexpr int mantissa = 23, bias = 127;
    static constexpr float exp_low = -104.0f, exp_high = 89.0f;   // e^x is 0 and inf beyond them
    static constexpr float infinite_high = 88.5f;                 // 2^n is infinite here, and not garbage
    static constexpr float one_low = -20.0f;                      // 1 + e^x is 1 below
    static constexpr float tanh_high = 10.0f;                     // tanh is 1 beyond
    static constexpr float silu_low = -100.0f;                    // silu is no normal number below
    static constexpr float largest = __FLT_MAX__;
    static constexpr float power_low = -200.0f, power_high = 100.0f;  // 2^n is 0 below; is far from infinity
    static constexpr float least = 1.17549435e-38f, up = 33554432.0f, up_exponent = 25.0f;
    static constexpr float root_half = 0.70710678f;
    static constexpr float infinity = __builtin_inff(), nan = __builtin_nanf("");
};

template <>
struct Constants<double> {
    static constexpr double q[] = {0.5000000000000006,     0.16666666666666588,    0.04166666666657668,
                                   0.00833333333338958,    0.0013888888931591693,  0.00019841269718978816,
                                   2.4801505239734095e-05, 2.7557407531918217e-06, 2.7626052080331874e-07,
                                   2.505379132776202e-08};
    static constexpr const double (&p)[10] = q;
    static constexpr double m[] = {0.6666666666666631,  0.40000000000157243, 0.28571428547853833,
                                   0.22222223969739383, 0.18181743924524962, 0.15386559933043645,
                                   0.13300973443958997, 0.12106087429562946, 0.08340096245158415,
                                   0.17018585202121453};
    static constexpr double log2_e = 1.4426950408889634;
    static constexpr double log_2_high = 6.93147180369123816490e-01, log_2_low = 1.90821492927058770002e-10;
    static constexpr double rounder = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr int mantissa = 52, bias = 1023;
    static constexpr double exp_low = -746.0, exp_high = 710.0;
    static constexpr double infinite_high = 709.5;
    static constexpr double one_low = -40.0;
    static constexpr double tanh_high = 20.0;
    static constexpr double silu_low = -730.0;
    static constexpr double largest = __DBL_MAX__;
    static constexpr double power_low = -1500.0, power_high = 900.0;
    static constexpr double least = 2.2250738585072014e-308, up = 18014398509481984.0, up_exponent = 54.0;
    static constexpr double root_half = 0.7071067811865476;
    static constexpr double infinity = __builtin_inf(), nan = __builtin_nan("");
};

// c[0] + c[1] x + ...
template <class T, int N>
RONDO_INLINE typename Simd<T>::V polynomial(const T (&c)[N], typename Simd<T>::V x) {
    typename Simd<T>::V y = splat<T>(c[N - 1]);
    RONDO_UNROLL
    for (int i = N - 2; i >= 0; --i) y = fma(y, x, splat<T>(c[i]));
    return y;
}

// x = n log 2 + r. `power` has n plus the bias in its low bits.
template <class T>
struct Reduced {
    typename Simd<T>::V r, n, power;
};

// `near`: n is so small, or matters so little where it is not, that log 2 as one number will do if the product
// is not rounded.
template <class T, bool near = false>
RONDO_INLINE Reduced<T> reduce_exponent(typename Simd<T>::V x) {
    using C = Constants<T>;
    typename Simd<T>::V rounder = splat<T>(C::rounder + C::bias);
    typename Simd<T>::V power = fma(x, splat<T>(C::log2_e), rounder), n = power - rounder;
    if constexpr (near && FUSED) return {fma(n, splat<T>(-(C::log_2_high + C::log_2_low)), x), n, power};
    typename Simd<T>::V r = fma(n, splat<T>(-C::log_2_high), x);
    return {fma(n, splat<T>(-C::log_2_low), r), n, power};
}

// 2^n, for n from the least normal exponent to that of infinity.
template <class T>
RONDO_INLINE typename Simd<T>::V power_of_two(typename Simd<T>::V power) {
    return (typename Simd<T>::V)((typename Simd<T>::I)power << Constants<T>::mantissa);
}

// x 2^n for any n of reduce_exponent.
template <class T>
RONDO_INLINE typename Simd<T>::V scaled(typename Simd<T>::V x, typename Simd<T>::V n) {
#if RONDO_VECTOR_BYTES == 64
    if constexpr (sizeof(T) == 4)
        return (typename Simd<T>::V)_mm512_maskz_scalef_ps(-1, (__m512)x, (__m512)n);
    else
        return (typename Simd<T>::V)_mm512_maskz_scalef_pd(-1, (__m512d)x, (__m512d)n);
#else
    typename Simd<T>::V rounder = splat<T>(Constants<T>::rounder + Constants<T>::bias);
    typename Simd<T>::V half = fma(n, splat<T>(T(0.5)), rounder);
    typename Simd<T>::V rest = n - (half - rounder) + rounder;
    return x * power_of_two<T>(half) * power_of_two<T>(rest);
#endif
}

template <class T>
RONDO_INLINE typename Simd<T>::V bounded(typename Simd<T>::V x, T low, T high) {
    return at_most(splat<T>(high), at_least(splat<T>(low), x));
}

// e^r - 1 for a reduced r.
template <class T>
RONDO_INLINE typename Simd<T>::V reduced_expm1(typename Simd<T>::V r) {
    return fma(r * r, polynomial<T>(Constants<T>::q, r), r);
}

// e^r for a reduced r.
template <class T>
RONDO_INLINE typename Simd<T>::V reduced_exp(typename Simd<T>::V r) {
    typename Simd<T>::V one = splat<T>(1);
    return fma(fma(polynomial<T>(Constants<T>::p, r), r, one), r, one);
}

template <class T>
RONDO_INLINE typename Simd<T>::V exp(typename Simd<T>::V x) {
    Reduced<T> e = reduce_exponent<T>(bounded<T>(x, Constants<T>::exp_low, Constants<T>::exp_high));
    return scaled<T>(reduced_exp<T>(e.r), e.n);
}

template <class T>
RONDO_INLINE typename Simd<T>::V sigmoid(typename Simd<T>::V x) {
    // Within these bounds e^-x is one multiplication by 2^n; at the upper one that is infinite already.
    Reduced<T> e = reduce_exponent<T>(bounded<T>(-x, Constants<T>::one_low, Constants<T>::infinite_high));
    return splat<T>(1) / fma(reduced_exp<T>(e.r), power_of_two<T>(e.power), splat<T>(1));
}

template <class T>
RONDO_INLINE typename Simd<T>::V tanh(typename Simd<T>::V x) {
    // t / (t + 2) for t = e^2x - 1 = 2^n (e^r - 1) + (2^n - 1), which loses nothing near zero, where n = 0.
    using V = typename Simd<T>::V;
    V half = bounded<T>(x, -Constants<T>::tanh_high, Constants<T>::tanh_high);
    Reduced<T> e = reduce_exponent<T, true>(half + half);
    V two = power_of_two<T>(e.power);
    V t = fma(reduced_expm1<T>(e.r), two, two - splat<T>(1));
    return t / (t + splat<T>(2));
}

// log(1 + f) = s (2 + s^2 m(s^2)) for s = f / (2 + f).
template <class T>
RONDO_INLINE typename Simd<T>::V log_of_ratio(typename Simd<T>::V s) {
    typename Simd<T>::V z = s * s;
    return fma(s * z, polynomial<T>(Constants<T>::m, z), s + s);
}

template <class T>
RONDO_INLINE typename Simd<T>::V log(typename Simd<T>::V x) {
    using C = Constants<T>;
    using V = typename Simd<T>::V;
    using I = typename Simd<T>::I;
    using U = typename Simd<T>::U;  // what is below zero or no number wraps around, and is replaced at the end
    V one = splat<T>(1), zero = splat<T>(0);
    V big = x < splat<T>(C::least) ? x * splat<T>(C::up) : x;
    V less = x < splat<T>(C::least) ? splat<T>(C::up_exponent) : zero;
    U bits = (U)big, root = (U)splat<T>(C::root_half);
    // The exponent counted from sqrt(1/2), so that 1 + f lies in [sqrt(1/2), sqrt(2)).
    I exponent = (I)(bits - root) >> C::mantissa;
    V f = (V)(bits - ((U)exponent << C::mantissa)) - one;
    V e = __builtin_convertvector(exponent, V) - less;
    V y = log_of_ratio<T>(f / (f + splat<T>(2)));
    y = fma(e, splat<T>(C::log_2_high), fma(e, splat<T>(C::log_2_low), y));
    y = x < splat<T>(C::infinity) ? y : x;
    y = x < zero ? splat<T>(C::nan) : y;
    return x == zero ? splat<T>(-C::infinity) : y;
}

template <class T>
RONDO_INLINE typename Simd<T>::V softplus(typename Simd<T>::V x) {
    typename Simd<T>::V zero = splat<T>(0);
    typename Simd<T>::V u = exp<T>(x > zero ? -x : x);
    return (x > zero ? x : zero) + log_of_ratio<T>(u / (u + splat<T>(2)));
}

// sigmoid(a) / (sigmoid(a) + sigmoid(b)) = (1 + e^-b) / (1 + e^-b + 1 + e^-a), all of it divided by a power of
// two that keeps the larger one finite. Where a gate is closed so far that 1 says nothing beside it, it is divided by
// e^-min(a, b): what is then not negligible lies within a factor of two of min(a, b), and their difference is exact.
// Two gates at minus infinity have one half each.
template <class T>
RONDO_INLINE typename Simd<T>::V share_of(typename Simd<T>::V a, typename Simd<T>::V b) {
    using C = Constants<T>;
    using V = typename Simd<T>::V;
    const V zero = splat<T>(0), one = splat<T>(1), low = splat<T>(C::power_low), least = splat<T>(C::exp_low);
    a = at_least(splat<T>(-C::largest), a);
    b = at_least(splat<T>(-C::largest), b);
    const V lower = at_most(a, b);
    const auto closed = lower < splat<T>(2 * C::exp_low);
    const V from = closed ? lower : zero;
    const Reduced<T> ea = reduce_exponent<T>(at_least(least, from - a));
    const Reduced<T> eb = reduce_exponent<T>(at_least(least, from - b));
    const V less = at_least(zero, at_least(ea.n, eb.n) - splat<T>(C::power_high));
    const V unit = closed ? zero : scaled<T>(one, at_least(low, -less));
    const V of_a = unit + scaled<T>(reduced_exp<T>(ea.r), at_least(low, ea.n - less));
    const V of_b = unit + scaled<T>(reduced_exp<T>(eb.r), at_least(low, eb.n - less));
    return of_b / (of_a + of_b);
}

template <class T>
RONDO_INLINE typename Simd<T>::V silu(typename Simd<T>::V x) {
    // x e^x / (1 + e^x) for negative x: the result is still normal where e^x no longer is.
    using V = typename Simd<T>::V;
    V zero = splat<T>(0), t = x > zero ? -x : x;
    Reduced<T> e = reduce_exponent<T>(bounded<T>(t, Constants<T>::exp_low, Constants<T>::exp_high));
    V p = reduced_expm1<T>(e.r) + splat<T>(1);
    V denominator = splat<T>(1) + scaled<T>(p, e.n);
    V vanishing = t < splat<T>(Constants<T>::silu_low) ? zero : p;
    return (x > zero ? x : scaled<T>(x * vanishing, e.n)) / denominator;
}

}  // namespace RONDO_ISA
}  // namespace rondo
