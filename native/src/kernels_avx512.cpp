// AVX-512 (F, DQ, BW, VL). Compiled with -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma; empty but on x86-64.

#if defined(__x86_64__)

#define RONDO_ISA avx512
#define RONDO_VECTOR_BYTES 64

#include "table.h"

namespace rondo {
namespace avx512 {

extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;
constexpr Kernels<float> kernels_float = make_kernels<float>("avx512");
constexpr Kernels<double> kernels_double = make_kernels<double>("avx512");

}  // namespace avx512
}  // namespace rondo

#endif
