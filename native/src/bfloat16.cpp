#include "bfloat16.h"

#include <cstring>

namespace rondo {

#if defined(RONDO_WITH_BFLOAT16)
namespace bfloat16 {
extern const Bfloat16Kernels kernels;
}
#endif

const Bfloat16Kernels* bfloat16_kernels() {
#if defined(RONDO_WITH_BFLOAT16)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        return &bfloat16::kernels;
    }
#endif
    return nullptr;
}

namespace {

Bfloat16 rounded(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<Bfloat16>(bits >> 16 | 0x40);  // NaN stays NaN
    return static_cast<Bfloat16>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace

void pack_bfloat16(const float* src, std::ptrdiff_t src_step, int steps, Bfloat16* dst, std::ptrdiff_t dst_step) {
    for (int k = 0; k < steps + steps % 2; ++k) {
        Bfloat16* const to = dst + k / 2 * dst_step + k % 2;
        for (int lane = 0; lane < PANEL; ++lane) to[2 * lane] = k < steps ? rounded(src[k * src_step + lane]) : 0;
    }
}

}  // namespace rondo
