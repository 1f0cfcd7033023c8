// Products with matrices in bfloat16 and sums in float32: half the memory to read, twice the multiply-adds an
// instruction. For inference, on machines with AVX512_BF16.

#pragma once

#include "kernels.h"

namespace rondo {

using Bfloat16 = std::uint16_t;  // the upper half of a float

// C[r][g] = start[g] + sum over k < 2 * pairs of A[r][k] * B[k][g]
//
//   A(r, k)   a[r * a_row + k]
//   B(k, g)   two steps of 16 lanes side by side: b[k / 2 * b_step + b_output[g] + 2 * lane + k % 2]
//   C, start  as in Product
//
// Steps are padded to an even number with zeros in A and B.
struct Bfloat16Product {
    const Bfloat16* a;
    std::ptrdiff_t a_row;
    int pairs;
    const Bfloat16* b;
    std::ptrdiff_t b_step;
    float* c;
    std::ptrdiff_t c_row;
    const std::ptrdiff_t* c_output;
    Start start[MAX_OUTPUTS];
    const float* start_vector[MAX_OUTPUTS];
};

struct Bfloat16Kernels {
    int best_rows[MAX_OUTPUTS + 1];
    void (*product[MAX_ROWS + 1][MAX_OUTPUTS + 1])(const Bfloat16Product&);
    // dst[i] = src[i] rounded to nearest, ties to even; one element more, a zero, where n is odd.
    void (*round)(const float* src, Bfloat16* dst, std::ptrdiff_t n);
};

// nullptr where the machine has no such instructions or they were not compiled in.
const Bfloat16Kernels* bfloat16_kernels();

// 16 lanes of packed float32, step after step at a distance of `step`, as pairs of steps in bfloat16.
void pack_bfloat16(const float* src, std::ptrdiff_t src_step, int steps, Bfloat16* dst, std::ptrdiff_t dst_step);

}  // namespace rondo
