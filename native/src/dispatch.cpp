#include "dispatch.h"

namespace rondo {

#if defined(__x86_64__)
namespace avx512 {
extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;
}  // namespace avx512
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

bool has_avx512() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

bool has_avx2() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

}  // namespace

#if defined(__x86_64__)
template <>
const Kernels<float>* kernels_avx512<float>() {
    return has_avx512() ? &avx512::kernels_float : nullptr;
}
template <>
const Kernels<double>* kernels_avx512<double>() {
    return has_avx512() ? &avx512::kernels_double : nullptr;
}
template <>
const Kernels<float>* kernels_avx2<float>() {
    return has_avx2() ? &avx2::kernels_float : nullptr;
}
template <>
const Kernels<double>* kernels_avx2<double>() {
    return has_avx2() ? &avx2::kernels_double : nullptr;
}
#else
template <class T>
const Kernels<T>* kernels_avx512() {
    return nullptr;
}
template <class T>
const Kernels<T>* kernels_avx2() {
    return nullptr;
}
template const Kernels<float>* kernels_avx512<float>();
template const Kernels<double>* kernels_avx512<double>();
template const Kernels<float>* kernels_avx2<float>();
template const Kernels<double>* kernels_avx2<double>();
#endif

template <>
const Kernels<float>* kernels_generic<float>() {
    return &generic::kernels_float;
}
template <>
const Kernels<double>* kernels_generic<double>() {
    return &generic::kernels_double;
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
                   (known ? "which this machine cannot run." : "which is no instruction set of the engine.") +
                   " Leave it unset, or set it to avx512, avx2 or generic.";
    return nullptr;
}

template const Kernels<float>* choose_kernels<float>(const char*, std::string*);
template const Kernels<double>* choose_kernels<double>(const char*, std::string*);

}  // namespace rondo
