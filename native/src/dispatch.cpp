#include "dispatch.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace rondo {

#if defined(RONDO_WITH_AVX512)
namespace avx512 {
extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;
}  // namespace avx512
#endif
#if defined(RONDO_WITH_AVX2)
namespace avx2 {
extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;
}  // namespace avx2
#endif
namespace generic {
extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;
}  // namespace generic

namespace {

// Asked of the processor itself: __builtin_cpu_supports says no to everything with some runtime libraries of
// clang. The operating system must save the wide registers too, which register 0 of xgetbv tells.
struct Processor {
    bool avx2 = false, avx512 = false;

    Processor() {
#if defined(__x86_64__)
        const auto has = [](unsigned word, int bit) { return (word >> bit & 1) != 0; };
        unsigned a, b, c, d;
        if (!__get_cpuid(1, &a, &b, &c, &d)) return;
        const bool fma = has(c, 12), saves = has(c, 27);
        if (!fma || !saves || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
        unsigned low, high;
        __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        const unsigned ymm = 0x6, zmm = 0xe6;
        avx2 = has(b, 5) && (low & ymm) == ymm;
        avx512 = has(b, 16) && has(b, 17) && has(b, 30) && has(b, 31) && (low & zmm) == zmm;  // F, DQ, BW, VL
#endif
    }
};

[[maybe_unused]] const Processor& processor() {
    static const Processor this_one;
    return this_one;
}

template <class T>
[[maybe_unused]] const Kernels<T>* table_of(const Kernels<float>& f, const Kernels<double>& d) {
    if constexpr (sizeof(T) == sizeof(float))
        return &f;
    else
        return &d;
}

}  // namespace

template <class T>
const Kernels<T>* kernels_avx512() {
#if defined(RONDO_WITH_AVX512)
    if (processor().avx512) return table_of<T>(avx512::kernels_float, avx512::kernels_double);
#endif
    return nullptr;
}

template <class T>
const Kernels<T>* kernels_avx2() {
#if defined(RONDO_WITH_AVX2)
    if (processor().avx2) return table_of<T>(avx2::kernels_float, avx2::kernels_double);
#endif
    return nullptr;
}

template <class T>
const Kernels<T>* kernels_generic() {
    return table_of<T>(generic::kernels_float, generic::kernels_double);
}

template <class T>
const Kernels<T>* choose_kernels(const char* forced, std::string* message) {
    struct Choice {
        const char* name;
        const Kernels<T>* (*kernels)();
    };
    const Choice choices[] = {
        {"avx512", kernels_avx512<T>}, {"avx2", kernels_avx2<T>}, {"generic", kernels_generic<T>}};
    const std::string wanted = forced ? forced : "";
    bool known = wanted.empty();
    for (const Choice& choice : choices) {
        if (!wanted.empty() && wanted != choice.name) continue;
        known = true;
        if (const Kernels<T>* kernels = choice.kernels()) return kernels;
    }
    if (message)
        *message = "RONDO_ISA is '" + wanted + "', " +
                   (known ? "which this machine cannot run or this build lacks." : "which is no instruction set of the engine.") +
                   " Leave it unset, or set it to avx512, avx2 or generic.";
    return nullptr;
}

template const Kernels<float>* kernels_avx512<float>();
template const Kernels<double>* kernels_avx512<double>();
template const Kernels<float>* kernels_avx2<float>();
template const Kernels<double>* kernels_avx2<double>();
template const Kernels<float>* kernels_generic<float>();
template const Kernels<double>* kernels_generic<double>();
template const Kernels<float>* choose_kernels<float>(const char*, std::string*);
template const Kernels<double>* choose_kernels<double>(const char*, std::string*);

}  // namespace rondo
