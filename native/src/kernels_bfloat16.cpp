// Compiled with -mavx512bf16: no inline code of the standard library in here, see kernels.h.

#include <immintrin.h>

#include "bfloat16.h"

namespace rondo {
namespace bfloat16 {
namespace {

template <int ROWS, int OUTPUTS>
void product(const Bfloat16Product& p) {
    __m512 sums[ROWS][OUTPUTS];
    for (int r = 0; r < ROWS; ++r) {
        for (int g = 0; g < OUTPUTS; ++g) {
            sums[r][g] = p.start[g] == Start::zero         ? _mm512_setzero_ps()
                         : p.start[g] == Start::accumulate ? _mm512_loadu_ps(p.c + r * p.c_row + p.c_output[g])
                                                           : _mm512_loadu_ps(p.start_vector[g]);
        }
    }
    const Bfloat16* b = p.b;
    for (int pair = 0; pair < p.pairs; ++pair, b += p.b_step) {
        __m512bh right[OUTPUTS];
        for (int g = 0; g < OUTPUTS; ++g) right[g] = (__m512bh)_mm512_loadu_si512(b + g * 2 * PANEL);
        for (int r = 0; r < ROWS; ++r) {
            std::int32_t two;
            __builtin_memcpy(&two, p.a + r * p.a_row + 2 * pair, sizeof(two));
            const __m512bh left = (__m512bh)_mm512_set1_epi32(two);
            for (int g = 0; g < OUTPUTS; ++g) sums[r][g] = _mm512_dpbf16_ps(sums[r][g], left, right[g]);
        }
    }
    for (int r = 0; r < ROWS; ++r) {
        for (int g = 0; g < OUTPUTS; ++g) _mm512_storeu_ps(p.c + r * p.c_row + p.c_output[g], sums[r][g]);
    }
}

void round(const float* src, Bfloat16* dst, std::ptrdiff_t n) {
    std::ptrdiff_t i = 0;
    for (; i + PANEL <= n; i += PANEL) {
        _mm256_storeu_si256((__m256i*)(dst + i), (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(src + i)));
    }
    if (i < n) {
        const __mmask16 some = (__mmask16)((1u << (n - i)) - 1);
        const __mmask16 padded = (__mmask16)((1u << (n - i + n % 2)) - 1);
        _mm256_mask_storeu_epi16(dst + i, padded, (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(some, src + i)));
    }
}

}  // namespace

#define OUTPUTS_OF(R) {nullptr, product<R, 1>, product<R, 2>, product<R, 3>, product<R, 4>}
extern const Bfloat16Kernels kernels;
const Bfloat16Kernels kernels = {
    {0, 12, 12, 8, 6},
    {{}, OUTPUTS_OF(1), OUTPUTS_OF(2), OUTPUTS_OF(3), OUTPUTS_OF(4), OUTPUTS_OF(5), OUTPUTS_OF(6), OUTPUTS_OF(7),
     OUTPUTS_OF(8), OUTPUTS_OF(9), OUTPUTS_OF(10), OUTPUTS_OF(11), OUTPUTS_OF(12), {}, {}},
    round,
};

}  // namespace bfloat16
}  // namespace rondo
