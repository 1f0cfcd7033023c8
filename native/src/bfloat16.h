// Products with matrices in bfloat16 and sums in float32: half the memory to read, twice the multiply-adds an
// instruction. For inference, on machines with AVX512_BF16.

#pragma once

#include "kernels.h"

namespace rondo {

using Bfloat16 = std::uint16_t;  // the upper half of a float

// C[r][g] = start[g] + sum over k < 2 * pairs of A[r][k] * B[k][g]
//
//   A(r, k)   a[r * a_row + k]
//   B(k, g)   two steps of 16 lanes side by side: b[k / 2 * b_step + g * 2 * 16 + 2 * lane + k % 2]
//   C, start  as in Product
//
// Steps are padded to an even number with zeros in A and B. What kernels.h says of every argument holds: nothing is
// aligned for certain, A and B are read, C is written and overlaps neither, all need live no longer than the call.
struct Bfloat16Product {
    const Bfloat16* a;         // what `round` wrote, for a stage
    std::ptrdiff_t a_row;
    int pairs;                 // at least 0
    const Bfloat16* b;         // what pack_bfloat16 wrote, for a run; the outputs lie side by side
    std::ptrdiff_t b_step;
    float* c;                  // slots or a row buffer
    std::ptrdiff_t c_row;
    const std::ptrdiff_t* c_output;          // [outputs]
    Start start[MAX_OUTPUTS];                // [outputs]
    const float* start_vector[MAX_OUTPUTS];  // [outputs]: of packed vectors; not looked at for the other starts
};

struct Bfloat16Kernels {
    int best_rows[MAX_OUTPUTS + 1];
    // By rows (1 to best_rows) and outputs.
    void (*product[MAX_ROWS + 1][MAX_OUTPUTS + 1])(const Bfloat16Product&);
    // dst[i] = src[i] rounded to nearest, ties to even; one element more, a zero, where n is odd. src
    // is a row of a row buffer, dst the member's own, until it rounds the next source.
    void (*round)(const float* src, Bfloat16* dst, std::ptrdiff_t n);
};

// nullptr where the machine has no such instructions or they were not compiled in.
const Bfloat16Kernels* bfloat16_kernels();

// 16 lanes of packed float32, step after step at a distance of `src_step`, as pairs of steps in bfloat16, pair after
// pair at a distance of `dst_step`; an odd number of steps is filled up with zeros. Writes 32 elements a pair.
void pack_bfloat16(const float* src, std::ptrdiff_t src_step, int steps, Bfloat16* dst, std::ptrdiff_t dst_step);

}  // namespace rondo
